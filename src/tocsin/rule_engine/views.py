"""What the rule stage shows of itself: groups, rules and alerts, as of their last evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tocsin.model.labels import Labels
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.definition import RuleKind


class Health(StrEnum):
    """How the last evaluation of a rule went (the `health` of the Prometheus API)."""

    UNKNOWN = "unknown"
    OK = "ok"
    ERR = "err"


@dataclass(frozen=True, slots=True)
class AlertView:
    """A pending or firing alert; `keep_firing_since` is set while `keep_firing_for` runs."""

    labels: Labels
    annotations: Labels
    state: State
    active_at: datetime
    value: float
    keep_firing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule. `state` is the worst of its alerts, INACTIVE for a recording rule.

    `last_evaluation` is None before the first one. `labels` include those of the group;
    `warnings` are what its expression warned of when it was last answered.
    """

    kind: RuleKind
    name: str
    query: str
    labels: Labels
    annotations: Labels
    hold: timedelta
    keep_firing_for: timedelta
    state: State
    health: Health
    last_error: str
    evaluation_time: timedelta
    last_evaluation: datetime | None
    alerts: tuple[AlertView, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupView:
    """One rule group. `last_evaluation` is None before the first one."""

    name: str
    file: str
    interval: timedelta
    limit: int
    rules: tuple[RuleView, ...]
    evaluation_time: timedelta
    last_evaluation: datetime | None
