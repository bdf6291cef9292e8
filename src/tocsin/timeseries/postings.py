"""The label index: which series carry which label, and which series a selector means.

For every label name and value there is a posting: the sorted int32 ids of the series that
carry it. A selector is answered by set operations on postings (contract metrics-engine 2.3):

* a matcher that refuses the empty string keeps the union of the postings it accepts;
* a matcher that accepts it (`x!="a"`, `x=~".*"`, `x=""`) also means series *without* the
  label, so the union of the postings it refuses is taken away instead.

A pattern is tried once for every distinct value and the outcome kept; later calls try only
the values that came since. The index knows nothing of samples or time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, MatchOp

SeriesIds: TypeAlias = npt.NDArray[np.int32]
Mask: TypeAlias = npt.NDArray[np.bool_]

NO_SERIES: SeriesIds = np.empty(0, np.int32)

_PATTERNS_KEPT = 512  # per tenant; a rule set rarely has more distinct patterns
_JOURNAL_SLACK = 1024  # vanished values a journal may name before it is rewritten


class Postings:
    """The label index of one tenant. Not thread-safe."""

    def __init__(self) -> None:
        self._names: dict[str, _Values] = {}
        self._tried: OrderedDict[tuple[str, str], _Tried] = OrderedDict()

    def add(self, sid: int, labels: Labels) -> None:
        """Enter a series; its label set shares its pairs with the others from now on."""
        labels.share(tuple([self._enter(sid, pair) for pair in labels.pairs]))

    def remove(self, series: Iterable[tuple[int, Labels]]) -> None:
        """Take series out; names and values that nobody carries any more vanish."""
        gone: dict[tuple[str, str], list[int]] = {}
        for sid, labels in series:
            for pair in labels.pairs:
                gone.setdefault(pair, []).append(sid)
        for (name, value), sids in gone.items():
            values = self._names[name]
            values.discard(value, sids)
            if not values.postings:
                del self._names[name]
                self._forget(name)

    def select(self, matchers: Sequence[Matcher], everyone: Mask) -> Mask:
        """Return which series satisfy every matcher; `everyone` marks the ids in use."""
        found = everyone.copy()
        for matcher in sorted(matchers, key=_cost):
            accepts_absent = matcher.matches("")
            touched = self._union(matcher, accepted=not accepts_absent)
            if accepts_absent:
                found[touched] = False
            else:
                found = _only(found, touched)
        return found

    def carried(self, name: str, value: str) -> bool:
        """Tell whether any series carries the label."""
        values = self._names.get(name)
        return values is not None and value in values.postings

    def names(self) -> Iterator[str]:
        """Yield every label name in use."""
        return iter(self._names)

    def values(self, name: str) -> Iterator[tuple[str, SeriesIds]]:
        """Yield every value of a label with the series that carry it."""
        values = self._names.get(name)
        if values is not None:
            for value, posting in values.postings.items():
                yield value, posting.ids()

    def _enter(self, sid: int, pair: tuple[str, str]) -> tuple[str, str]:
        values = self._names.get(pair[0])
        if values is None:
            values = self._names[pair[0]] = _Values()
        return values.add(pair, sid)

    def _union(self, matcher: Matcher, *, accepted: bool) -> SeriesIds:
        """Return the series whose value `matcher` accepts, or those whose value it refuses."""
        values = self._names.get(matcher.name)
        if values is None:
            return NO_SERIES
        named = self._matching(matcher, values)  # what `=` or `=~` of the same value accepts
        if accepted is matcher.op.is_equal:
            return values.union(named)
        return values.union(value for value in values.postings if value not in named)

    def _matching(self, matcher: Matcher, values: _Values) -> Iterable[str]:
        if matcher.pattern is None:
            return {matcher.value} & values.postings.keys()
        if matcher.pattern.literals is not None:
            return matcher.pattern.literals & values.postings.keys()
        return self._try_pattern(matcher, values)

    def _try_pattern(self, matcher: Matcher, values: _Values) -> Iterable[str]:
        assert matcher.pattern is not None  # noqa: S101  # narrowed by the caller
        key = (matcher.name, matcher.value)
        tried = self._tried.get(key)
        if tried is None or tried.edition != values.edition:
            tried = self._tried[key] = _Tried(values.edition)
        self._tried.move_to_end(key)
        if len(self._tried) > _PATTERNS_KEPT:
            self._tried.popitem(last=False)
        fresh = values.journal[tried.upto :]
        tried.upto = len(values.journal)
        tried.accepted.update(value for value in fresh if matcher.pattern.matches(value))
        return tried.accepted

    def _forget(self, name: str) -> None:
        for key in [key for key in self._tried if key[0] == name]:
            del self._tried[key]


class _Tried:
    """What a pattern accepts among the first `upto` entries of a journal's edition."""

    __slots__ = ("accepted", "edition", "upto")

    def __init__(self, edition: int) -> None:
        self.edition = edition
        self.upto = 0
        self.accepted: set[str] = set()


class _Values:
    """The values of one label name.

    `journal` lists values in the order they came, which lets a pattern try only new ones; a
    value that vanished stays in it until the journal is rewritten as a new `edition`.
    """

    __slots__ = ("edition", "journal", "postings")

    def __init__(self) -> None:
        self.postings: dict[str, _Posting] = {}
        self.journal: list[str] = []
        self.edition = 0

    def add(self, pair: tuple[str, str], sid: int) -> tuple[str, str]:
        """Enter a series, and return the pair as the first one with this value had it."""
        value = pair[1]
        posting = self.postings.get(value)
        if posting is None:
            posting = self.postings[value] = _Posting(pair)
            self.journal.append(value)
        posting.add(sid)
        return posting.pair

    def discard(self, value: str, sids: list[int]) -> None:
        posting = self.postings[value]
        posting.discard(sids)
        if not posting.ids().size:
            del self.postings[value]
            if len(self.journal) > 2 * len(self.postings) + _JOURNAL_SLACK:
                self.journal = list(self.postings)
                self.edition += 1

    def union(self, values: Iterable[str]) -> SeriesIds:
        found = [self.postings[value].ids() for value in values if value in self.postings]
        return np.concatenate(found) if found else NO_SERIES


class _Posting:
    """Sorted series ids; additions wait in a list until somebody reads."""

    __slots__ = ("_ids", "_new", "pair")

    def __init__(self, pair: tuple[str, str]) -> None:
        self.pair = pair
        self._ids = NO_SERIES
        self._new: list[int] = []

    def add(self, sid: int) -> None:
        self._new.append(sid)

    def discard(self, sids: list[int]) -> None:
        self._ids = np.setdiff1d(self.ids(), np.asarray(sids, np.int32), assume_unique=True)

    def ids(self) -> SeriesIds:
        if self._new:
            merged = np.concatenate((self._ids, np.asarray(self._new, np.int32)))
            merged.sort(kind="stable")
            self._ids, self._new = merged, []
        return self._ids


def _cost(matcher: Matcher) -> bool:
    """Order equality before everything else: it is a single look-up."""
    return matcher.op is not MatchOp.EQUAL


def _only(found: Mask, touched: SeriesIds) -> Mask:
    kept = np.zeros_like(found)
    kept[touched] = found[touched]
    return kept
