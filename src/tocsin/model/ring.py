"""The newest samples of one metric, laid out for rules that look at them round after round.

Series that always arrive together (a scrape target, a process) share a clock. A clock counts
its rows from 0, one for each time it ticked; row r of clock g stands at index `r % depth`.
Columns of one clock lie side by side, so that a round reads neighbouring memory.

One writer (the metric store) appends on the thread on which readers read. Arrays are larger
than what is in use: only columns below `len(labels)` and clocks below `clocks` count.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels

# A NaN that no sample can be (stores refuse it): "this series has no sample in this row".
ABSENT_BITS = 0x7FF000000000ABCE
ABSENT: float = struct.unpack("<d", struct.pack("<Q", ABSENT_BITS))[0]

Ints: TypeAlias = npt.NDArray[np.int64]
Places: TypeAlias = npt.NDArray[np.int32]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Ring:
    """The last rows of every series of one metric.

    labels    by column; within an epoch columns are only added, at the end
    origin    (columns,) the clock of each column
    written   (clocks,) how many rows each clock has ever written; its newest is written - 1
    times     (depth, clocks) Unix milliseconds of each row, ascending with the row number
    values    (depth, columns) samples; staleness markers by bit pattern, `ABSENT` for none
    filled    (columns,) the newest row in which a sample was put after the row had begun, -1
              for none: a reader that had already read that row must look again

    `depth` is a power of two. Rows below `written - depth` are overwritten; what is left of a
    clock reaches back at least as far as was asked for, or to its first row.
    """

    labels: list[Labels]
    clocks: int
    origin: Places
    written: Ints
    times: Ints
    values: Floats
    filled: Ints
    epoch: int = 0
    """Moves when rows or columns changed place, or old samples changed: start anew."""
    version: int = 0
    """Moves with every sample."""
    fills: int = 0
    """Moves with every sample that is noted in `filled`."""

    @property
    def depth(self) -> int:
        """Return how many rows there is room for."""
        return len(self.times)
