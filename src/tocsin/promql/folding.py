"""Sequential computations over windows of different lengths, all windows at a time.

Position k of every window is visited together, for k = 0, 1, …; windows are sorted by length so
that those still running are a prefix and state arrays can be cut without a mask. The order within
a window is that of Prometheus' loops, so results agree bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np

from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.selectors import Windows

State = TypeVar("State", Floats, Ints, Bools)


class Folding:
    """Visits the samples of windows by position. State arrays have shape (`size`,)."""

    def __init__(self, windows: Windows) -> None:
        self._shape = windows.lo.shape
        counts = windows.count.ravel()
        self._order = np.argsort(-counts, kind="stable")
        self.counts: Ints = counts[self._order]
        self._first = windows.lo.ravel()[self._order]
        self.size = counts.size

    def first(self) -> Ints:
        """Return the sample index of the first position; meaningless for an empty window."""
        return self._first

    def positions(self, start: int = 0) -> Iterator[tuple[int, int, Ints]]:
        """Yield position k, how many windows reach it (a prefix), and their sample indices."""
        longest = int(self.counts[0]) if self.size else 0
        for k in range(start, longest):
            active = int(np.searchsorted(-self.counts, -k, side="left"))
            yield k, active, self._first[:active] + k

    def windowed(self, steps_values: Floats, steps: int) -> Floats:
        """Return a value per step (`steps`,) as a state array."""
        full = np.broadcast_to(steps_values, (self._shape[0], steps))
        return full.ravel()[self._order]

    def zeros(self) -> Floats:
        """Return a state array of zeros."""
        return np.zeros(self.size)

    def restored(self, state: State) -> State:
        """Return a state array in the shape and order of the windows."""
        out = np.empty(self.size, dtype=state.dtype)
        out[self._order] = state
        return out.reshape(self._shape)
