"""The value of a vector expression at every step: a matrix [series, steps] with a presence mask.

Two rows may bear the same labels while they are never present at the same step; `merged` joins
them. Values under a false mask mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import EMPTY, METRIC_NAME, Labels
from tocsin.promql.errors import SAME_LABELSET, ExecutionError

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of one vector expression.

    `values` and `present` have shape (series, steps). `drop_name` (series,) marks rows whose metric
    name no longer counts and goes at the end (delayed name removal). `ordered` says that the row
    order is part of the result.
    """

    labels: tuple[Labels, ...]
    values: Floats
    present: Bools
    drop_name: Bools
    ordered: bool = False

    @classmethod
    def of(cls, labels: Sequence[Labels], values: Floats, present: Bools | None = None) -> Grid:
        """Return a grid whose names all count; no mask means present everywhere."""
        mask = np.ones(values.shape, dtype=np.bool_) if present is None else present
        return cls(tuple(labels), values, mask, np.zeros(len(labels), dtype=np.bool_))

    @classmethod
    def empty(cls, steps: int) -> Grid:
        """Return a grid without rows."""
        return cls.of((), np.zeros((0, steps)))

    @classmethod
    def single(cls, values: Floats, present: Bools | None = None) -> Grid:
        """Return one row without labels; `values` has shape (steps,)."""
        return cls.of((EMPTY,), values[None, :], None if present is None else present[None, :])

    def rows(self, index: Ints | Bools) -> Grid:
        """Return the rows chosen, in that order."""
        picked = np.flatnonzero(index) if index.dtype == np.bool_ else index
        labels = tuple(self.labels[i] for i in picked.tolist())
        return Grid(
            labels, self.values[picked], self.present[picked], self.drop_name[picked], self.ordered
        )

    def with_values(self, values: Floats, present: Bools | None = None) -> Grid:
        """Return the same rows with other values."""
        mask = self.present if present is None else present
        return Grid(self.labels, values, mask, self.drop_name, self.ordered)

    def where(self, present: Bools) -> Grid:
        """Return the same rows, present only where `present` holds too."""
        mask = self.present & present
        return Grid(self.labels, self.values, mask, self.drop_name, self.ordered)

    def relabelled(self, labels: Sequence[Labels], drop_name: Bools | None = None) -> Grid:
        """Return the same values under other labels."""
        kept = self.drop_name if drop_name is None else drop_name
        return replace(self, labels=tuple(labels), drop_name=kept)

    def nameless(self, *, delayed: bool) -> Grid:
        """Drop the metric names: at once, or `delayed` to the end of the query.

        Raises ExecutionError when two rows become equal and are present at one step.
        """
        if delayed:
            flags = np.ones(len(self.labels), dtype=np.bool_)
            return Grid(self.labels, self.values, self.present, flags, self.ordered)
        return self._without_names(np.ones(len(self.labels), dtype=np.bool_))

    def settled(self) -> Grid:
        """Carry out delayed name removal and join rows with equal labels."""
        grid = self._without_names(self.drop_name) if self.drop_name.any() else self
        return grid.merged()

    def _without_names(self, which: Bools) -> Grid:
        names = {labels.value(METRIC_NAME) for labels in self.labels}
        if names <= {""}:
            return replace(self, drop_name=np.zeros(len(self.labels), dtype=np.bool_))
        labels = tuple(
            labels.drop((METRIC_NAME,)) if dropped else labels
            for labels, dropped in zip(self.labels, which.tolist(), strict=True)
        )
        none = np.zeros(len(labels), dtype=np.bool_)
        grid = replace(self, labels=labels, drop_name=none)
        if len(names) == 1 and which.all():  # distinct labels stay distinct
            return grid
        return grid.merged()

    def merged(self) -> Grid:
        """Join rows with equal labels. Raises ExecutionError when two are present at one step."""
        keys = list(zip(self.labels, self.drop_name.tolist(), strict=True))
        if len(set(keys)) == len(keys):
            return self
        ids, count = numbered(keys)
        first = first_rows(ids, count)
        present = np.zeros((count, self.present.shape[1]), dtype=np.int64)
        np.add.at(present, ids, self.present)
        if (present > 1).any():
            raise ExecutionError(SAME_LABELSET)
        values = np.zeros(present.shape)
        row, step = np.nonzero(self.present)
        values[ids[row], step] = self.values[row, step]
        joined = self.rows(first)
        return joined.with_values(values, present > 0)

    def compact(self) -> Grid:
        """Return the grid without the rows that are nowhere present."""
        alive: Bools = np.any(self.present, axis=1)
        return self if alive.all() else self.rows(alive)


def numbered(keys: Iterable[object]) -> tuple[Ints, int]:
    """Return a number per key, from 0 in order of first appearance, and how many there are."""
    known: dict[object, int] = {}
    ids = [known.setdefault(key, len(known)) for key in keys]
    return np.array(ids, dtype=np.int64), len(known)


def first_rows(ids: Ints, count: int) -> Ints:
    """Return for each number the first row that bears it."""
    first = np.full(count, len(ids), dtype=np.int64)
    np.minimum.at(first, ids, np.arange(len(ids)))
    return first


def stacked(grids: Sequence[Grid]) -> Grid:
    """Return the rows of all grids under each other; there is at least one grid."""
    return Grid(
        tuple(labels for grid in grids for labels in grid.labels),
        np.concatenate([grid.values for grid in grids]),
        np.concatenate([grid.present for grid in grids]),
        np.concatenate([grid.drop_name for grid in grids]),
    )
