"""Which elements of a vector belong together, by labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tocsin.model.labels import EMPTY, METRIC_NAME, Labels
from tocsin.promql.grid import Bools, Floats, Grid, Ints, first_rows, numbered

_CELLS = 1 << 22  # cells of one block; longer step ranges are cut


@dataclass(frozen=True, slots=True)
class Groups:
    """A partition of rows: `ids` (rows,) numbers the group of each, in order of appearance."""

    ids: Ints
    labels: tuple[Labels, ...]
    drop_name: Bools
    _batches: list[tuple[Ints, Ints]] = field(default_factory=list, repr=False, compare=False)

    @property
    def count(self) -> int:
        """Return how many groups there are."""
        return len(self.labels)

    def batches(self) -> Sequence[tuple[Ints, Ints]]:
        """Return the groups of each size: their numbers (n,), and their rows (n, size) in order.

        Worked out once.
        """
        if not self._batches:
            self._batches.extend(self._by_size())
        return self._batches

    def _by_size(self) -> Iterator[tuple[Ints, Ints]]:
        order = np.argsort(self.ids, kind="stable")
        sizes = np.bincount(self.ids, minlength=self.count)
        starts = np.cumsum(sizes) - sizes
        for size in np.unique(sizes).tolist():
            groups = np.flatnonzero(sizes == size)
            yield groups, order[starts[groups][:, None] + np.arange(size)]


def group(grid: Grid, labels: Sequence[str], *, without: bool = False) -> Groups:
    """Partition the rows of a vector `by` or `without` some labels."""
    if not labels and not without:
        ids, count = np.zeros(len(grid.labels), dtype=np.int64), min(1, len(grid.labels))
        return Groups(ids, (EMPTY,) * count, np.zeros(count, dtype=np.bool_))
    key, reduced = by_key(labels, without=without)
    ids, count = numbered(key(row) for row in grid.labels)
    first = first_rows(ids, count)
    names = tuple(reduced(grid.labels[i]) for i in first.tolist())
    return Groups(ids, names, grid.drop_name[first])


def group_but(grid: Grid, name: str) -> Groups:
    """Partition the rows by all their labels but one, the metric name among them."""
    ids, count = numbered(
        tuple([pair for pair in labels.pairs if pair[0] != name]) for labels in grid.labels
    )
    first = first_rows(ids, count)
    labels = tuple(grid.labels[i].drop((name,)) for i in first.tolist())
    return Groups(ids, labels, grid.drop_name[first])


_Key = Callable[[Labels], object]
_Reduce = Callable[[Labels], Labels]


def by_key(labels: Sequence[str], *, without: bool) -> tuple[_Key, _Reduce]:
    """Return what the rows of a group have in common, and the labels of the group."""
    return _without(labels) if without else _by(labels)


def _by(names: Sequence[str]) -> tuple[_Key, _Reduce]:
    def key(labels: Labels) -> object:
        return tuple([labels.value(name) for name in names])

    return key, lambda labels: labels.keep(names)


def _without(names: Sequence[str]) -> tuple[_Key, _Reduce]:
    gone = frozenset((*names, METRIC_NAME))

    def key(labels: Labels) -> object:
        return tuple([pair for pair in labels.pairs if pair[0] not in gone])

    return key, lambda labels: labels.drop(gone)


def blocks(grid: Grid, groups: Groups) -> Iterator[tuple[Ints, Ints, slice, Floats, Bools]]:
    """Yield group numbers, rows, steps, values and mask of blocks [groups, size, steps]."""
    steps = grid.values.shape[1]
    for numbers, rows in groups.batches():
        width = max(1, _CELLS // max(1, rows.size))
        for start in range(0, steps, width):
            part = slice(start, min(steps, start + width))
            yield numbers, rows, part, grid.values[rows, part], grid.present[rows, part]
