"""Functions of a window that need but a few of its samples: first, last, the last two, events.

Each gives what its namesake in `rate` or `over_time` gives, operand by operand; elements that
are not plain in the window are handed to that namesake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tocsin.promql import over_time, rate
from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.plans.extract import extract
from tocsin.promql.plans.rows import Rows
from tocsin.promql.plans.view import View
from tocsin.promql.plans.watch import Watch
from tocsin.promql.plans.window import Window
from tocsin.promql.rate import THRESHOLD
from tocsin.promql.selectors import Samples
from tocsin.promql.windowed import Kernel

Column: TypeAlias = tuple[Floats, Bools]  # a value and a mask for each element


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A window of a view, and what is known of its elements."""

    view: View
    watch: Watch
    window: Window


Quick: TypeAlias = Callable[[Asked], Column]


def served(asked: Asked, quick: Quick, slow: Kernel) -> Column:
    """Return `quick`'s values for the plain elements, and `slow`'s for the others.

    `quick` may look at the rows at both ends of the window of every clock: an element that
    began later, or has a gap, is none of its business.
    """
    values, present = quick(asked)
    if asked.watch.settled(asked.window):
        return values, present
    first, plain = asked.watch.firsts(asked.view, asked.window)
    plain &= first == asked.window.first.numbers.take(asked.view.clock)
    others = np.flatnonzero(~plain)
    if not others.size:
        return values, present
    return patched(asked, (values, present), others, slow)


def patched(asked: Asked, column: Column, others: Ints, slow: Kernel) -> Column:
    """Return a column in which `slow` has the say of some elements."""
    values, present = column
    values, present = np.array(values), np.array(present)
    present[others] = False
    windows, kept = extract(asked.view, asked.window, others)
    if kept.size:
        some_values, some_present = slow(windows)
        values[kept], present[kept] = some_values[:, 0], some_present[:, 0]
    return values, present


def _at(asked: Asked, rows: Rows) -> Floats:
    return asked.view.values(rows)


def _enough(asked: Asked, samples: int) -> Bools:
    return (asked.window.count >= samples).take(asked.view.clock)


def _extrapolated(asked: Asked, *, counter: bool, per_second: bool) -> Column:
    view, window = asked.view, asked.window
    first, last = _at(asked, window.first), _at(asked, window.last)
    grown = last - first
    if counter:
        _correct_resets(asked, grown)
    sampled, to_start, to_end, limit = _edges(window)
    clock = view.clock
    sampled_each = sampled.take(clock)
    start = _to_start(
        window,
        clock,
        (sampled_each, to_start, limit),
        _to_zero(grown, first, sampled_each, counter=counter),
    )
    factor = (sampled_each + start + to_end.take(clock)) / sampled_each
    if per_second:
        factor = factor / ((window.end_ms - window.start_ms) / 1000)
    first_ms, last_ms = window.ends()
    present = (window.count >= 2) & (last_ms > first_ms)
    return grown * factor, present.take(clock)


def _edges(window: Window) -> tuple[Floats, Floats, Floats, Floats]:
    """Return for each clock, in seconds: the span sampled, how far its ends are, the limit."""
    first_ms, last_ms = window.ends()
    sampled = (last_ms - first_ms) / 1000
    average = sampled / (window.count - 1)
    to_start = (first_ms - window.start_ms) / 1000
    to_end = (window.end_ms - last_ms) / 1000
    limit = average * THRESHOLD
    to_end = np.where(to_end >= limit, average / 2, to_end)
    if not window.closed:
        to_start = np.where(to_start >= limit, average / 2, to_start)
    return sampled, to_start, to_end, limit


def _to_zero(grown: Floats, first: Floats, sampled: Floats, *, counter: bool) -> Floats | None:
    if not counter:
        return None
    falls = (grown > 0) & (first >= 0)
    return np.where(falls, sampled * (first / grown), np.inf)


def _to_start(
    window: Window, clock: Ints, spans: tuple[Floats, Floats, Floats], to_zero: Floats | None
) -> Floats:
    """Return how far each element is stretched to the left."""
    sampled, to_start, limit = spans
    start = to_start.take(clock)
    if to_zero is not None:
        start = np.minimum(start, to_zero)
    if window.closed:  # Prometheus 2 looks at the zero point before the threshold
        half = sampled / (window.count - 1).take(clock) / 2
        start = np.where(start >= limit.take(clock), half, start)
    return start


def _correct_resets(asked: Asked, grown: Floats) -> None:
    """Add to `grown`, in place and in order of time, the value before each reset."""
    events = asked.watch.events("fell", np.less)
    if not events.rows.size:
        return
    clock = asked.view.ring.origin[events.columns]
    window = asked.window
    inside = window.follows(clock, events.rows)
    columns, before = events.columns[inside], events.before[inside]
    place = _places(asked.view)[columns]
    mine = place >= 0
    np.add.at(grown, place[mine], before[mine])


def _places(view: View) -> Ints:
    """Return where each column of the ring stands in the view, -1 for nowhere."""
    places = np.full(len(view.ring.labels), -1, dtype=np.int64)
    places[view.columns] = np.arange(len(view.columns))
    return places


def _rate(asked: Asked) -> Column:
    return _extrapolated(asked, counter=True, per_second=True)


def _increase(asked: Asked) -> Column:
    return _extrapolated(asked, counter=True, per_second=False)


def _delta(asked: Asked) -> Column:
    return _extrapolated(asked, counter=False, per_second=False)


def _last_two(asked: Asked) -> tuple[Floats, Floats, Floats, Bools]:
    """Return the last value, the one before, the seconds between, and who has both."""
    window = asked.window
    before = window.last.moved(-1)
    gap = ((window.ends()[1] - before.times()) / 1000).take(asked.view.clock)
    return _at(asked, window.last), _at(asked, before), gap, _enough(asked, 2)


def _irate(asked: Asked) -> Column:
    last, before, gap, present = _last_two(asked)
    rise = np.where(last < before, last, last - before)
    return rise / gap, present


def _idelta(asked: Asked) -> Column:
    last, before, _, present = _last_two(asked)
    return last - before, present


def _count(asked: Asked) -> Column:
    number = asked.window.count.take(asked.view.clock)
    return number.astype(np.float64), number > 0


def _present(asked: Asked) -> Column:
    return np.ones(len(asked.view.labels)), _enough(asked, 1)


def _last(asked: Asked) -> Column:
    return _at(asked, asked.window.last), _enough(asked, 1)


def _first(asked: Asked) -> Column:
    return _at(asked, asked.window.first), _enough(asked, 1)


def _counted(name: str, happened: Callable[[Floats, Floats], Bools]) -> Quick:
    """Return a function that counts events after the first sample of the window."""

    def run(asked: Asked) -> Column:
        events = asked.watch.events(name, happened)
        window = asked.window
        clock = window.ring.origin[events.columns]
        inside = window.follows(clock, events.rows)
        by_column = np.bincount(events.columns[inside], minlength=len(window.ring.labels))
        return by_column[asked.view.columns].astype(np.float64), _enough(asked, 1)

    return run


QUICK: dict[str, tuple[Quick, Kernel]] = {
    "rate": (_rate, rate.rate),
    "increase": (_increase, rate.increase),
    "delta": (_delta, rate.delta),
    "irate": (_irate, rate.irate),
    "idelta": (_idelta, rate.idelta),
    "resets": (_counted("fell", np.less), rate.resets),
    "changes": (_counted("changed", np.not_equal), rate.changes),
    "count_over_time": (_count, over_time.count),
    "present_over_time": (_present, over_time.present_),
    "last_over_time": (_last, over_time.last),
    "first_over_time": (_first, over_time.first),
}
"""By name: the quick form, and the one for elements that are not plain."""


def instant(asked: Asked) -> Column:
    """Return the newest sample of each element in its look-back window.

    A staleness marker as the newest sample means there is none.
    """
    values = asked.view.values(asked.window.last)
    present = _enough(asked, 1)
    odd = np.flatnonzero(np.isnan(values) & present)
    if not odd.size:
        return values, present
    values = np.array(values)
    present[odd] = False
    live, samples, newest = _newest(asked, odd)
    values[live], present[live] = samples.values[newest], True
    return values, present


def taken_at(asked: Asked) -> Ints:
    """Return when the newest sample of each element was taken, in ms."""
    times = asked.window.ends()[1].take(asked.view.clock)
    odd = np.flatnonzero(np.isnan(asked.view.values(asked.window.last)))
    live, samples, newest = _newest(asked, odd)
    times[live] = samples.times[newest]
    return times


def _newest(asked: Asked, chosen: Ints) -> tuple[Ints, Samples, Ints]:
    """Return which of some elements live, samples, and the index of the newest of each."""
    windows, kept = extract(asked.view, asked.window, chosen, stale=True)
    newest = windows.hi[:, 0] - 1
    live = ~windows.samples.stale()[newest]
    return kept[live], windows.samples, newest[live]
