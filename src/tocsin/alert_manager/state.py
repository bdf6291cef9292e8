"""The state of one tenant: what replaying its log gives, and its image for a snapshot.

Holds data and the moves on it; `apply` decides which entry makes which move. No I/O, no
clock, no randomness.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tocsin.alert_manager.config import (
    ConfigSource,
    EngineConfig,
    RouteConfig,
    decode_source,
    encode_source,
    from_source,
)
from tocsin.alert_manager.fingerprint import fingerprint
from tocsin.alert_manager.grouping import Group, Groups, News, Place
from tocsin.alert_manager.inhibit import Inhibitor
from tocsin.alert_manager.memo import Memo
from tocsin.alert_manager.mute import muted_by
from tocsin.alert_manager.notify_decision import InFlight, LogRecord
from tocsin.alert_manager.route import Route, Router
from tocsin.alert_manager.silence import RETENTION, Silence, Silences
from tocsin.model.alert import Alert
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId

VERSION = 1
GC_INTERVAL = timedelta(minutes=15)
CLOCK_SLACK = timedelta(seconds=1)  # a smaller step back does not matter to timers

NotifyKey = tuple[str, str, str]
"""Group key, receiver, integration: what the notification log is kept by, as upstream does."""

NO_CONFIG = from_source(ConfigSource(hash="", route=RouteConfig(), receivers={}))
"""In force before the first CONFIG entry: one route without a receiver."""


class Flights:
    """The notifications in flight, by what they tell whom and by their id."""

    def __init__(self) -> None:
        self._flights: dict[NotifyKey, InFlight] = {}
        self._keys: dict[str, NotifyKey] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def items(self) -> ItemsView[NotifyKey, InFlight]:
        """Return a view of all, oldest first."""
        return self._flights.items()

    def get(self, key: NotifyKey) -> InFlight | None:
        """Return what is in flight for `key`, None when nothing is."""
        return self._flights.get(key)

    def key_of(self, notification: str) -> NotifyKey | None:
        """Return what the notification of that id tells whom; None when it is not in flight."""
        return self._keys.get(notification)

    def launch(self, key: NotifyKey, flight: InFlight) -> None:
        """Take note of a notification; it takes the place of another for the same key."""
        if key in self._flights:
            self.land(key)
        self._flights[key] = flight
        self._keys[flight.id] = key

    def land(self, key: NotifyKey) -> InFlight:
        """Forget the notification in flight for `key` and return it. KeyError when none is."""
        flight = self._flights.pop(key)
        del self._keys[flight.id]
        return flight


class TenantState:
    """Alerts, silences, groups, the notification log and what is in flight of one tenant."""

    def __init__(self, tenant: TenantId, config: EngineConfig = NO_CONFIG) -> None:
        self.tenant = tenant
        self.alerts: dict[Labels, Alert] = {}
        self.silences = Silences()
        self.groups = Groups()
        self.log: dict[NotifyKey, LogRecord] = {}
        self.in_flight = Flights()
        self.not_before: datetime | None = None
        self.next_gc: datetime | None = None
        self.now: datetime | None = None
        self.use(config)

    def next_due(self) -> datetime | None:
        """Return when a TICK is needed next, None while there is no group."""
        return self.groups.next_due()

    def move_to(self, now: datetime) -> None:
        """Note that it is `now`; when the clock was set back, timers move back with it."""
        if self.now is not None and self.now - now > CLOCK_SLACK:
            self.groups.shift(now - self.now)
        self.now = now

    def routes_of(self, labels: Labels) -> tuple[Route, ...]:
        """Return the routes that take an alert with these labels."""
        return self._router.match(labels)

    def inhibitors(self, labels: Labels, now: datetime) -> tuple[str, ...]:
        """Return the fingerprints of the firing alerts that inhibit this one, sorted."""
        return tuple(sorted({fingerprint(s) for s in self._inhibitor.sources(labels, now)}))

    def suppressed(self, labels: Labels, now: datetime) -> bool:
        """Tell whether an alert is inhibited or silenced."""
        if self._inhibitor.inhibits(labels, now):
            return True
        return bool(self.silences.silencing(labels, now))

    def muted_by(self, route: Route, now: datetime) -> tuple[str, ...]:
        """Return the time intervals that keep `route` quiet."""
        if not route.mute and not route.active:
            return ()
        return muted_by(route.mute, route.active, self.config.intervals, now)

    def take(self, alert: Alert, now: datetime) -> None:
        """Merge one alert into the store and put it into its groups."""
        old = self.alerts.get(alert.labels)
        kept = alert if old is None else merge(old, alert, now)
        self.alerts[kept.labels] = kept
        self._inhibitor.learn(kept)
        self._place(kept, now)

    def leave(self, group: Group, labels: Iterable[Labels]) -> None:
        """Take resolved alerts out of a group; the last group to lose one drops it."""
        for one in labels:
            group.members.pop(one, None)
            if one in self.alerts and not self._has_group(one):
                del self.alerts[one]
                self._inhibitor.forget(one)
        group.announced.clear()
        if not group.members:
            self.groups.discard(group)

    def reconfigure(self, config: EngineConfig, now: datetime) -> None:
        """Put `config` in force: groups are rebuilt from the alerts, timers restart."""
        delay = config.source.start_delay
        self.not_before = now + delay if delay else self.not_before
        self.use(config)
        self.groups = Groups()
        for alert in self.alerts.values():
            self._place(alert, now)

    def collect_garbage(self, now: datetime) -> None:
        """Forget ended silences and old records of the notification log, now and then."""
        if self.next_gc is not None and now < self.next_gc:
            return
        self.next_gc = now + GC_INTERVAL
        self.silences.forget_ended(now - RETENTION)
        self.log = {k: r for k, r in self.log.items() if r.expires_at > now}
        for (key, receiver, integration), flight in tuple(self.in_flight.items()):
            if flight.expires_at <= now and not self.groups.named(key, receiver):
                self.in_flight.land((key, receiver, integration))

    def snapshot(self) -> bytes:
        """Return the whole state as bytes, equal for equal states."""
        return _ENCODER.encode(_image(self))

    @classmethod
    def restore(cls, tenant: TenantId, body: bytes) -> TenantState:
        """Return the state held in `body`. Raises InvalidInput when it is not one of ours."""
        try:
            image = _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"not a snapshot of tenant {tenant}: {error}") from error
        if image.version != VERSION:
            message = f"snapshot of tenant {tenant} has version {image.version}, not {VERSION}"
            raise InvalidInput(message)
        state = cls(tenant)
        _fill(state, image)
        return state

    def use(self, config: EngineConfig) -> None:
        """Route and inhibit by `config` from now on; groups stay as they are."""
        self.config = config
        self._router = Router(config.route)
        self._places: Memo[Labels, tuple[Place, ...]] = Memo()
        self._inhibitor = Inhibitor(config.inhibit_rules, self.alerts.values())

    def _place(self, alert: Alert, now: datetime) -> None:
        for place in self._places_of(alert.labels):
            self.groups.insert(place, alert, now=now, not_before=self.not_before)

    def _has_group(self, labels: Labels) -> bool:
        groups = (self.groups.get(place.id) for place in self._places_of(labels))
        return any(group is not None and labels in group.members for group in groups)

    def _places_of(self, labels: Labels) -> tuple[Place, ...]:
        return self._places.recall(labels, lambda: self._find_places(labels))

    def _find_places(self, labels: Labels) -> tuple[Place, ...]:
        routes = self._router.match(labels)
        return tuple(Place(route, route.group_labels(labels)) for route in routes)


def merge(old: Alert, new: Alert, now: datetime) -> Alert:
    """Return what is known of an alert once `new` has come; `new` is not older than `old`.

    Only when one end of the new interval lies strictly inside the old one are they the same
    story; otherwise the new alert replaces the old. Source: Alertmanager `Alert.Merge`.
    """
    inside = old.starts_at < new.ends_at < old.ends_at
    inside = inside or old.starts_at < new.starts_at < old.ends_at
    if not inside:
        return new
    starts = min(old.starts_at, new.starts_at)
    if old.ends_at <= new.ends_at or not _end_wins(old, new, now):
        return replace(new, starts_at=starts)
    return replace(new, starts_at=starts, ends_at=old.ends_at)


def _end_wins(old: Alert, new: Alert, now: datetime) -> bool:
    """Tell whether the later end of the old alert stands."""
    return old.resolved_at(now) if new.resolved_at(now) else not old.timeout


class _GroupImage(msgspec.Struct, array_like=True):
    route: int
    labels: Labels
    due: datetime
    members: list[int]
    announced: list[int]
    told: News | None = None


class _Record(msgspec.Struct, array_like=True):
    key: NotifyKey
    record: LogRecord


class _Flight(msgspec.Struct, array_like=True):
    key: NotifyKey
    flight: InFlight


class _Image(msgspec.Struct):
    """A state at rest; alerts are named by their place in `alerts`."""

    version: int
    config: msgspec.Raw
    alerts: list[Alert]
    groups: list[_GroupImage]
    silences: list[Silence]
    log: list[_Record]
    in_flight: list[_Flight]
    not_before: datetime | None
    next_gc: datetime | None
    now: datetime | None


def _image(state: TenantState) -> _Image:
    place = {labels: at for at, labels in enumerate(state.alerts)}
    return _Image(
        version=VERSION,
        config=msgspec.Raw(encode_source(state.config.source)),
        alerts=list(state.alerts.values()),
        groups=[
            _GroupImage(
                route=g.route.index,
                labels=g.labels,
                due=g.due,
                members=[place[m] for m in g.members],
                announced=[place[m] for m in g.announced],
                told=g.told,
            )
            for g in state.groups
        ],
        silences=list(state.silences),
        log=[_Record(k, r) for k, r in state.log.items()],
        in_flight=[_Flight(k, f) for k, f in state.in_flight.items()],
        not_before=state.not_before,
        next_gc=state.next_gc,
        now=state.now,
    )


def _fill(state: TenantState, image: _Image) -> None:
    state.alerts = {alert.labels: alert for alert in image.alerts}
    state.use(from_source(decode_source(bytes(image.config))))
    for one in image.groups:
        group = Group(state.config.routes[one.route], one.labels, one.due)
        group.members = {image.alerts[at].labels: None for at in one.members}
        group.announced = {image.alerts[at].labels: None for at in one.announced}
        group.told = one.told
        state.groups.add(group)
    state.silences = Silences(image.silences)
    state.log = {one.key: one.record for one in image.log}
    for flying in image.in_flight:
        state.in_flight.launch(flying.key, flying.flight)
    state.not_before, state.next_gc, state.now = image.not_before, image.next_gc, image.now


def _to_wire(labels: Labels) -> object:
    return dict(labels.pairs)


def _from_wire(_: type[Labels], value: Any) -> Labels:
    return Labels.of(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_to_wire, order="deterministic")
_DECODER = msgspec.json.Decoder(_Image, dec_hook=_from_wire)
