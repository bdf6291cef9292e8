"""What the metric stage shows of itself: its scrape targets, as of their last scrape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.model.labels import Labels
from tocsin.model.settings import Duration


class TargetHealth(StrEnum):
    """How the last scrape went (the `health` of the Prometheus API)."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class TargetView:
    """One scrape target. `last_scrape` is None before the first one.

    `discovered` are its labels as configured, `labels` those its series bear. `pool` is the
    job. The URL holds no credentials.
    """

    pool: str
    url: str
    discovered: Labels
    labels: Labels
    health: TargetHealth
    last_error: str
    last_scrape: datetime | None
    last_duration: timedelta
    interval: Duration
    timeout: Duration


@dataclass(frozen=True, slots=True)
class DroppedTarget:
    """A discovered address that a relabelling rule dropped, with its labels as discovered."""

    pool: str
    discovered: Labels


@dataclass(frozen=True, slots=True)
class DroppedTargets:
    """What relabelling dropped: as many as `keep_dropped_targets` allows, and how many by pool."""

    shown: tuple[DroppedTarget, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
