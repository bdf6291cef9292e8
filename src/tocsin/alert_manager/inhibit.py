"""Inhibition: a target stays quiet while a source fires and the `equal` labels agree.

A missing label equals an empty one. An alert that matches both sides of a rule cannot be
inhibited by another that does (nor by itself). Source: Alertmanager `inhibit/inhibit.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

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


Sources = dict[tuple[str, ...], dict[Labels, Alert]]


class Inhibitor:
    """The sources that may inhibit, by rule and by the values of its `equal` labels.

    Costs one look-up per rule and label set; it holds ended alerts until `forget`, and asks
    each one for its end at the time in question.
    """

    def __init__(self, rules: Iterable[InhibitRule], alerts: Iterable[Alert] = ()) -> None:
        self._rules: tuple[tuple[InhibitRule, Sources], ...] = tuple((r, {}) for r in rules)
        for alert in alerts:
            self.learn(alert)

    def learn(self, alert: Alert) -> None:
        """Take note of a new or changed alert."""
        for rule, sources in self._rules:
            if all_match(rule.source, alert.labels):
                sources.setdefault(rule.values(alert.labels), {})[alert.labels] = alert

    def forget(self, labels: Labels) -> None:
        """Drop an alert that is gone."""
        for rule, sources in self._rules:
            values = rule.values(labels)
            peers = sources.get(values, {})
            if peers.pop(labels, None) is not None and not peers:
                del sources[values]

    def inhibits(self, labels: Labels, now: datetime) -> bool:
        """Tell whether some firing alert inhibits this label set."""
        return next(self.sources(labels, now), None) is not None

    def sources(self, labels: Labels, now: datetime) -> Iterator[Labels]:
        """Yield the firing alerts that inhibit this label set; one may come once per rule."""
        for rule, sources in self._rules:
            peers = sources.get(rule.values(labels))
            if peers and all_match(rule.target, labels):
                yield from _firing(rule, peers, labels, now)


def _firing(
    rule: InhibitRule, peers: dict[Labels, Alert], labels: Labels, now: datetime
) -> Iterator[Labels]:
    two_sided = all_match(rule.source, labels)
    for alert in peers.values():
        both = two_sided and all_match(rule.target, alert.labels)
        if not both and not alert.resolved_at(now):
            yield alert.labels
