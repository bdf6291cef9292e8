"""What operators do with labels, kept from round to round.

A vector of a rule bears the same tuple of labels for as long as the same series take part, so
identity tells whether what was worked out still holds. What is kept belongs to one place of one
expression; when series join, only they are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.promql.ast import Binary, Matching
from tocsin.promql.bucket_layout import BucketLayout
from tocsin.promql.grid import Grid, Ints
from tocsin.promql.grouping import Groups, by_key
from tocsin.promql.matching import Matches, Signatures
from tocsin.promql.shaping import Shaping

Universe = tuple[Labels, ...]
T = TypeVar("T")


@dataclass(slots=True)
class Numbering:
    """Rows numbered by a key of their labels; rows that join are added."""

    key: Callable[[Labels], object]
    labels: Universe = ()
    ids: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    known: dict[object, int] = field(default_factory=dict)
    first: list[Labels] = field(default_factory=list)

    def of(self, labels: Universe) -> Ints:
        """Return the number of each row, from 0 in order of first appearance."""
        if labels is self.labels:
            return self.ids
        if not joined(self.labels, labels):
            self.labels, self.ids, self.known, self.first = (), self.ids[:0], {}, []
        fresh = labels[len(self.labels) :]
        self.ids = np.concatenate([self.ids, np.array(self._number(fresh), dtype=np.int64)])
        self.labels = labels
        return self.ids

    def _number(self, fresh: Iterable[Labels]) -> list[int]:
        found = []
        for labels in fresh:
            number = self.known.setdefault(self.key(labels), len(self.first))
            if number == len(self.first):
                self.first.append(labels)
            found.append(number)
        return found


def joined(before: Universe, after: Universe) -> bool:
    """Tell whether `after` is `before` with more rows behind it."""
    return len(after) >= len(before) and after[: len(before)] == before


@dataclass(slots=True)
class _Grouping:
    """The groups of an aggregation; their labels stay the same tuple while no group is new."""

    numbering: Numbering
    reduced: Callable[[Labels], Labels]
    names: Universe = ()
    groups: Groups | None = None

    def of(self, labels: Universe) -> Groups:
        if self.groups is None or self.numbering.labels is not labels:
            ids = self.numbering.of(labels)
            names = tuple(self.reduced(each) for each in self.numbering.first)
            if names != self.names:
                self.names = names
            none = np.zeros(len(self.names), dtype=np.bool_)
            self.groups = Groups(ids, self.names, none)
        return self.groups


@dataclass(slots=True)
class _Slot:
    """One result, and the label tuples it holds for."""

    inputs: tuple[Universe, ...]
    result: object


class Keeper:
    """Results by place, each for the labels it was worked out of."""

    def __init__(self) -> None:
        self._slots: dict[object, _Slot] = {}

    def get(self, place: object, inputs: tuple[Universe, ...], make: Callable[[], T]) -> T:
        """Return what is kept for these very label tuples, or make it."""
        slot = self._slots.get(place)
        if slot is None or not all(map(_is, slot.inputs, inputs)):
            slot = self._slots[place] = _Slot(inputs, make())
        return slot.result  # type: ignore[return-value]  # a place holds one kind of result


def _is(one: Universe, other: Universe) -> bool:
    return one is other


class KeptShaping(Shaping):
    """Keeps label work by the place that asks: set `place` before an operator is evaluated.

    Metric names are dropped late: rows of one metric stay apart without it, and most of them
    end in an aggregation that never looks at the name.
    """

    def __init__(self) -> None:
        super().__init__(delayed=False)
        self.place: object = None
        self._keeper = Keeper()
        self._groupings: dict[object, _Grouping] = {}

    def trim(self, grid: Grid) -> Grid:
        """Leave every row where it is, so that the labels stay the same tuple."""
        return grid

    def nameless(self, grid: Grid) -> Grid:
        """Mark the names as dropped where rows stay apart without them, else drop them."""
        if self.one_metric(grid.labels):
            return grid.nameless(delayed=True)
        return grid.nameless(delayed=False)

    def one_metric(self, labels: Universe) -> bool:
        """Tell whether all rows bear one metric name."""

        def look() -> bool:
            return len({each.value(METRIC_NAME) for each in labels}) <= 1

        return self._keeper.get((self.place, "names"), (labels,), look)

    def merged(self, grid: Grid) -> Grid:
        """Join rows with equal labels, if there can be any."""
        if self._apart(grid):
            return grid
        return grid.merged()

    def _apart(self, grid: Grid) -> bool:
        def look() -> bool:
            bare = [_bare(labels) for labels in grid.labels]
            return len(set(bare)) == len(bare)

        return self._keeper.get((self.place, "apart"), (grid.labels,), look)

    def groups(self, grid: Grid, labels: Sequence[str], *, without: bool) -> Groups:
        """Partition the rows of a vector; only rows that joined are looked at."""
        if METRIC_NAME in labels:
            return super().groups(grid, labels, without=without)
        place = (self.place, tuple(labels), without)
        grouping = self._groupings.get(place)
        if grouping is None:
            key, reduced = by_key(labels, without=without)
            grouping = self._groupings[place] = _Grouping(Numbering(key), reduced)
        return grouping.of(grid.labels)

    def matches(self, node: Binary, many: Grid, one: Grid) -> Matches:
        """Return which rows meet; kept while both sides are the same."""
        make = super().matches
        inputs = (many.labels, one.labels)
        return self._keeper.get((self.place, "matches"), inputs, lambda: make(node, many, one))

    def signatures(self, matching: Matching, left: Grid, right: Grid) -> Signatures:
        """Return the signature numbers; kept while both sides are the same."""
        make = super().signatures
        inputs = (left.labels, right.labels)
        place = (self.place, "signatures")
        return self._keeper.get(place, inputs, lambda: make(matching, left, right))

    def stacked_labels(self, upper: Universe, lower: Universe) -> Universe:
        """Return the labels of two vectors under each other: the same tuple for the same two."""
        return self._keeper.get((self.place, "stacked"), (upper, lower), lambda: upper + lower)

    def buckets(self, grid: Grid) -> BucketLayout:
        """Return how the rows form classic histograms; kept while they are the same."""
        make = super().buckets
        return self._keeper.get((self.place, "buckets"), (grid.labels,), lambda: make(grid))


def _bare(labels: Labels) -> Labels:
    return labels.drop((METRIC_NAME,)) if METRIC_NAME in labels else labels
