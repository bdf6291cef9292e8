"""What the API and the pages see, computed at query time: alerts, groups, silences, status."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.alert_manager.silence import Silence, SilenceState
from tocsin.model.alert import Alert, AlertState
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matchers
from tocsin.model.pattern import Pattern


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert and why it is or is not notified; ids and fingerprints are sorted."""

    alert: Alert
    fingerprint: str
    receivers: tuple[str, ...]
    state: AlertState
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    muted_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupView:
    """One aggregation group with the alerts that passed the filter."""

    labels: Labels
    receiver: str
    group_key: str
    alerts: tuple[AlertView, ...]
    route_labels: Labels


@dataclass(frozen=True, slots=True)
class SilenceView:
    """One silence and where it stands now."""

    silence: Silence
    state: SilenceState


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts are wanted: those that no false flag excludes and every matcher accepts.

    `receiver` must match the whole name of one of the alert's receivers.
    """

    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    unprocessed: bool = True
    muted: bool = True
    matchers: Matchers = ()
    receiver: Pattern | None = None


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Numbers of one tenant, for metrics and status pages."""

    config_hash: str
    applied_seq: int
    firing: int
    resolved: int
    suppressed: int
    groups: int
    in_flight: int
    silences: dict[SilenceState, int]
