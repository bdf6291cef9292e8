"""Series of a target whose samples bring their own times: who of them is gone.

Such a series goes stale by age, unless its job says `track_timestamps_staleness`: then it ends
with a marker like any other. Source: Prometheus documentation, "Configuration".
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.output import Batch
from tocsin.model.sample import STALE
from tocsin.model.series import Layout


class TimedEnds:
    """What was there at the last scrape. `group` names it and is unique within the tenant."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._before: tuple[Labels, ...] = ()

    def write(self, present: Iterable[Labels], *, beside: Iterable[Labels] = ()) -> Batch | None:
        """Return the end of the series that are gone, None when none is.

        `beside` are series that stand there now without a time of their own.
        """
        labels = tuple(present)
        there = {*labels, *beside}
        gone = tuple(each for each in self._before if each not in there)
        self._before = labels
        if not gone:
            return None
        return Batch(Layout(self._group, gone), np.full(len(gone), STALE))

    def end(self) -> Batch | None:
        """Return the end of all of them, None when there is none."""
        return self.write(())
