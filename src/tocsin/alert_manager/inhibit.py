"""Inhibition: a target stays quiet while a source fires and the `equal` labels agree.

A missing label equals an empty one. An alert that matches both sides of a rule cannot be
inhibited by another that does (nor by itself). Source: Alertmanager `inhibit/inhibit.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tocsin.alert_manager.memo import Memo
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matchers, all_match


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """One rule; `equal` are label names in a fixed order."""

    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = ()
    name: str = ""

    def values(self, labels: Labels) -> tuple[str, ...]:
        """Return the values a source and a target must share."""
        return tuple(labels.value(name) for name in self.equal)


_Sources = dict[tuple[str, ...], dict[Labels, Alert]]


@dataclass(frozen=True, slots=True)
class _Sides:
    """On which side of which rules a label set stands: indices of rules, ascending."""

    source: tuple[int, ...]
    target: tuple[int, ...]


class Inhibitor:
    """The sources that may inhibit, by rule and by the values of its `equal` labels.

    The sides a label set takes are remembered by the values of the labels rules ask about, so
    the cost of a known combination does not grow with the number of rules. It holds ended
    alerts until `forget`, and asks each one for its end at the time in question.
    """

    def __init__(self, rules: Iterable[InhibitRule], alerts: Iterable[Alert] = ()) -> None:
        self._rules = tuple(rules)
        self._sources: tuple[_Sources, ...] = tuple({} for _ in self._rules)
        self._names = tuple(sorted({m.name for r in self._rules for m in (*r.source, *r.target)}))
        self._memo: Memo[tuple[str, ...], _Sides] = Memo()
        for alert in alerts:
            self.learn(alert)

    def learn(self, alert: Alert) -> None:
        """Take note of a new or changed alert."""
        if not self._rules:
            return
        for at in self._sides(alert.labels).source:
            values = self._rules[at].values(alert.labels)
            self._sources[at].setdefault(values, {})[alert.labels] = alert

    def forget(self, labels: Labels) -> None:
        """Drop an alert that is gone."""
        for at in self._sides(labels).source:
            values = self._rules[at].values(labels)
            peers = self._sources[at].get(values, {})
            if peers.pop(labels, None) is not None and not peers:
                del self._sources[at][values]

    def inhibits(self, labels: Labels, now: datetime) -> bool:
        """Tell whether some firing alert inhibits this label set."""
        return next(self.sources(labels, now), None) is not None

    def sources(self, labels: Labels, now: datetime) -> Iterator[Labels]:
        """Yield the firing alerts that inhibit this label set; one may come once per rule."""
        if not self._rules:
            return
        sides = self._sides(labels)
        for at in sides.target:
            peers = self._sources[at].get(self._rules[at].values(labels))
            if peers:
                yield from self._firing(at, peers, two_sided=at in sides.source, now=now)

    def _firing(
        self, at: int, peers: dict[Labels, Alert], *, two_sided: bool, now: datetime
    ) -> Iterator[Labels]:
        for alert in peers.values():
            both = two_sided and at in self._sides(alert.labels).target
            if not both and not alert.resolved_at(now):
                yield alert.labels

    def _sides(self, labels: Labels) -> _Sides:
        values = tuple(labels.value(name) for name in self._names)
        return self._memo.recall(values, lambda: self._test(labels))

    def _test(self, labels: Labels) -> _Sides:
        rules = list(enumerate(self._rules))
        return _Sides(
            source=tuple(at for at, r in rules if all_match(r.source, labels)),
            target=tuple(at for at, r in rules if all_match(r.target, labels)),
        )
