"""Which groups hold samples of a series.

Almost every series lives in one group, so that is an array by series id. A series that moved
(its target was renamed, two targets expose it) has more; those few stand in a dictionary.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tocsin.timeseries.postings import Mask, SeriesIds

NOWHERE = -1


class Membership:
    """Group indices by series id. Not thread-safe."""

    def __init__(self) -> None:
        self._home: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._also: dict[int, set[int]] = {}

    def fit(self, size: int) -> None:
        """Make room for series ids below `size`."""
        missing = size - len(self._home)
        if missing > 0:
            more = np.full(missing, NOWHERE, np.int32)
            self._home = np.concatenate((self._home, more))

    def add(self, sids: SeriesIds, group: int) -> None:
        """Note that `group` holds samples of `sids`."""
        home = self._home[sids]
        self._home[sids[home == NOWHERE]] = group
        for sid in sids[(home != NOWHERE) & (home != group)].tolist():
            self._also.setdefault(sid, set()).add(group)

    def discard(self, sids: SeriesIds, group: int) -> None:
        """Note that `group` holds no samples of `sids` any more."""
        here = sids[self._home[sids] == group]
        self._home[here] = NOWHERE
        if not self._also:
            return
        for sid in sids.tolist():
            others = self._also.get(sid)
            if others is None:
                continue
            others.discard(group)
            if others and self._home[sid] == NOWHERE:
                self._home[sid] = others.pop()
            if not others:
                del self._also[sid]

    def anywhere(self, sids: SeriesIds) -> Mask:
        """Tell for each series whether any group holds samples of it."""
        found: Mask = self._home[sids] != NOWHERE
        return found

    def homes(self, sids: SeriesIds) -> SeriesIds:
        """Return for each series a group that holds samples of it, or NOWHERE."""
        found: SeriesIds = self._home[sids]
        return found

    def several(self, sids: SeriesIds) -> Mask:
        """Tell for each series whether more than one group holds samples of it."""
        if not self._also:
            return np.zeros(len(sids), np.bool_)
        return np.isin(sids, np.fromiter(self._also, np.int32, len(self._also)))

    def groups_of(self, sids: SeriesIds) -> list[int]:
        """Return the groups that hold samples of any of `sids`, each once, ascending."""
        homes = np.unique(self._home[sids])
        found = set(homes[homes != NOWHERE].tolist())
        if self._also:
            for sid in self._also.keys() & set(sids.tolist()):
                found |= self._also[sid]
        return sorted(found)
