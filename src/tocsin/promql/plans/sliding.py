"""Sums over a window that moves: what enters is added, what leaves is taken off.

So an hour or six of samples costs as much as one row. The sums are compensated (Neumaier), and
every element is summed anew once in a window's length, a few in each round, so that rounding
cannot pile up. Samples that are missing or stale count for nothing, on the way in and out; an
infinity or a NaN would spoil a sum for ever, so while one is in the window the element is left
to the ordinary function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tocsin.model.ring import ABSENT_BITS
from tocsin.model.sample import STALE_BITS
from tocsin.promql import over_time, trend
from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.plans.extract import extract
from tocsin.promql.plans.kernels import Asked, Column, patched
from tocsin.promql.plans.rows import Rows
from tocsin.promql.windowed import Kernel

Terms: TypeAlias = Callable[[Ints, Floats, Floats], Floats]
"""Times (ms), values and each element's reference value to what is summed (terms, elements)."""

_FEW = 8  # rows that may enter or leave before summing anew is less work
_BATCH = 64  # elements summed anew at a time, at least: one at a time would be all overhead
_AT_ONCE = 1 << 16  # samples
_SPOILS = 2.0**52  # a term so many times the sum leaves nothing of it
_WIDE = 1024.0  # terms no farther apart are summed exactly in a long double
_SECOND = 1000.0


class Sliding:
    """Sums of some terms over one window of one view.

    `totals` and `carries` (terms, elements) add up to the sums, `count` says of how many
    samples.
    """

    def __init__(self, terms: Terms, number: int, *, centred: bool) -> None:
        """Sum `number` terms; `centred` takes a reference off each value first."""
        self._terms = terms
        self._number = number
        self._centred = centred
        self._epoch = -1
        self._turn = 0
        self._due = 0.0
        self._forget(0)

    def _forget(self, elements: int) -> None:
        self.totals = np.zeros((self._number, elements))
        self.carries = np.zeros((self._number, elements))
        self.count: Floats = np.zeros(elements)
        self.reference: Floats = np.zeros(elements)
        self._spoilt: Ints = np.full(elements, -1, dtype=np.int64)
        self._first: Ints = np.zeros(0, dtype=np.int64)
        self._last: Ints = np.zeros(0, dtype=np.int64)

    def follow(self, asked: Asked) -> Ints:
        """Move to the window asked for; return the elements that must be left alone."""
        if self._moves(asked):
            self._step(asked)
            share = self._share(asked)
            if share is not None:
                self._renew(asked, share)
        else:
            self._forget(len(asked.view.labels))
            self._epoch = asked.view.epoch
            self._renew(asked, np.arange(len(asked.view.labels)))
        window = asked.window
        self._first, self._last = window.first.numbers, window.last.numbers
        if self._spoilt.max(initial=-1) < self._first.min(initial=0):
            return _NOBODY
        spoilt: Ints = np.flatnonzero(self._spoilt >= self._first.take(asked.view.clock))
        return spoilt

    def _moves(self, asked: Asked) -> bool:
        """Tell whether the window is the last one moved on by some rows."""
        window = asked.window
        if self._epoch != asked.view.epoch or len(self.count) != len(asked.view.labels):
            return False
        first, last = window.first.numbers, window.last.numbers
        if len(self._first) != len(first):
            return False
        moved = np.stack([first - self._first, last - self._last])
        return not moved.size or bool(moved.min() >= 0 and moved.max() <= _FEW)

    def _step(self, asked: Asked) -> None:
        window = asked.window
        dirty = np.zeros(len(self.count), dtype=np.bool_)
        self._rows(asked, self._last + 1, window.last.numbers, sign=1.0, dirty=dirty)
        self._rows(asked, self._first, window.first.numbers - 1, sign=-1.0, dirty=dirty)
        if dirty.any():
            self._renew(asked, np.flatnonzero(dirty))

    def _rows(self, asked: Asked, start: Ints, end: Ints, *, sign: float, dirty: Bools) -> None:
        """Add or take off the rows from `start` to `end`, which are by clock."""
        view = asked.view
        numbers = start
        while (active := numbers <= end).any():
            rows = Rows(view.ring, numbers)
            values = view.values(rows)
            held = np.isfinite(values)
            if not active.all():
                held &= active.take(view.clock)
            if held.all():
                self._add(rows.times().take(view.clock), values, None, sign=sign, dirty=dirty)
            else:
                if sign > 0:
                    self._note_spoilt(asked, numbers, active, values)
                values = np.where(held, values, 0.0)
                self._add(rows.times().take(view.clock), values, held, sign=sign, dirty=dirty)
            numbers = numbers + active

    def _add(
        self, times: Ints, values: Floats, held: Bools | None, *, sign: float, dirty: Bools
    ) -> None:
        terms = self._terms(times, values, self.reference)
        if held is not None:
            terms *= held
        if sign < 0:
            np.negative(terms, out=terms)
        total = self.totals + terms
        near = total - self.totals  # Knuth's two-sum: what rounding left out is kept exactly
        self.carries += (self.totals - (total - near)) + (terms - near)
        self.totals = total
        dirty |= (np.abs(terms) > _SPOILS * np.abs(total)).any(axis=0)
        self.count += sign if held is None else sign * held

    def _note_spoilt(self, asked: Asked, rows: Ints, active: Bools, values: Floats) -> None:
        odd = np.flatnonzero(~np.isfinite(values) & active.take(asked.view.clock))
        if odd.size:
            bits = values[odd].view(np.int64)
            worse = odd[(bits != ABSENT_BITS) & (bits != STALE_BITS)]
            self._spoilt[worse] = rows[asked.view.clock[worse]]

    def _share(self, asked: Asked) -> Ints | None:
        """Return the elements whose turn it is to be summed anew, None for nobody yet."""
        elements = len(self.count)
        self._due += elements / max(1, int(asked.window.count.max(initial=1)))
        if self._due < min(_BATCH, elements):
            return None
        start = self._turn if self._turn < elements else 0
        end = min(elements, start + int(np.ceil(self._due)))
        self._turn, self._due = end, 0.0
        return np.arange(start, end)

    def _renew(self, asked: Asked, chosen: Ints) -> None:
        """Sum some elements anew, as many at a time as memory is kept small with."""
        longest = max(1, int(asked.window.count.max(initial=1)))
        size = max(1, _AT_ONCE // longest)
        for start in range(0, len(chosen), size):
            self._renew_some(asked, chosen[start : start + size])

    def _renew_some(self, asked: Asked, chosen: Ints) -> None:
        windows, kept = extract(asked.view, asked.window, chosen)
        self.count[chosen] = 0.0
        self.totals[:, chosen] = self.carries[:, chosen] = 0.0
        if not kept.size:
            return
        samples, starts = windows.samples, windows.lo[:, 0]
        finite = np.isfinite(samples.values)
        values = samples.values if finite.all() else np.where(finite, samples.values, 0.0)
        if self._centred:
            self.reference[kept] = values[windows.hi[:, 0] - 1]
        self.count[kept] = np.add.reduceat(finite.astype(np.float64), starts)
        reference = np.repeat(self.reference[kept], windows.hi[:, 0] - starts)
        terms = self._terms(samples.times, values, reference) * finite
        exact = np.add.reduceat(terms.astype(np.longdouble), starts, axis=1)
        sums = exact.astype(np.float64)
        self.totals[:, kept] = sums
        self.carries[:, kept] = (exact - sums).astype(np.float64)
        bad = _lost(np.abs(terms), np.abs(sums), starts)
        if not finite.all():
            bad |= np.logical_or.reduceat(~finite, starts)
        if bad.any():
            self._spoilt[kept[bad]] = asked.window.last.numbers[asked.view.clock[kept[bad]]]

    def sums(self) -> Floats:
        """Return the sums (terms, elements)."""
        return self.totals + self.carries


def _lost(sizes: Floats, sums: Floats, starts: Ints) -> Bools:
    """Tell of which elements a sum is out of range, or what is left where large terms cancel out.

    What a long double makes of the latter is not what the ordinary function makes of it.
    """
    largest = np.maximum.reduceat(sizes, starts, axis=1)
    doubtful: Bools = ~np.isfinite(sums) | (largest > _SPOILS * sums)
    if doubtful.any():
        least = np.minimum.reduceat(np.where(sizes, sizes, np.inf), starts, axis=1)
        doubtful &= (largest > _WIDE * least) | ~np.isfinite(sums)
    return np.asarray(doubtful.any(axis=0), dtype=np.bool_)


_NOBODY: Ints = np.zeros(0, dtype=np.int64)


def _plain(_times: Ints, values: Floats, _reference: Floats) -> Floats:
    return values[None, :].copy()


class SumOverTime:
    """sum_over_time and avg_over_time of one window of one view."""

    def __init__(self) -> None:
        self._sums = Sliding(_plain, 1, centred=False)

    def sum(self, asked: Asked) -> Column:
        """Return the compensated sum."""
        others = self._sums.follow(asked)
        column = self._sums.sums()[0], self._sums.count > 0
        others = np.union1d(others, np.flatnonzero(~np.isfinite(column[0])))
        return patched(asked, column, others, over_time.sum_) if others.size else column

    def avg(self, asked: Asked) -> Column:
        """Return the mean."""
        others = self._sums.follow(asked)
        number = np.maximum(self._sums.count, 1)
        mean = self._sums.totals[0] / number + self._sums.carries[0] / number
        others = np.union1d(others, np.flatnonzero(~np.isfinite(mean)))
        column = mean, self._sums.count > 0
        return patched(asked, column, others, over_time.avg) if others.size else column


class Trend:
    """deriv and predict_linear of one window of one view: a least-squares line that moves.

    Times count from an origin near the window, values from one of their own, so that little
    is lost where they cancel out.
    """

    def __init__(self) -> None:
        self._origin_ms = 0
        self._sums = Sliding(self._terms, 4, centred=True)

    def _terms(self, times: Ints, values: Floats, reference: Floats) -> Floats:
        terms = np.empty((4, len(values)))
        x = np.divide(times - self._origin_ms, _SECOND, out=terms[0])
        y = np.subtract(values, reference, out=terms[1])
        np.multiply(x, y, out=terms[2])
        np.multiply(x, x, out=terms[3])
        return terms

    def _line(self, asked: Asked) -> tuple[Floats, Floats, Ints]:
        """Return slope (per second), the value at the end of the window, and who is neither."""
        window = asked.window
        if not 0 <= window.end_ms - self._origin_ms <= window.end_ms - window.start_ms:
            self._origin_ms = window.end_ms
            self._sums = Sliding(self._terms, 4, centred=True)
        others = self._sums.follow(asked)
        x, y, xy, xx = self._sums.sums()
        n = np.maximum(self._sums.count, 1)
        slope = (xy - x * y / n) / (xx - x * x / n)
        at_origin = self._sums.reference + (y / n - slope * (x / n))
        ahead = (window.end_ms - self._origin_ms) / _SECOND
        return slope, at_origin + slope * ahead, others

    def deriv(self, asked: Asked) -> Column:
        """Return the slope per second."""
        slope, _, others = self._line(asked)
        return self._answer(asked, slope, others, trend.deriv)

    def predict(self, asked: Asked, at_ms: int, ahead_s: float) -> Column:
        """Return the value `ahead_s` after `at_ms`."""
        slope, end, others = self._line(asked)
        after = (at_ms - asked.window.end_ms) / _SECOND
        kernel = trend.predict_at(np.array([at_ms]), np.array([ahead_s]))
        return self._answer(asked, end + slope * (after + ahead_s), others, kernel)

    def _answer(self, asked: Asked, values: Floats, others: Ints, slow: Kernel) -> Column:
        column = values, self._sums.count >= 2
        others = np.union1d(others, np.flatnonzero(~np.isfinite(values) & column[1]))
        return patched(asked, column, others, slow) if others.size else column
