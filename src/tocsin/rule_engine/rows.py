"""An alert as a row of its rule's table, and the clock of rows that change by themselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush

from tocsin.model.labels import Labels
from tocsin.rule_engine.alerting import ActiveAlert, Timing, next_change, to_us

ABSENT = -1  # the place of an alert whose condition does not hold
_SPARE = 64  # entries of the clock that are always allowed


@dataclass(slots=True, eq=False)
class Row:
    """One alert of a rule, and where its value stands in the newest vector.

    `alert` is as of its last transition; `ActiveAlerts.read` brings value and annotations up to
    date. `written` are the series that stand for it in the store and `since_s` the value of the
    second, `told` the labels with which it is sent; they are kept here by those who write and
    send.
    """

    alert: ActiveAlert
    place: int = ABSENT
    due: int | None = None
    written: tuple[Labels, ...] = ()
    since_s: float = 0.0
    told: Labels | None = None


class Timers:
    """When rows change by themselves, by `alerting.next_change`. O(log n) for each change."""

    def __init__(self, timing: Timing) -> None:
        """Know no row."""
        self._timing = timing
        self._heap: list[tuple[int, int, Row]] = []
        self._count = 0

    def set(self, row: Row) -> None:
        """Note when `row`, which is another one now, changes next."""
        due = next_change(row.alert, self._timing)
        if due != row.due and due is not None:
            self._count += 1
            heappush(self._heap, (due, self._count, row))
        row.due = due

    def due(self, now: datetime) -> list[Row]:
        """Take out the rows whose time has come by `now`."""
        if not self._heap:
            return []
        rows, now_us = [], to_us(now)
        while self._heap and self._heap[0][0] <= now_us:
            due, _, row = heappop(self._heap)
            if due == row.due:
                row.due = None
                rows.append(row)
        return rows

    def tidy(self, rows: Collection[Row]) -> None:
        """Drop the entries of rows that went or changed before, once they are the larger part."""
        if len(self._heap) > 2 * len(rows) + _SPARE:
            self._heap = [
                (row.due, number, row) for number, row in enumerate(rows) if row.due is not None
            ]
            self._count = len(rows)
            heapify(self._heap)
