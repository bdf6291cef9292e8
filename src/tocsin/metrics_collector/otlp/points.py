"""What one OTLP request holds once it is read: blocks of points, and what was not taken.

A block is a table: a row a point, a column a series of the point. A number has one column, a
histogram one for each bucket, then its count and its sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.protobuf import MOST_FIELDS
from tocsin.metrics_collector.write_request import MOST_SAMPLES, check_count
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata

Slots: TypeAlias = npt.NDArray[np.int32]
Nanos: TypeAlias = npt.NDArray[np.uint64]
_MS = np.uint64(1_000_000)  # nanoseconds


class Unfit(InvalidInput):
    """One point cannot be taken; the others of its request can. `reason` is what is counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Points of one form. `slots` and `values` are (points, columns), `nanos` Unix times (points,).

    `slots` number the series of a tenant. With `delta` the values are what came since the
    point before.
    """

    slots: Slots
    nanos: Nanos
    values: npt.NDArray[np.float64]
    delta: bool = False

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.nanos)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Block:
        """Return some of the points."""
        return Block(self.slots[which], self.nanos[which], self.values[which], self.delta)

    def times(self) -> npt.NDArray[np.int64]:
        """Return the times of the points in milliseconds."""
        return (self.nanos // _MS).astype(np.int64)

    def in_order(self) -> Block:
        """Return the points oldest first; those of one time stay in their order."""
        if len(self) < 2 or bool((self.nanos[1:] >= self.nanos[:-1]).all()):
            return self
        return self.take(np.argsort(self.nanos, kind="stable"))

    def parts(self, samples: int) -> Iterator[Block]:
        """Yield the points in blocks of about so many samples."""
        step = max(1, samples // self.slots.shape[1])
        for first in range(0, len(self), step):
            yield self.take(slice(first, first + step))


def joined(blocks: Sequence[Block]) -> Block:
    """Return blocks of one width as one."""
    if len(blocks) == 1:
        return blocks[0]
    slots = np.concatenate([block.slots for block in blocks])
    nanos = np.concatenate([block.nanos for block in blocks])
    values = np.concatenate([block.values for block in blocks])
    return Block(slots, nanos, values, blocks[0].delta)


@dataclass(slots=True)
class Request:
    """What one request held.

    `info` are the samples of `target_info`, which are no points. `rejected` counts points by
    reason, `faults` say what is wrong with the first of each.
    """

    blocks: list[Block] = field(default_factory=list)
    info: Block | None = None
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0
    histograms: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    samples: int = 0
    fields: int = field(default=0, repr=False)

    def spend(self, fields: int) -> None:
        """Count what had to be read field by field. Raises InvalidInput when it is too much."""
        self.fields += fields
        check_count(self.fields, MOST_FIELDS, "fields")

    def count(self, samples: int) -> None:
        """Count samples. Raises InvalidInput when they are too many."""
        self.samples += samples
        check_count(self.samples, MOST_SAMPLES, "samples")

    def reject(self, points: int, reason: str, fault: str) -> None:
        """Note points that are not taken."""
        if points:
            self.rejected[reason] = self.rejected.get(reason, 0) + points
            self.faults.setdefault(reason, fault)
