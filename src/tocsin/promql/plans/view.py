"""The columns of a ring that a selector chooses."""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matchers
from tocsin.model.ring import Ring
from tocsin.promql.grid import Floats, Ints
from tocsin.promql.plans.rows import Rows


class View:
    """The columns whose labels satisfy some matchers, in the order of the ring.

    `columns` and `clock` (elements,) say where each element stands and which clock it follows,
    `labels` who it is: the same tuple for as long as nobody joins. `part` picks the elements
    out of a row of the ring, as a slice where they are neighbours.
    """

    def __init__(self, ring: Ring, matchers: Matchers) -> None:
        """Choose from `ring`; a matcher of the metric name must be one the ring satisfies."""
        self.ring = ring
        self._matchers = tuple(m for m in matchers if m.name != METRIC_NAME)
        self._verdicts: tuple[dict[str, bool], ...] = tuple({} for _ in self._matchers)
        self._begin()
        self.follow()

    def _begin(self) -> None:
        self.epoch = self.ring.epoch
        self._seen = 0
        self.columns: Ints = np.zeros(0, dtype=np.int64)
        self.clock: Ints = np.zeros(0, dtype=np.int64)
        self.labels: tuple[Labels, ...] = ()
        self.part: slice | Ints = slice(0, 0)

    def follow(self) -> None:
        """Take in the columns that are new. After an epoch has ended, choose anew."""
        if self.epoch != self.ring.epoch:
            self._begin()
        known, self._seen = self._seen, len(self.ring.labels)
        if known == self._seen:
            return
        fresh = self.ring.labels[known:]
        chosen = [i for i, labels in enumerate(fresh, known) if self._takes(labels)]
        if not chosen:
            return
        self.columns = np.concatenate([self.columns, np.array(chosen, dtype=np.int64)])
        self.clock = self.ring.origin[self.columns].astype(np.int64)
        self.labels += tuple(self.ring.labels[i] for i in chosen)
        first, last = int(self.columns[0]), int(self.columns[-1])
        together = last - first + 1 == len(self.columns)
        self.part = slice(first, last + 1) if together else self.columns

    def _takes(self, labels: Labels) -> bool:
        """Tell whether all matchers hold; each looks at a value once."""
        for matcher, verdicts in zip(self._matchers, self._verdicts, strict=True):
            value = labels.value(matcher.name)
            verdict = verdicts.get(value)
            if verdict is None:
                verdict = verdicts[value] = matcher.matches(value)
            if not verdict:
                return False
        return True

    def values(self, rows: Rows) -> Floats:
        """Return one value for each element. The array must not be written to."""
        ring = self.ring
        if rows.spot is not None:
            row: Floats = ring.values[rows.spot][self.part]
            return row
        flat = rows.spots.take(self.clock) * ring.values.shape[1] + self.columns
        taken: Floats = ring.values.reshape(-1).take(flat)
        return taken
