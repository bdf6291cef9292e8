"""The alerts of one rule from round to round, at the cost of what changes.

`alerting.transition` says what a round makes of each alert. Of most alerts it makes nothing
but a new value and the annotations that go with it. So a round asks it only for the alerts
that may change otherwise: elements that appear or vanish, and alerts whose time has come
(`alerting.next_change`). Value and annotations of the others are those of the newest vector,
put in where somebody looks. A round without any change costs nothing per alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import msgspec
import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.series import Values
from tocsin.rule_engine.alerting import (
    ActiveAlert,
    Seen,
    State,
    Timing,
    check_limit,
    promote,
    same_value,
    transition,
)
from tocsin.rule_engine.elements import Elements
from tocsin.rule_engine.ports import Answer
from tocsin.rule_engine.rows import ABSENT, Row, Timers

Words = Callable[[Labels, float], Labels | None]
"""Renders the annotations of an element for another value; None when they stay as they are."""

Since = Callable[[Labels], datetime | None]
"""Tells since when an alert that is new to this process has been active, None for now."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the element at `place` of a vector is as an alert."""

    place: int
    labels: Labels
    seen: Seen


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A vector beside the one before: the row of each element, None for one that is new."""

    answer: Answer
    rows: Sequence[Row | None]
    steady: bool

    def appeared(self) -> list[int]:
        """Return the places of elements that were not there before."""
        if self.steady:
            return []
        return [place for place, row in enumerate(self.rows) if row is None]


@dataclass(frozen=True, slots=True)
class _Step:
    """What a round touches: alerts by labels, None for a new one; what was seen, and where."""

    touched: dict[Labels, Row | None] = field(default_factory=dict)
    seen: dict[Labels, Seen] = field(default_factory=dict)
    places: dict[Labels, int] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Return the rows touched."""
        return [row for row in self.touched.values() if row is not None]


class ActiveAlerts:
    """The pending, firing and lately resolved alerts of a rule. Not for concurrent use."""

    def __init__(self, timing: Timing, *, words: Words, before: Iterable[ActiveAlert] = ()) -> None:
        """Go on from the alerts `before`."""
        self._timing = timing
        self._words = words
        self._rows = {alert.labels: Row(alert) for alert in before}
        self._doubtful = list(self._rows.values())  # the next vector says whether they hold
        self._changed: list[Row] = []
        self._count = _active(row.alert for row in self._doubtful)
        self._timers = Timers(timing)
        self._elements: Elements[Row] = Elements()
        self._values: Values = np.empty(0)

    def rows(self) -> Iterable[Row]:
        """Return every alert as a row, oldest first."""
        return self._rows.values()

    def holds(self, row: Row) -> bool:
        """Tell whether `row` is one of these alerts still."""
        return self._rows.get(row.alert.labels) is row

    def read(self, row: Row) -> ActiveAlert:
        """Return an alert with the value and the annotations of the newest vector."""
        alert = row.alert
        if row.place == ABSENT:
            return alert
        value = float(self._values[row.place])
        if not same_value(alert.value, value):
            words = self._words(self._elements.labels[row.place], value)
            annotations = alert.annotations if words is None else words
            row.alert = msgspec.structs.replace(alert, value=value, annotations=annotations)
        return row.alert

    def all(self) -> list[ActiveAlert]:
        """Return every alert as of the newest vector, resolved ones too."""
        return [self.read(row) for row in self._rows.values()]

    def take_changed(self) -> list[Row]:
        """Return, once, the rows that are new, gone, or in another state."""
        changed, self._changed = self._changed, []
        return changed

    def clear(self) -> None:
        """Forget every alert."""
        self._changed += self._rows.values()
        self._rows, self._doubtful, self._count = {}, [], 0
        self._timers = Timers(self._timing)
        self._elements = Elements()

    # -- a round -----------------------------------------------------------------------------

    def compare(self, answer: Answer) -> Comparison:
        """Put a new vector beside the one before; nothing changes yet."""
        if self._elements.same(answer.labels):
            return Comparison(answer, self._elements.items, steady=True)
        return Comparison(answer, self._elements.find(answer.labels), steady=False)

    def moved(self, new: Comparison) -> list[int]:
        """Return the places of known elements whose value is another one, bit for bit."""
        held = [(place, row.place) for place, row in enumerate(new.rows) if row is not None]
        if not held:
            return []
        places, before = np.array(held, dtype=np.intp).T
        bits, old = new.answer.values.view(np.int64)[places], self._values.view(np.int64)[before]
        return [int(place) for place in places[bits != old]]

    def step(
        self, new: Comparison, found: Sequence[Found], *, now: datetime, limit: int, since: Since
    ) -> None:
        """Move every alert on.

        `found` are the elements that are new and those whose labels or annotations may have
        changed for another reason than `words`. Raises InvalidInput when two elements became
        the same alert: then nothing changed. Raises it, too, when more than `limit` alerts are
        active: then all are forgotten, as upstream.
        """
        step = _Step()
        if found or self._doubtful or not new.steady:
            self._add_found(step, new, found)
        self._add_due(step, now)
        if step.touched:
            self._change(step, now=now, limit=limit, since=since)
        self._place(step, new)
        self._doubtful = []

    def _add_found(self, step: _Step, new: Comparison, found: Sequence[Found]) -> None:
        """Touch the alerts that appear, that may read otherwise, and those that vanish."""
        again = {each.place for each in found}
        held = [row for at, row in enumerate(new.rows) if row is not None and at not in again]
        still = set(held)
        if len(still) != len(held):
            [(twice, _)] = Counter(held).most_common(1)
            raise _duplicate(twice.alert.labels)
        for each in found:
            row = self._rows.get(each.labels)
            if each.labels in step.touched or row in still:
                raise _duplicate(each.labels)
            step.touched[each.labels] = row
            step.seen[each.labels] = each.seen
            step.places[each.labels] = each.place
        for row in [row for row in self._elements.items if row not in still] + self._doubtful:
            step.touched.setdefault(row.alert.labels, row)

    def _add_due(self, step: _Step, now: datetime) -> None:
        """Touch the alerts whose time has come."""
        for row in self._timers.due(now):
            labels = row.alert.labels
            if labels not in step.touched:
                step.touched[labels] = row
                if row.place != ABSENT:
                    step.seen[labels] = Seen(row.alert.annotations, row.alert.value)

    def _change(self, step: _Step, *, now: datetime, limit: int, since: Since) -> None:
        """Keep what becomes of the alerts touched, if there are no more than `limit` then."""
        before = step.rows()
        for held in before:
            if held.alert.labels not in step.seen and held.alert.state is State.FIRING:
                self.read(held)  # it goes with the value it had last
        after = self._after(step, before, now=now, since=since)
        count = self._count - _active(row.alert for row in before) + _active(after.values())
        try:
            check_limit(count, limit)
        except InvalidInput:
            self.clear()
            raise
        self._count = count
        for labels, row in step.touched.items():
            self._keep(labels, row, after.get(labels))
        self._timers.tidy(self._rows.values())

    def _after(
        self, step: _Step, before: Sequence[Row], *, now: datetime, since: Since
    ) -> dict[Labels, ActiveAlert]:
        """Return what the definition makes of the alerts touched."""
        alerts = {row.alert.labels: row.alert for row in before}
        after = transition(alerts, step.seen, now=now, timing=self._timing)
        for labels in step.seen.keys() - alerts.keys():
            active_at = since(labels)
            if active_at is not None:
                older = msgspec.structs.replace(after[labels], active_at=active_at)
                after[labels] = promote(older, now=now, hold=self._timing.hold)
        return after

    def _keep(self, labels: Labels, row: Row | None, alert: ActiveAlert | None) -> None:
        """Put what became of an alert in the place of what it was; None for nothing."""
        if alert is None:
            gone = self._rows.pop(labels)
            gone.due = None
            self._changed.append(gone)
            return
        if row is None:
            row = Row(alert)
            self._rows[labels] = row
            self._changed.append(row)
        elif alert.state is not row.alert.state:
            self._changed.append(row)
        row.alert = alert
        self._timers.set(row)

    def _place(self, step: _Step, new: Comparison) -> None:
        """Let each row know where its value stands from now on."""
        for row in step.rows():
            if row.alert.labels not in step.seen:
                row.place = ABSENT
        found = {place: self._rows[labels] for labels, place in step.places.items()}
        if new.steady:
            for place, each in found.items():
                each.place = place
                self._elements.put(place, each)
        else:
            rows = list(new.rows)
            for place, each in found.items():
                rows[place] = each
            known = cast("list[Row]", rows)  # what was not known is in `found`
            for place, each in enumerate(known):
                each.place = place
            self._elements.keep(new.answer.labels, known)
        self._values = new.answer.values


def _active(alerts: Iterable[ActiveAlert]) -> int:
    return sum(alert.state is not State.INACTIVE for alert in alerts)


def _duplicate(labels: Labels) -> InvalidInput:
    return InvalidInput(
        f"vector contains metrics with the same labelset after applying alert labels: {labels}"
    )
