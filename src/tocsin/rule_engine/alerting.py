"""The life of an alert: pending, firing, resolved. Values in, values out; `now` is an argument.

Source: Prometheus, "Alerting rules", and `rules/alerting.go` for the corners. An alert is
pending until its condition has held for the whole of `for` without a gap, then firing. When
the condition clears it fires on for `keep_firing_for`, then it is resolved, and stays so for
15 minutes, so that a receiver that was away still hears of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import ALERT_NAME, METRIC_NAME, Labels

RESOLVED_RETENTION = timedelta(minutes=15)  # rules/alerting.go resolvedRetention

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


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


def resolve_all(alerts: Iterable[ActiveAlert], *, now: datetime) -> list[ActiveAlert]:
    """Return the firing and resolved alerts of a rule that ended at `now`, all resolved."""
    ended = (_absent(alert, now=now, keep=timedelta(0)) for alert in alerts)
    return [alert for alert in ended if alert is not None]


def next_change(alert: ActiveAlert, timing: Timing) -> int | None:
    """Return from which time on (Unix microseconds) `alert` becomes another by itself.

    As long as its condition stays as it is, `advance` changes nothing before that time but
    value and annotations. None: it would stay for ever.
    """
    match alert:
        case ActiveAlert(state=State.PENDING):
            return to_us(alert.active_at) + timing.hold // _US
        case ActiveAlert(resolved_at=datetime() as resolved):
            return to_us(resolved) + RESOLVED_RETENTION // _US + 1
        case ActiveAlert(keep_firing_since=datetime() as since):
            return to_us(since) + timing.keep_firing_for // _US
    return None


def to_us(at: datetime) -> int:
    """Return `at` as Unix microseconds, exactly."""
    return (at - _EPOCH) // _US


def same_value(one: float, other: float) -> bool:
    """Tell whether two values are shown alike: zeros by their sign, NaN equals NaN.

    >>> same_value(0.0, -0.0), same_value(math.nan, math.nan)
    (False, True)
    """
    if one == other:
        return one != 0 or math.copysign(1, one) == math.copysign(1, other)
    return math.isnan(one) and math.isnan(other)


def check_limit(count: int, limit: int) -> None:
    """Raise InvalidInput when more than `limit` alerts are pending or firing; 0 or less any."""
    if 0 < limit < count:
        raise InvalidInput(f"exceeded limit of {limit} with {count} alerts")


def series_of(alert: ActiveAlert) -> tuple[Labels, ...]:
    """Return the series `ALERTS` and `ALERTS_FOR_STATE` of an alert, none of a resolved one."""
    if alert.state is State.INACTIVE:
        return ()
    named = alert.labels.merged({METRIC_NAME: "ALERTS", "alertstate": alert.state.value})
    return named, alert.labels.merged({METRIC_NAME: "ALERTS_FOR_STATE"})


def since_seconds(alert: ActiveAlert) -> float:
    """Return the value of `ALERTS_FOR_STATE`, whole Unix seconds; that of `ALERTS` is 1."""
    return float(int(alert.active_at.timestamp()))


def alert_labels(metric: Labels, rendered: Mapping[str, str], *, name: str) -> Labels:
    """Return the identity of an alert: the element's labels, the rule's over them, alertname."""
    return metric.merged({**rendered, METRIC_NAME: "", ALERT_NAME: name})
