"""Answers about one tenant's state as of a time. Nothing here changes the state.

Status is computed at query time: a silence shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from tocsin.alert_manager.fingerprint import fingerprint
from tocsin.alert_manager.grouping import Group, alert_order, label_order
from tocsin.alert_manager.silence import Silence, SilenceState
from tocsin.alert_manager.state import TenantState
from tocsin.alert_manager.views import (
    AlertFilter,
    AlertView,
    GroupView,
    SilenceView,
    StageStatus,
)
from tocsin.model.alert import Alert, AlertState
from tocsin.model.matchers import Matchers, all_match


def alert_views(state: TenantState, now: datetime, wanted: AlertFilter) -> list[AlertView]:
    """Return the alerts that have not ended and pass, sorted by fingerprint."""
    found = (_alert_view(state, alert, now, wanted) for alert in state.alerts.values())
    return sorted((v for v in found if v is not None), key=lambda v: v.fingerprint)


def group_views(state: TenantState, now: datetime, wanted: AlertFilter) -> list[GroupView]:
    """Return the groups with an alert that passes, sorted by labels, then receiver."""
    found = (_group_view(state, group, now, wanted) for group in state.groups)
    return sorted(
        (v for v in found if v is not None), key=lambda v: (label_order(v.labels), v.receiver)
    )


def silence_views(
    state: TenantState, now: datetime, *, matchers: Matchers, states: Iterable[SilenceState]
) -> list[SilenceView]:
    """Return the silences in one of `states` that have every one of `matchers`.

    Active ones first, the soonest to end before; then pending, the soonest to start before;
    then expired, the latest ended before.
    """
    wanted = frozenset(states)
    views = (SilenceView(s, s.state(now)) for s in state.silences if _has(s, matchers))
    return sorted((v for v in views if v.state in wanted), key=_silence_order)


def status_of(state: TenantState, now: datetime, *, applied_seq: int) -> StageStatus:
    """Return the numbers of a tenant. Looks at every alert."""
    live = [a.labels for a in state.alerts.values() if not a.resolved_at(now)]
    suppressed = sum(state.suppressed(labels, now) for labels in live)
    silences = dict.fromkeys(SilenceState, 0)
    for silence in state.silences:
        silences[silence.state(now)] += 1
    return StageStatus(
        config_hash=state.config.hash,
        applied_seq=applied_seq,
        firing=len(live) - suppressed,
        suppressed=suppressed,
        resolved=len(state.alerts) - len(live),
        groups=len(state.groups),
        in_flight=len(state.in_flight),
        silences=silences,
    )


def _alert_view(
    state: TenantState, alert: Alert, now: datetime, wanted: AlertFilter
) -> AlertView | None:
    if alert.resolved_at(now) or not all_match(wanted.matchers, alert.labels):
        return None
    receivers = tuple(route.receiver for route in state.routes_of(alert.labels))
    if not _receiver_passes(receivers, wanted):
        return None
    view = _seen(state, alert, now, receivers=receivers)
    return view if _status_passes(view, wanted) else None


def _seen(
    state: TenantState,
    alert: Alert,
    now: datetime,
    *,
    receivers: tuple[str, ...],
    muted_by: tuple[str, ...] = (),
) -> AlertView:
    silenced = state.silences.silencing(alert.labels, now)
    inhibited = state.inhibitors(alert.labels, now)
    quiet = bool(silenced or inhibited or muted_by)
    return AlertView(
        alert=alert,
        fingerprint=fingerprint(alert.labels),
        receivers=receivers,
        state=AlertState.SUPPRESSED if quiet else AlertState.ACTIVE,
        silenced_by=silenced,
        inhibited_by=inhibited,
        muted_by=muted_by,
    )


def _receiver_passes(receivers: Iterable[str], wanted: AlertFilter) -> bool:
    return wanted.receiver is None or any(wanted.receiver.matches(r) for r in receivers)


def _status_passes(view: AlertView, wanted: AlertFilter) -> bool:
    quiet = bool(view.silenced_by or view.inhibited_by)
    return (
        (wanted.active or quiet)
        and (wanted.silenced or not view.silenced_by)
        and (wanted.inhibited or not view.inhibited_by)
    )


def _group_view(
    state: TenantState, group: Group, now: datetime, wanted: AlertFilter
) -> GroupView | None:
    if not _receiver_passes((group.route.receiver,), wanted):
        return None
    muted_by = state.muted_by(group.route, now)
    if muted_by and not wanted.muted:
        return None
    views = (
        _seen(state, alert, now, receivers=_receivers(state, alert), muted_by=muted_by)
        for alert in _wanted_members(state, group, now, wanted.matchers)
    )
    alerts = tuple(v for v in views if _status_passes(v, wanted))
    if not alerts:
        return None
    route = group.route
    return GroupView(group.labels, route.receiver, group.key, alerts, route.labels)


def _wanted_members(
    state: TenantState, group: Group, now: datetime, matchers: Matchers
) -> list[Alert]:
    alerts = (state.alerts[labels] for labels in sorted(group.members, key=alert_order))
    return [a for a in alerts if not a.resolved_at(now) and all_match(matchers, a.labels)]


def _receivers(state: TenantState, alert: Alert) -> tuple[str, ...]:
    return tuple(sorted(route.receiver for route in state.routes_of(alert.labels)))


def _has(silence: Silence, matchers: Matchers) -> bool:
    own = {(m.name, m.op, m.value) for m in silence.matchers}
    return all((m.name, m.op, m.value) in own for m in matchers)


def _silence_order(view: SilenceView) -> tuple[int, float]:
    rank = list(SilenceState).index(view.state)
    key: Callable[[Silence], float] = _TIME_ORDER[view.state]
    return rank, key(view.silence)


_TIME_ORDER: dict[SilenceState, Callable[[Silence], float]] = {
    SilenceState.ACTIVE: lambda s: s.ends_at.timestamp(),
    SilenceState.PENDING: lambda s: s.starts_at.timestamp(),
    SilenceState.EXPIRED: lambda s: -s.ends_at.timestamp(),
}
