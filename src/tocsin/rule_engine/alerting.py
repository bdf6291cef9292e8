"""The life of an alert: pending, firing, resolved. Values in, values out; `now` is an argument.

Source: Prometheus, "Alerting rules", and `rules/alerting.go` for the corners. An alert is
pending until its condition has held for the whole of `for` without a gap, then firing. When
the condition clears it fires on for `keep_firing_for`, then it is resolved, and stays so for
15 minutes, so that a receiver that was away still hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import ALERT_NAME, METRIC_NAME, Labels
from tocsin.model.series import Values

RESOLVED_RETENTION = timedelta(minutes=15)  # rules/alerting.go resolvedRetention


class State(StrEnum):
    """Where an alert of a rule stands (the spelling of `alertstate`)."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class ActiveAlert(msgspec.Struct, frozen=True):
    """One alert of one rule: since when, in which state, and what was last sent of it.

    `active_at` is when the condition began to hold, `fired_at` when it had held long enough.
    An INACTIVE alert is a resolved one that is still remembered.
    """

    labels: Labels
    annotations: Labels
    value: float
    state: State
    active_at: datetime
    fired_at: datetime | None = None
    keep_firing_since: datetime | None = None
    resolved_at: datetime | None = None
    last_sent_at: datetime | None = None


class Seen(msgspec.Struct, frozen=True):
    """What one evaluation says of one alert: the condition holds, with this value."""

    annotations: Labels
    value: float


class Timing(msgspec.Struct, frozen=True):
    """The two periods of a rule: `for` and `keep_firing_for`."""

    hold: timedelta
    keep_firing_for: timedelta = timedelta(0)


Active = Mapping[Labels, ActiveAlert]


def transition(
    active: Active, seen: Mapping[Labels, Seen], *, now: datetime, timing: Timing
) -> dict[Labels, ActiveAlert]:
    """Return the alerts of a rule after an evaluation at `now` that found `seen`."""
    after = {}
    for labels, alert in active.items():
        state = advance(alert, seen.get(labels), now=now, timing=timing)
        if state is not None:
            after[labels] = state
    for labels, new in seen.items():
        if labels not in active:
            after[labels] = begin(labels, new, now=now, timing=timing)
    return after


def begin(labels: Labels, seen: Seen, *, now: datetime, timing: Timing) -> ActiveAlert:
    """Return a new alert: pending, or firing at once when the rule has no `for`."""
    alert = ActiveAlert(labels, seen.annotations, seen.value, State.PENDING, active_at=now)
    return promote(alert, now=now, hold=timing.hold)


def promote(alert: ActiveAlert, *, now: datetime, hold: timedelta) -> ActiveAlert:
    """Return `alert`, firing if it was pending for `hold`."""
    if alert.state is State.PENDING and now - alert.active_at >= hold:
        return msgspec.structs.replace(alert, state=State.FIRING, fired_at=now)
    return alert


def advance(
    alert: ActiveAlert, seen: Seen | None, *, now: datetime, timing: Timing
) -> ActiveAlert | None:
    """Return the next state of one alert, None once it may be forgotten.

    `seen` is None when the condition does not hold at `now`.
    """
    if seen is None:
        return _absent(alert, now=now, keep=timing.keep_firing_for)
    if alert.state is State.INACTIVE:
        return begin(alert.labels, seen, now=now, timing=timing)
    present = msgspec.structs.replace(
        alert, annotations=seen.annotations, value=seen.value, keep_firing_since=None
    )
    return promote(present, now=now, hold=timing.hold)


def _absent(alert: ActiveAlert, *, now: datetime, keep: timedelta) -> ActiveAlert | None:
    if alert.state is State.PENDING:
        return None
    if alert.resolved_at is not None:
        return alert if now - alert.resolved_at <= RESOLVED_RETENTION else None
    since = alert.keep_firing_since or now
    if now - since < keep:
        return msgspec.structs.replace(alert, keep_firing_since=since)
    return msgspec.structs.replace(alert, state=State.INACTIVE, resolved_at=now)


def resolve_all(active: Active, *, now: datetime) -> dict[Labels, ActiveAlert]:
    """Return the firing and resolved alerts of a rule that ended at `now`, all resolved."""
    after = {}
    for labels, alert in active.items():
        ended = _absent(alert, now=now, keep=timedelta(0))
        if ended is not None:
            after[labels] = ended
    return after


def by_labels(found: Iterable[tuple[Labels, Seen]]) -> dict[Labels, Seen]:
    """Return what an evaluation found by alert label set.

    Raises InvalidInput when two elements became the same alert: one would hide the other.
    """
    seen: dict[Labels, Seen] = {}
    for labels, element in found:
        if labels in seen:
            raise InvalidInput(
                "vector contains metrics with the same labelset after applying alert labels: "
                f"{labels}"
            )
        seen[labels] = element
    return seen


def check_limit(active: Active, limit: int) -> None:
    """Raise InvalidInput when more than `limit` alerts are pending or firing; 0 or less any."""
    count = sum(alert.state is not State.INACTIVE for alert in active.values())
    if 0 < limit < count:
        raise InvalidInput(f"exceeded limit of {limit} with {count} alerts")


class AlertSeries:
    """Renders alerts as the series `ALERTS` and `ALERTS_FOR_STATE`.

    Label sets are kept from one evaluation to the next, so that a steady rule gives the same
    objects again and stores recognise them at once.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Labels, State], tuple[Labels, Labels]] = {}

    def render(self, active: Active) -> tuple[tuple[Labels, ...], Values]:
        """Return the series of every pending and firing alert, and their values.

        `ALERTS` is 1, `ALERTS_FOR_STATE` the Unix time in seconds since when it is active.
        """
        kept: dict[tuple[Labels, State], tuple[Labels, Labels]] = {}
        labels: list[Labels] = []
        values: list[float] = []
        for alert in active.values():
            if alert.state is State.INACTIVE:
                continue
            key = (alert.labels, alert.state)
            kept[key] = pair = self._kept.get(key) or _series_of(alert)
            labels += pair
            values += [1.0, float(int(alert.active_at.timestamp()))]
        self._kept = kept
        return tuple(labels), np.array(values, dtype=np.float64)


def _series_of(alert: ActiveAlert) -> tuple[Labels, Labels]:
    named = alert.labels.merged({METRIC_NAME: "ALERTS", "alertstate": alert.state.value})
    return named, alert.labels.merged({METRIC_NAME: "ALERTS_FOR_STATE"})


def alert_labels(metric: Labels, rendered: Mapping[str, str], *, name: str) -> Labels:
    """Return the identity of an alert: the element's labels, the rule's over them, alertname."""
    return metric.merged({**rendered, METRIC_NAME: "", ALERT_NAME: name})
