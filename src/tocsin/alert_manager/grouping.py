"""Aggregation groups and their timers: who is in which group, and when it is flushed next.

A group is one route plus the values of its `group_by` labels. It is flushed first after
`group_wait` (at once when the alert that made it is older than that), then on a fixed lattice
of `group_interval`; flushes that were missed are skipped. A group without alerts is removed
at once, as in Alertmanager since 0.30 (0.25 did so within 30 s); an alert that comes back
makes a new one. Knows nothing of notifications.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterator, KeysView
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tocsin.alert_manager.route import Route
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels

GroupId = tuple[int, Labels]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert belongs: a route and the labels of its group there."""

    route: Route
    labels: Labels

    @property
    def id(self) -> GroupId:
        """Return the id of the group."""
        return self.route.index, self.labels


class News(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the next stage makes incidents of: `firing` are fingerprints, suppressed ones left out.

    `over`: nothing fires in the group, suppressed or not.
    """

    firing: frozenset[str]
    over: bool


class Group:
    """One aggregation group. `members` are the label sets of its alerts, oldest first.

    `announced` are resolved alerts whose news is on its way to every integration: they leave
    when the last one has it. `told` is the news the next stage has, None before the first
    flush.
    """

    __slots__ = ("announced", "due", "key", "labels", "members", "route", "told")

    def __init__(self, route: Route, labels: Labels, due: datetime) -> None:
        self.route = route
        self.labels = labels
        self.key = route.group_key(labels)
        self.due = due
        self.members: dict[Labels, None] = {}
        self.announced: dict[Labels, None] = {}
        self.told: News | None = None

    @property
    def id(self) -> GroupId:
        """Return what tells this group from all others of its tenant."""
        return self.route.index, self.labels

    def scheduled(self, now: datetime) -> datetime:
        """Return the time on the lattice that a flush at `now` stands for.

        Timers fire a little late; comparing lattice times keeps `repeat_interval` exact. A
        flush that is late by a whole interval stands for itself.
        """
        late = now - self.due
        return self.due if late < self.route.group_interval else now

    def reschedule(self, now: datetime) -> None:
        """Move the timer to the next lattice time after `now`."""
        interval = self.route.group_interval
        self.due += interval * ((now - self.due) // interval + 1)


class Groups:
    """All groups of a tenant, with a heap of their timers; stale heap entries are skipped."""

    def __init__(self) -> None:
        self._all: dict[GroupId, Group] = {}
        self._named: dict[str, dict[GroupId, Group]] = {}
        self._heap: list[tuple[datetime, int, Labels]] = []

    def __iter__(self) -> Iterator[Group]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def get(self, group_id: GroupId) -> Group | None:
        """Return one group, None when there is none."""
        return self._all.get(group_id)

    def keys(self) -> KeysView[str]:
        """Return the group keys; siblings may share one."""
        return self._named.keys()

    def named(self, key: str, receiver: str) -> list[Group]:
        """Return the groups that share a group key and a receiver: siblings may."""
        named = self._named.get(key, {})
        return [g for g in named.values() if g.route.receiver == receiver]

    def insert(
        self, place: Place, alert: Alert, *, now: datetime, not_before: datetime | None
    ) -> None:
        """Put `alert` into the group of `place`, which is made when there is none.

        `not_before` holds back the first flush of a new group.
        """
        group = self._all.get(place.id)
        if group is None:
            due = _first_due(place.route, alert, now, not_before)
            group = Group(place.route, place.labels, due)
            self.add(group)
        group.members[alert.labels] = None
        group.announced.pop(alert.labels, None)

    def add(self, group: Group) -> None:
        """Take in a group and set its timer."""
        self._all[group.id] = group
        self._named.setdefault(group.key, {})[group.id] = group
        self._push(group)

    def discard(self, group: Group) -> None:
        """Remove a group; its heap entry goes stale."""
        del self._all[group.id]
        named = self._named[group.key]
        del named[group.id]
        if not named:
            del self._named[group.key]

    def shift(self, by: timedelta) -> None:
        """Move all timers."""
        for group in self:
            group.due += by
        self._heap = [(group.due, *group.id) for group in self]
        heapq.heapify(self._heap)

    def next_due(self) -> datetime | None:
        """Return when the next group is to be flushed, None when there is no group."""
        while self._heap and self._is_stale(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: datetime) -> Iterator[Group]:
        """Yield the groups due at `now`, the earliest first; each is rescheduled afterwards.

        A group may be discarded by the taker.
        """
        while (due := self.next_due()) is not None and due <= now:
            _, index, labels = heapq.heappop(self._heap)
            group = self._all[index, labels]
            yield group
            if self._all.get(group.id) is group:
                group.reschedule(now)
                self._push(group)

    def _push(self, group: Group) -> None:
        heapq.heappush(self._heap, (group.due, *group.id))

    def _is_stale(self, entry: tuple[datetime, int, Labels]) -> bool:
        due, index, labels = entry
        group = self._all.get((index, labels))
        return group is None or group.due != due


def _first_due(route: Route, alert: Alert, now: datetime, not_before: datetime | None) -> datetime:
    old = alert.starts_at + route.group_wait < now
    due = now if old else now + route.group_wait
    return due if not_before is None else max(due, not_before)


def _before(a: Labels, b: Labels) -> int:
    """Compare label sets as Prometheus' LabelSet.Before: shorter first, then by first difference.

    Of two sets of the same size that differ in a name, the one lacking the smaller name comes
    first.
    """
    if len(a) != len(b):
        return len(a) - len(b)
    for (name_a, value_a), (name_b, value_b) in zip(a.pairs, b.pairs, strict=True):
        if name_a != name_b:
            return 1 if name_a < name_b else -1
        if value_a != value_b:
            return -1 if value_a < value_b else 1
    return 0


label_order = functools.cmp_to_key(_before)


def alert_order(labels: Labels) -> tuple[bool, str, bool, str, object]:
    """Return the sort key of an alert in its group: `job`, `instance`, then all labels."""
    job, instance = labels.value("job"), labels.value("instance")
    return not job, job, not instance, instance, label_order(labels)
