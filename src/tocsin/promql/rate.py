"""rate, increase, delta, irate, idelta, changes, resets: what happened between samples.

Extrapolation to the window's edges follows Prometheus' `extrapolatedRate`, operand by operand.
"""

from __future__ import annotations

import numpy as np

from tocsin.promql.grid import Bools, Floats, Ints
from tocsin.promql.selectors import Samples, Windows
from tocsin.promql.windowed import Windowed

THRESHOLD = 1.1  # of the average gap: an edge farther away is not reached by extrapolation


def rate(windows: Windows) -> Windowed:
    """Return the increase per second, counter resets corrected, extrapolated to the window."""
    return _extrapolated(windows, counter=True, per_second=True)


def increase(windows: Windows) -> Windowed:
    """Return the increase, counter resets corrected, extrapolated to the window."""
    return _extrapolated(windows, counter=True)


def delta(windows: Windows) -> Windowed:
    """Return last minus first, extrapolated to the window."""
    return _extrapolated(windows)


def irate(windows: Windows) -> Windowed:
    """Return the increase per second between the last two samples."""
    last, before, present = _last_two(windows)
    values, times = windows.samples.values, windows.samples.times
    rise = np.where(values[last] < values[before], values[last], values[last] - values[before])
    return rise / ((times[last] - times[before]) / 1000), present


def idelta(windows: Windows) -> Windowed:
    """Return the difference of the last two samples."""
    last, before, present = _last_two(windows)
    return windows.samples.values[last] - windows.samples.values[before], present


def changes(windows: Windows) -> Windowed:
    """Return how often neighbours differ; two NaN are alike."""
    return _events(windows, changed(windows.samples))


def resets(windows: Windows) -> Windowed:
    """Return how often a sample is below its neighbour before."""
    return _events(windows, dropped(windows.samples))


def dropped(samples: Samples) -> Bools:
    """Return which samples are below the one before, in the same series."""
    found = np.zeros(samples.values.size, dtype=np.bool_)
    found[1:] = samples.values[1:] < samples.values[:-1]
    found[samples.offsets[:-1]] = False
    return found


def changed(samples: Samples) -> Bools:
    """Return which samples differ from the one before, in the same series."""
    values = samples.values
    found = np.zeros(values.size, dtype=np.bool_)
    found[1:] = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    found[samples.offsets[:-1]] = False
    return found


def _events(windows: Windows, events: Bools) -> Windowed:
    first, last = _event_range(windows, events)
    present = windows.count > 0
    return np.where(present, last - first, 0).astype(np.float64), present


def _event_range(windows: Windows, events: Bools) -> tuple[Ints, Ints]:
    """Return, as ordinals of events, those after the first sample of each window."""
    before = np.concatenate([[0], np.cumsum(events)])
    after_first = np.minimum(windows.lo + 1, events.size)
    return before[after_first], before[windows.hi]


def _last_two(windows: Windows) -> tuple[Ints, Ints, Bools]:
    present = windows.count >= 2
    last = np.where(present, windows.hi - 1, 1)
    if windows.samples.values.size < 2:  # no window can hold two samples
        last = np.zeros_like(last)
    return last, np.maximum(last - 1, 0), present


def _extrapolated(windows: Windows, *, counter: bool = False, per_second: bool = False) -> Windowed:
    values, times = windows.samples.values, windows.samples.times
    present = windows.count >= 2
    first = np.where(present, windows.lo, 0)
    last = np.where(present, windows.hi - 1, 0)
    grown = values[last] - values[first]
    if counter:
        _correct_resets(grown, windows, present)
    sampled = (times[last] - times[first]) / 1000
    to_zero = np.full_like(sampled, np.inf)
    if counter:
        falls = (grown > 0) & (values[first] >= 0)
        to_zero = np.where(falls, sampled * (values[first] / grown), np.inf)
    factor = _factor(windows, first, last, to_zero)
    if per_second:
        factor = factor / (windows.span.range_ms / 1000)
    present = present & (times[last] > times[first])
    return grown * factor, present


def _correct_resets(grown: Floats, windows: Windows, present: Bools) -> None:
    """Add to `grown`, in place and in order of time, the value before each reset."""
    samples = windows.samples
    events = dropped(samples)
    if not events.any():
        return
    before = np.flatnonzero(events) - 1
    first, last = _event_range(windows, events)
    hit = np.flatnonzero((present & (last > first)).ravel())
    flat, at, end = grown.ravel(), first.ravel()[hit], last.ravel()[hit]
    while hit.size:
        flat[hit] += samples.values[before[at]]
        at = at + 1
        going = at < end
        hit, at, end = hit[going], at[going], end[going]
    grown[...] = flat.reshape(grown.shape)


def _factor(windows: Windows, first: Ints, last: Ints, to_zero: Floats) -> Floats:
    """Return by how much the sampled span is stretched, `to_zero` seconds to the left at most."""
    times, span = windows.samples.times, windows.span
    sampled = (times[last] - times[first]) / 1000
    average = sampled / (last - first)
    to_start = (times[first] - span.start[None, :]) / 1000
    to_end = (span.end[None, :] - times[last]) / 1000
    limit = average * THRESHOLD
    if span.closed:  # Prometheus 2 looks at the zero point before the threshold
        to_start = np.minimum(to_start, to_zero)
        to_start = np.where(to_start >= limit, average / 2, to_start)
    else:
        to_start = np.where(to_start >= limit, average / 2, to_start)
        to_start = np.where(to_zero < to_start, to_zero, to_start)
    to_end = np.where(to_end >= limit, average / 2, to_end)
    return (sampled + to_start + to_end) / sampled
