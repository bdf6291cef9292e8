"""Samples found in groups and single series, put together series by series.

Most series lie in one run (one group, one set of columns): their row of the run's block is
the answer as it stands. A series found in several places is concatenated, and sorted when the
places are not in order; the store holds no time of a series twice, so nothing needs merging
beyond that.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Series, Times, Values
from tocsin.timeseries.group import Run
from tocsin.timeseries.postings import SeriesIds


class Selection:
    """What was found for the series `sids`, whose places are their positions in it."""

    def __init__(self, sids: SeriesIds) -> None:
        self._sids = sids
        self._pieces = np.zeros(len(sids), np.int32)
        self._runs: list[Run] = []
        self._singles: list[tuple[int, Times, Values]] = []

    def add_run(self, run: Run) -> None:
        """Add samples of several series at common times."""
        self._pieces[run.places] += 1
        self._runs.append(run)

    def add_single(self, place: int, times: Times, values: Values) -> None:
        """Add samples of one series; none at all is fine."""
        if times.size:
            self._pieces[place] += 1
            self._singles.append((place, times, values))

    def series(self, labels_of: Callable[[int], Labels]) -> list[Series]:
        """Return the series that have samples, in the order of their places."""
        found: list[Series | None] = [None] * len(self._sids)
        parts: dict[int, list[tuple[Times, Values]]] = {}
        labels = [labels_of(sid) for sid in self._sids.tolist()]
        for run in self._runs:
            self._place_run(run, labels, found, parts)
        for place, times, values in self._singles:
            parts.setdefault(place, []).append((times, values))
        for place, pieces in parts.items():
            found[place] = Series(labels[place], *_joined(pieces))
        return [series for series in found if series is not None]

    def _place_run(
        self,
        run: Run,
        labels: list[Labels],
        found: list[Series | None],
        parts: dict[int, list[tuple[Times, Values]]],
    ) -> None:
        places = run.places.tolist()
        if (self._pieces[run.places] == 1).all():
            own = map(Series, [labels[place] for place in places], repeat(run.times), run.block)
            for place, series in zip(places, own, strict=True):
                found[place] = series
            return
        for place, values in zip(places, run.block, strict=True):
            parts.setdefault(place, []).append((run.times, values))


def _joined(pieces: list[tuple[Times, Values]]) -> tuple[Times, Values]:
    if len(pieces) == 1:
        return pieces[0]
    times = np.concatenate([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    times.flags.writeable = False
    values.flags.writeable = False
    return times, values
