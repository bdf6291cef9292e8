"""One flush of one group: what is heard of it, who must be told, and who leaves it.

A flush with nothing to send and no news goes no further: most flushes of most groups do not.

A notification that was decided is in flight until its delivery is reported. While it is, a
later flush leaves it alone if it would say the same, replaces it if it must say something
else, and makes it void when what it tells has been suppressed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tocsin.alert_manager.config import Integration
from tocsin.alert_manager.fingerprint import fingerprint
from tocsin.alert_manager.grouping import Group, News, alert_order
from tocsin.alert_manager.notify_decision import InFlight, LogRecord, decide, keep_until
from tocsin.alert_manager.state import NotifyKey, TenantState
from tocsin.model.alert import Alert, Phase
from tocsin.model.events import GroupFlush, Target
from tocsin.model.incident import Ending
from tocsin.model.labels import Labels
from tocsin.model.notification import NotifiedAlert, Reason, notification_id


@dataclass(frozen=True, slots=True)
class _Heard:
    """A group as its receiver may hear of it: `alerts` are not suppressed, in group order.

    `resolved` and `hushed` (the suppressed ones) are fingerprints; `ended` are the label sets
    of all that have ended, suppressed or not.
    """

    alerts: tuple[NotifiedAlert, ...]
    news: News
    resolved: frozenset[str]
    hushed: frozenset[str]
    ended: tuple[Labels, ...]

    @property
    def firing(self) -> frozenset[str]:
        """Return the fingerprints of those that fire and are not suppressed."""
        return self.news.firing


def flush_group(state: TenantState, group: Group, *, at: datetime, seq: int) -> GroupFlush | None:
    """Flush `group` as of `at` and return what the next stage must know, None when it does."""
    flush = _Flush(state, group, at=at, seq=seq)
    integrations = state.config.receivers.get(group.route.receiver, ())
    targets = tuple(t for i in integrations if (t := flush.target(i)) is not None)
    flush.let_go(integrations)
    news, told = flush.heard.news, group.told
    if not targets and not flush.void and news == told:
        return None
    group.told = news
    return GroupFlush(
        key=flush.key,
        group_key=group.key,
        group_labels=group.labels,
        receiver=group.route.receiver,
        alerts=flush.heard.alerts,
        targets=targets,
        at=at,
        route_labels=group.route.labels,
        void=tuple(flush.void),
        over=Ending.RESOLVED if news.over else None,
    )


def farewell(group: Group, *, at: datetime, seq: int) -> GroupFlush:
    """Return what the next stage must know of a group that a reload has done away with."""
    return GroupFlush(
        key=_flush_key(group, seq),
        group_key=group.key,
        group_labels=group.labels,
        receiver=group.route.receiver,
        alerts=(),
        targets=(),
        at=at,
        route_labels=group.route.labels,
        over=Ending.REGROUPED,
    )


class _Flush:
    """The work of one flush; lives no longer than it."""

    def __init__(self, state: TenantState, group: Group, *, at: datetime, seq: int) -> None:
        self.heard = _listen(state, group, at)
        self.key = _flush_key(group, seq)
        self.void: list[str] = []
        self._state = state
        self._group = group
        self._scheduled = group.scheduled(at)

    def target(self, integration: Integration) -> Target | None:
        """Return what `integration` must be told, None when nothing; keeps the books."""
        key = self._notify_key(integration)
        flying = self._state.in_flight.get(key)
        reason = self._reason(integration, key) if self.heard.alerts else None
        if reason is None:
            self._hush(key, flying)
            return None
        if reason is Reason.ALL_RESOLVED and not integration.send_resolved:
            self._clear(key)
            return None
        if flying is not None and self._says_same(flying, integration):
            return None
        return self._launch(integration, key, reason)

    def let_go(self, integrations: Sequence[Integration]) -> None:
        """Let ended alerts leave: now if nobody waits for news, else when all have it."""
        current = [
            self._says_same(flying, i)
            for i in integrations
            if (flying := self._state.in_flight.get(self._notify_key(i))) is not None
        ]
        if not current:
            self._state.leave(self._group, self.heard.ended)
        else:
            self._group.announced = dict.fromkeys(self.heard.ended if all(current) else ())

    def _reason(self, integration: Integration, key: NotifyKey) -> Reason | None:
        return decide(
            self._state.log.get(key),
            self.heard.firing,
            self.heard.resolved,
            send_resolved=integration.send_resolved,
            repeat_interval=self._group.route.repeat_interval,
            now=self._scheduled,
        )

    def _hush(self, key: NotifyKey, flying: InFlight | None) -> None:
        """Nothing is to be said: make void what tells of an alert that is suppressed by now."""
        if flying is not None and flying.firing & self.heard.hushed:
            self.void.append(flying.id)
            self._state.in_flight.land(key)

    def _clear(self, key: NotifyKey) -> None:
        """Note that all is over for an integration that is not told of ends."""
        until = keep_until(self._scheduled, self._group.route.repeat_interval)
        ended = LogRecord(frozenset(), self.heard.resolved, self._scheduled, until)
        self._state.log[key] = ended

    def _says_same(self, flying: InFlight, integration: Integration) -> bool:
        return (flying.firing, flying.resolved) == self._sets(integration)

    def _sets(self, integration: Integration) -> tuple[frozenset[str], frozenset[str]]:
        resolved = self.heard.resolved if integration.send_resolved else frozenset()
        return self.heard.firing, resolved

    def _launch(self, integration: Integration, key: NotifyKey, reason: Reason) -> Target:
        old = self._state.in_flight.get(key)
        firing, resolved = self._sets(integration)
        flight = InFlight(
            id=notification_id(self._state.tenant, self.key, integration.name),
            firing=firing,
            resolved=resolved,
            at=self._scheduled,
            expires_at=keep_until(self._scheduled, self._group.route.repeat_interval),
        )
        self._state.in_flight.launch(key, flight)
        alerts = self.heard.alerts
        if not integration.send_resolved:
            alerts = tuple(a for a in alerts if a.status is Phase.FIRING)
        return Target(integration.name, alerts, reason, old.id if old else None)

    def _notify_key(self, integration: Integration) -> NotifyKey:
        return self._group.key, self._group.route.receiver, integration.name


def _listen(state: TenantState, group: Group, at: datetime) -> _Heard:
    alerts = [state.alerts[m] for m in sorted(group.members, key=alert_order)]
    muted = bool(state.muted_by(group.route, at))
    hushed = {a.labels for a in alerts if muted or state.suppressed(a.labels, at)}
    told = tuple(_notified(a, at) for a in alerts if a.labels not in hushed)
    ended = tuple(a.labels for a in alerts if a.resolved_at(at))
    firing = frozenset(t.fingerprint for t in told if t.status is Phase.FIRING)
    return _Heard(
        alerts=told,
        news=News(firing, over=len(ended) == len(alerts)),
        resolved=frozenset(t.fingerprint for t in told if t.status is Phase.RESOLVED),
        hushed=frozenset(fingerprint(labels) for labels in hushed),
        ended=ended,
    )


def _notified(alert: Alert, at: datetime) -> NotifiedAlert:
    phase = alert.phase(at)
    return NotifiedAlert(
        status=phase,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at if phase is Phase.RESOLVED else None,
        fingerprint=fingerprint(alert.labels),
        generator_url=alert.generator_url,
    )


def _flush_key(group: Group, seq: int) -> str:
    """Return 32 hex digits: a group is flushed at most once per entry of the log."""
    parts = f"{seq}\0{group.route.index}\0{group.key}"
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
