"""Samples of many series in one array, and the windows that selectors cut out of them.

Series s owns `times[offsets[s]:offsets[s + 1]]`. A window is a pair of indices [lo, hi) into the
same arrays; an instant selector takes the last sample of its look-back window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.sample import STALE_BITS
from tocsin.model.series import Series
from tocsin.promql.grid import Bools, Floats, Grid, Ints

_CHUNK = 1 << 18  # windows folded at once: state arrays of 2 MiB stay near the cache


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of several series, concatenated; `offsets` has one more entry than `labels`."""

    labels: tuple[Labels, ...]
    drop_name: Bools
    times: Ints
    values: Floats
    offsets: Ints

    @classmethod
    def of(cls, series: Sequence[Series]) -> Samples:
        """Concatenate series; those without samples are left out."""
        held = [s for s in series if s.times.size]
        sizes = [s.times.size for s in held]
        return cls(
            tuple(s.labels for s in held),
            np.zeros(len(held), dtype=np.bool_),
            np.concatenate([s.times for s in held]) if held else np.zeros(0, dtype=np.int64),
            np.concatenate([s.values for s in held]) if held else np.zeros(0),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        )

    @classmethod
    def of_grid(cls, grid: Grid, times: Ints) -> Samples:
        """Return what a grid holds at `times` (steps,) as samples, for a subquery."""
        joined = grid.merged().compact()
        row, step = np.nonzero(joined.present)
        counts = joined.present.sum(axis=1)
        return cls(
            joined.labels,
            joined.drop_name,
            times[step],
            joined.values[row, step],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    def stale(self) -> Bools:
        """Return which samples are staleness markers, told by their bits."""
        bits: Ints = self.values.view(np.int64)
        return np.equal(bits, STALE_BITS)

    def without_stale(self) -> Samples:
        """Return the samples without the staleness markers."""
        stale = self.stale()
        if not stale.any():
            return self
        before = np.concatenate([[0], np.cumsum(stale)])
        offsets = self.offsets - before[self.offsets]
        held = np.flatnonzero(np.diff(offsets))
        return Samples(
            tuple(self.labels[i] for i in held.tolist()),
            self.drop_name[held],
            self.times[~stale],
            self.values[~stale],
            np.concatenate([[0], offsets[held + 1]]),
        )

    def after(self, at: Ints) -> Ints:
        """Return the index of the first sample after each time in `at` (steps,), per series.

        Shape (series, steps). One binary search over all series: every series gets a band of
        numbers of its own.
        """
        count = len(self.labels)
        if not count:
            return np.zeros((0, at.size), dtype=np.int64)
        low, high = int(self.times.min()), int(self.times.max())
        width = high - low + 3
        near = np.clip(at, low - 1, high + 1) - low + 1
        if count * width >= 2**62:
            return self._after_each(at)
        bands = np.arange(count, dtype=np.int64) * width
        keys = (self.times - low + 1) + np.repeat(bands, np.diff(self.offsets))
        wanted = bands[:, None] + near[None, :]
        return np.searchsorted(keys, wanted.ravel(), side="right").reshape(wanted.shape)

    def _after_each(self, at: Ints) -> Ints:
        found = np.empty((len(self.labels), at.size), dtype=np.int64)
        for row, (start, end) in enumerate(zip(self.offsets, self.offsets[1:], strict=False)):
            found[row] = start + np.searchsorted(self.times[start:end], at, side="right")
        return found


@dataclass(frozen=True, slots=True)
class Span:
    """Where windows lie: `end` (steps,) or (1,), length, and whether the left edge counts."""

    end: Ints
    range_ms: int
    closed: bool = False

    @property
    def start(self) -> Ints:
        """Return the left edges."""
        return self.end - self.range_ms

    def before(self) -> Ints:
        """Return the latest times that lie left of the windows."""
        return self.start - 1 if self.closed else self.start

    def bounds(self) -> tuple[int, int]:
        """Return the first and last millisecond any window needs."""
        return int(self.before().min()) + 1, int(self.end.max())


@dataclass(frozen=True, slots=True)
class Windows:
    """A range vector at every step: samples [lo, hi) per series and window.

    `lo` and `hi` have shape (series, windows); one window means the same at every step.
    """

    samples: Samples
    span: Span
    lo: Ints
    hi: Ints

    @classmethod
    def of(cls, samples: Samples, span: Span) -> Windows:
        """Cut the windows of `span` out of samples without staleness markers."""
        return cls(samples, span, samples.after(span.before()), samples.after(span.end))

    @property
    def count(self) -> Ints:
        """Return how many samples each window holds."""
        return self.hi - self.lo

    def chunks(self) -> Iterator[Windows]:
        """Yield the windows of some series at a time, so that folding stays in the cache."""
        series, windows = self.lo.shape
        rows = max(1, _CHUNK // max(1, windows))
        for first in range(0, series, rows):
            part = slice(first, first + rows)
            yield replace(self, lo=self.lo[part], hi=self.hi[part])


def instant(samples: Samples, span: Span) -> tuple[Grid, Ints]:
    """Return the last sample of each look-back window, and its time in ms (series, windows).

    A staleness marker as the last sample means there is none.
    """
    index = samples.after(span.end) - 1
    first = samples.offsets[:-1, None]
    safe = np.maximum(index, first)
    times = samples.times[safe]
    held = (index >= first) & (times > span.before()[None, :]) & ~samples.stale()[safe]
    grid = Grid(samples.labels, samples.values[safe], held, samples.drop_name)
    return grid, times
