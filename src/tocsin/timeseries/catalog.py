"""The series of one tenant: label sets and the small integers that stand for them.

A series id is an index into dense arrays, so ids are kept small: an id whose series is gone
is given out again. Nothing outside the head may keep an id over a removal; what is handed to
callers are label sets. `generation()` moves with every series that comes or goes under a
metric name, so that a compiled plan knows when to bind again.

Besides ids the catalog keeps the newest sample of each series (time and bits): the rules for
duplicates and order are decided on it without touching the data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher
from tocsin.model.series import Times, Values
from tocsin.timeseries.postings import Mask, Postings, SeriesIds

NEVER = np.iinfo(np.int64).min  # the newest time of a series without samples

_SMALL = 8  # sort a selection by itself while it is this many times smaller than the catalog


class Catalog:
    """Label sets by id, ids by label set, and the newest sample of each. Not thread-safe."""

    def __init__(self) -> None:
        self.postings = Postings()
        self.newest_times: Times = np.full(0, NEVER, np.int64)
        self.newest_values: Values = np.empty(0, np.float64)
        self.in_use: Mask = np.zeros(0, np.bool_)
        self._ids: dict[Labels, int] = {}
        self._labels: list[Labels | None] = []
        self._vacant: list[int] = []
        self._changes = 0
        self._generations: dict[str, int] = {}
        self._order: list[int] = []  # all ids; in label order when _ranks is set
        self._ranks: SeriesIds | None = None

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self._ids)

    @property
    def size(self) -> int:
        """Return the length of an array indexed by series id."""
        return len(self.in_use)

    def find(self, labels: Labels) -> int | None:
        """Return the id of a series, None when there is no such series."""
        return self._ids.get(labels)

    def add(self, labels: Labels) -> int:
        """Return the id of a series, entering it when it is new."""
        known = self._ids.get(labels)
        if known is not None:
            return known
        sid = self._vacant.pop() if self._vacant else self._extend()
        self._labels[sid] = labels
        self._ids[labels] = sid
        self._order.append(sid)
        self.in_use[sid] = True
        self.postings.add(sid, labels)
        self._changed(labels)
        return sid

    def remove(self, sids: Sequence[int]) -> None:
        """Take series out and make their ids free."""
        gone = [(sid, self.labels(sid)) for sid in sids]
        self.postings.remove(gone)
        for sid, labels in gone:
            self._labels[sid] = None
            del self._ids[labels]
            self._changed(labels)
        self.in_use[sids] = False
        self.newest_times[sids] = NEVER
        self._vacant.extend(sids)
        self._order = [sid for sid in self._order if self.in_use[sid]]

    def labels(self, sid: int) -> Labels:
        """Return the label set of an id in use."""
        labels = self._labels[sid]
        if labels is None:
            raise KeyError(sid)
        return labels

    def generation(self, metric: str) -> int:
        """Return a number that changes whenever a series of `metric` comes or goes."""
        return self._generations.get(metric, 0)

    def select(self, matchers: Sequence[Matcher]) -> SeriesIds:
        """Return the ids that satisfy every matcher, in label order."""
        return self.ordered(self.matching(matchers))

    def matching(self, matchers: Sequence[Matcher]) -> SeriesIds:
        """Return the ids that satisfy every matcher, ascending."""
        return np.flatnonzero(self.postings.select(matchers, self.in_use)).astype(np.int32)

    def ordered(self, sids: SeriesIds) -> SeriesIds:
        """Return `sids` in the order of their label sets."""
        if self._ranks is None and len(sids) * _SMALL < len(self):
            return np.asarray(sorted(sids.tolist(), key=self._pairs), np.int32)
        if self._ranks is None:
            self._ranks = self._rank()
        return sids[np.argsort(self._ranks[sids])]

    def _rank(self) -> SeriesIds:
        self._order.sort(key=self._pairs)  # near linear: the old ones are in order already
        ranks = np.zeros(self.size, np.int32)
        ranks[self._order] = np.arange(len(self._order), dtype=np.int32)
        return ranks

    def _pairs(self, sid: int) -> tuple[tuple[str, str], ...]:
        return self.labels(sid).pairs

    def _changed(self, labels: Labels) -> None:
        metric = labels.value(METRIC_NAME)
        self._changes += 1
        self._ranks = None
        if self.postings.carried(METRIC_NAME, metric):
            self._generations[metric] = self._changes
        else:
            self._generations.pop(metric, None)

    def _extend(self) -> int:
        sid = len(self._labels)
        self._labels.append(None)
        if sid == self.size:
            more = max(64, sid // 2)
            self.in_use = np.concatenate((self.in_use, np.zeros(more, np.bool_)))
            self.newest_times = np.concatenate((self.newest_times, np.full(more, NEVER)))
            self.newest_values = np.concatenate((self.newest_values, np.empty(more)))
        return sid
