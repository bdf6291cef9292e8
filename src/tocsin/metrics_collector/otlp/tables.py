"""Gathers points into blocks: many at once where they have one form, else one by one.

All values and times of OTLP are eight bytes wide, so a point of usual form is told by where
it begins. `Laid` is what remains when a request is forgotten: where its numbers stand, and of
which series they are, which fits every later request of the same shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.otlp.points import Block, Slots, joined

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
At = npt.NDArray[np.intp]
"""Where words begin in a request."""
START_TAG = 0x11  # of the field that says from when on a point counts


def words(body: bytes | Bytes) -> Words:
    """Return the eight bytes that begin at each byte; nothing is copied."""
    return np.ndarray((max(0, len(body) - 7),), "<u8", body, strides=(1,))


@dataclass(frozen=True, slots=True, eq=False)
class Laid(ABC):
    """Points of one form: their slots (points, columns), and where their times stand."""

    delta: bool
    slots: Slots
    times: At
    starts: At
    """Where the times stand from which on points count; not read."""

    @abstractmethod
    def values(self, at: Words) -> npt.NDArray[np.float64]:
        """Return the values, of the form of `slots`."""

    @abstractmethod
    def places(self) -> Iterable[At]:
        """Return where everything stands that changes from request to request."""

    def block(self, at: Words) -> Block:
        """Return the points of a request with these words."""
        return Block(self.slots, at[self.times], self.values(at), self.delta)


@dataclass(frozen=True, slots=True, eq=False)
class LaidNumbers(Laid):
    """Numbers: first floats, then whole ones."""

    doubles: At
    integers: At

    def values(self, at: Words) -> npt.NDArray[np.float64]:
        """Return the values."""
        whole = at[self.integers].view("<i8").astype(np.float64)
        return np.concatenate((_floats(at[self.doubles]), whole))[:, None]

    def places(self) -> Iterable[At]:
        """Return where everything stands that changes."""
        return self.times, self.starts, self.doubles, self.integers


@dataclass(frozen=True, slots=True, eq=False)
class LaidHistograms(Laid):
    """Histograms with one number of buckets; `extremes` are their least and largest values."""

    counts: At
    count: At
    sums: At
    extremes: At

    def values(self, at: Words) -> npt.NDArray[np.float64]:
        """Return cumulative buckets, count, sum."""
        bounds = self.counts.shape[1] - 1
        values = np.empty(self.slots.shape)
        values[:, :bounds] = at[self.counts[:, :bounds]].cumsum(axis=1)
        values[:, bounds] = values[:, bounds + 1] = at[self.count]
        values[:, -1] = _floats(at[self.sums])
        return values

    def places(self) -> Iterable[At]:
        """Return where everything stands that changes."""
        return self.times, self.starts, self.counts.ravel(), self.count, self.sums, self.extremes


@dataclass(slots=True)
class Numbers:
    """Numbers written as senders write them: [start 11] time 19, then double 21 or int 31.

    In hexadecimal tags. `doubles` and `integers` tell where each begins.
    """

    double_slots: list[int] = field(default_factory=list)
    doubles: list[int] = field(default_factory=list)
    integer_slots: list[int] = field(default_factory=list)
    integers: list[int] = field(default_factory=list)

    def laid(self, raw: Bytes, *, delta: bool) -> LaidNumbers:
        """Return where they stand."""
        slots = np.array(self.double_slots + self.integer_slots, np.int32)[:, None]
        begin = np.array(self.doubles + self.integers, np.intp)
        started = raw[begin] == START_TAG
        times = begin + 9 * started + 1
        values, split = times + 9, len(self.doubles)
        return LaidNumbers(delta, slots, times, begin[started] + 1, values[:split], values[split:])


@dataclass(slots=True)
class Histograms:
    """Histograms written as senders write them, with the same number of buckets.

    Start 11, time 19, count 21, sum 29, buckets 32, at the end least 59 and largest 61, in
    hexadecimal tags. `points` tell where each begins, `ends` where those with least and
    largest end.
    """

    buckets: int
    rows: list[Slots] = field(default_factory=list)
    points: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def laid(self, *, delta: bool) -> LaidHistograms:
        """Return where they stand."""
        begin, ends = np.array(self.points, np.intp), np.array(self.ends, np.intp)
        first = begin + (38 if self.buckets < 16 else 39)  # behind tag and size of the buckets
        return LaidHistograms(
            delta,
            np.stack(self.rows),
            begin + 10,
            begin + 1,
            counts=first[:, None] + 8 * np.arange(self.buckets),
            count=begin + 19,
            sums=begin + 28,
            extremes=np.concatenate((ends - 17, ends - 8)),
        )


@dataclass(slots=True)
class Rows:
    """Points of one width that were read one by one."""

    slots: list[Slots | Sequence[int]] = field(default_factory=list)
    nanos: list[int] = field(default_factory=list)
    values: list[Sequence[float]] = field(default_factory=list)

    def block(self, *, delta: bool) -> Block:
        """Return all of them."""
        nanos = np.array(self.nanos, np.uint64)
        values = np.array(self.values, np.float64)
        return Block(np.array(self.slots, np.int32), nanos, values, delta)


@dataclass(slots=True)
class Tables:
    """All points of one request; the flag in front says whether they are deltas."""

    numbers: dict[bool, Numbers] = field(
        default_factory=lambda: {False: Numbers(), True: Numbers()}
    )
    histograms: dict[tuple[bool, int], Histograms] = field(default_factory=dict)
    rows: dict[tuple[bool, int], Rows] = field(default_factory=dict)

    def histogram(self, buckets: int, *, delta: bool) -> Histograms:
        """Return the histograms of usual form with so many buckets."""
        table = self.histograms.get((delta, buckets))
        if table is None:
            table = self.histograms[delta, buckets] = Histograms(buckets)
        return table

    def row(
        self, row: Slots | Sequence[int], nanos: int, values: Sequence[float], *, delta: bool
    ) -> None:
        """Take a point that was read."""
        rows = self.rows.setdefault((delta, len(row)), Rows())
        rows.slots.append(row)
        rows.nanos.append(nanos)
        rows.values.append(values)

    def laid(self, raw: Bytes) -> list[Laid]:
        """Return where the points of usual form stand."""
        numbers = [
            table.laid(raw, delta=delta)
            for delta, table in self.numbers.items()
            if table.doubles or table.integers
        ]
        wide = [table.laid(delta=delta) for (delta, _), table in self.histograms.items()]
        return [*numbers, *wide]

    def blocks(self, laid: Iterable[Laid], at: Words) -> list[Block]:
        """Return all points; those of one width are in one block, whatever way they were read."""
        found: dict[tuple[bool, int], list[Block]] = {}
        for each in laid:
            found.setdefault((each.delta, each.slots.shape[1]), []).append(each.block(at))
        for (delta, width), rows in self.rows.items():
            found.setdefault((delta, width), []).append(rows.block(delta=delta))
        return [joined(blocks) for blocks in found.values()]


def _floats(bits: Words) -> npt.NDArray[np.float64]:
    """Return the float64 of these bits, every bit of a NaN as it stands."""
    return bits.view("<f8").astype(np.float64, copy=False)
