"""One row of each clock of a ring: the unit in which samples are read."""

from __future__ import annotations

import numpy as np

from tocsin.model.ring import Ring
from tocsin.promql.grid import Ints


class Rows:
    """A row number for each clock (clocks,), and where in the ring these rows stand.

    While all clocks tick together their rows stand at one `spot` of the ring, which is then
    read without an index; None when they do not. A row the ring does not hold may be read: it
    gives any value.
    """

    __slots__ = ("numbers", "ring", "spot", "spots")

    def __init__(self, ring: Ring, numbers: Ints) -> None:
        self.ring = ring
        self.numbers = numbers
        self.spots: Ints = numbers & (ring.depth - 1)
        first = int(self.spots[0]) if numbers.size else -1
        self.spot = first if first >= 0 and bool((self.spots == first).all()) else None

    def times(self) -> Ints:
        """Return the time of each row (clocks,), in ms."""
        ring = self.ring
        if self.spot is not None:
            row: Ints = ring.times[self.spot, : ring.clocks]
            return row
        flat = self.spots * ring.times.shape[1] + np.arange(ring.clocks)
        taken: Ints = ring.times.reshape(-1).take(flat)
        return taken

    def moved(self, by: int) -> Rows:
        """Return the rows so many places later."""
        return Rows(self.ring, self.numbers + by)
