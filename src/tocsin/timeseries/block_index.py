"""The label index of a block: which series it holds, in label order, and which a selector means.

Texts are kept once, sorted, as one run of UTF-8; a label is two numbers in it. As texts are
sorted, labels can be compared and found without making a string of any. Series are numbered
in label order. Postings (pair of name and value to series numbers) are made from the label
sets when the index is read, which is quicker than reading them.

Selectors mean what `postings` says they mean for the head.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, MatchOp
from tocsin.timeseries.block_codec import BadBlock, Coder, Decoder, Ints
from tocsin.timeseries.postings import Mask, SeriesIds
from tocsin.timeseries.sorting import in_order

Numbers: TypeAlias = npt.NDArray[np.int32]
Index: TypeAlias = tuple[Sequence[bytes], Ints, Numbers]  # texts, counts, refs
K = TypeVar("K")
V = TypeVar("V")

_NOTHING: SeriesIds = np.empty(0, np.int32)
_LABELS_KEPT = 20_000  # label sets of an index that stay at hand, about 20 MB
_TEXTS_KEPT = 50_000
_PATTERNS_KEPT = 64


class Texts:
    """Sorted distinct texts. A text's number is its place."""

    def __init__(self, blob: bytes, sizes: Ints) -> None:
        """Take texts one behind the other, and the bytes of each."""
        self._blob = blob
        self._ends = np.cumsum(sizes)
        self._known: dict[int, str] = {}

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self._ends)

    @property
    def nbytes(self) -> int:
        """Return about how much memory they take."""
        return len(self._blob) + self._ends.nbytes

    def raw(self, number: int) -> bytes:
        """Return a text as UTF-8."""
        begin = int(self._ends[number - 1]) if number else 0
        return self._blob[begin : int(self._ends[number])]

    def text(self, number: int) -> str:
        """Return a text; the same object while it is at hand."""
        known = self._known.get(number)
        if known is None:
            known = self.raw(number).decode("utf-8", "surrogatepass")
            _keep(self._known, number, known, at_most=_TEXTS_KEPT)
        return known

    def find(self, text: str) -> int | None:
        """Return the number of a text, None when it is not there."""
        wanted = encoded(text)
        at = bisect_left(range(len(self)), wanted, key=self.raw)
        return at if at < len(self) and self.raw(at) == wanted else None

    def all(self) -> list[bytes]:
        """Return every text, in order."""
        return [self.raw(number) for number in range(len(self))]


class BlockIndex:
    """The series of one block. Immutable; any thread may read it."""

    def __init__(self, texts: Texts, counts: Ints, refs: Numbers) -> None:
        """Index label sets: `counts` pairs each, `refs` name and value of each pair in turn."""
        self.texts = texts
        self.counts = counts
        self.refs = refs
        self._begins = np.cumsum(counts) - counts
        names, values = refs[::2].astype(np.int64), refs[1::2].astype(np.int64)
        keys = names * len(texts) + values
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        ids = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self._ids: SeriesIds = ids[order]
        self._bounds = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
        self._keys = keys[self._bounds[:-1]]
        self._labels: dict[int, Labels] = {}
        self._tried: dict[tuple[str, str], frozenset[int]] = {}

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.counts)

    @property
    def nbytes(self) -> int:
        """Return about how much memory the index takes, label sets given out not counted."""
        arrays = (self.counts, self.refs, self._begins, self._ids, self._bounds, self._keys)
        return self.texts.nbytes + sum(array.nbytes for array in arrays)

    def labels(self, number: int) -> Labels:
        """Return the label set of a series."""
        known = self._labels.get(number)
        if known is None:
            begin = 2 * int(self._begins[number])
            refs = self.refs[begin : begin + 2 * int(self.counts[number])].tolist()
            known = Labels(zip(*[map(self.texts.text, refs)] * 2, strict=True))
            _keep(self._labels, number, known, at_most=_LABELS_KEPT)
        return known

    def find(self, labels: Labels) -> int | None:
        """Return the number of a series, None when it is not in the block."""
        same = self.select([Matcher(name, MatchOp.EQUAL, value) for name, value in labels.pairs])
        exact = same[self.counts[same] == len(labels.pairs)]
        return int(exact[0]) if exact.size else None

    def marks(self, ids: SeriesIds) -> Mask:
        """Return a mark for each series: whether it is among `ids`."""
        marks = np.zeros(len(self), np.bool_)
        marks[ids] = True
        return marks

    def everyone(self) -> SeriesIds:
        """Return the numbers of all series."""
        return np.arange(len(self), dtype=np.int32)

    def select(self, matchers: Sequence[Matcher]) -> SeriesIds:
        """Return the series that satisfy every matcher, ascending."""
        found = self.everyone()
        for matcher in sorted(matchers, key=lambda each: each.op is not MatchOp.EQUAL):
            accepts_absent = matcher.matches("")
            touched = self._union(matcher, accepted=not accepts_absent)
            narrow = np.setdiff1d if accepts_absent else np.intersect1d
            found = narrow(found, touched, assume_unique=True)
            if not found.size:
                break
        return found

    def names(self) -> Iterator[tuple[str, SeriesIds]]:
        """Yield every label name with the series that carry it, ascending."""
        for name in np.unique(self._keys // max(1, len(self.texts))).tolist():
            begin, end = self._range(name)
            ids = np.sort(self._ids[self._bounds[begin] : self._bounds[end]])
            yield self.texts.text(name), ids

    def values(self, name: str) -> Iterator[tuple[str, SeriesIds]]:
        """Yield every value of a label, sorted, with the series that carry it, ascending."""
        number = self.texts.find(name)
        if number is None:
            return
        begin, end = self._range(number)
        for at in range(begin, end):
            yield self._value(at), self._posting(at)

    def _union(self, matcher: Matcher, *, accepted: bool) -> SeriesIds:
        """Return the series whose value `matcher` accepts, or those whose value it refuses."""
        number = self.texts.find(matcher.name)
        if number is None:
            return _NOTHING
        wanted = accepted is matcher.op.is_equal
        named = self._named(matcher, number)
        places = named if wanted else [at for at in range(*self._range(number)) if at not in named]
        return np.concatenate((_NOTHING, *map(self._posting, places)))

    def _named(self, matcher: Matcher, number: int) -> frozenset[int]:
        """Return the places of what `=` or `=~` of the matcher's value accepts."""
        literals = _literals(matcher)
        if literals is not None:
            places = (self._place(number, text) for text in literals)
            return frozenset(at for at in places if at is not None)
        key = (matcher.name, matcher.value)
        named = self._tried.get(key)
        if named is None:
            tried = range(*self._range(number))
            equal = matcher.op.is_equal
            named = frozenset(at for at in tried if matcher.matches(self._value(at)) is equal)
            _keep(self._tried, key, named, at_most=_PATTERNS_KEPT)
        return named

    def _range(self, name: int) -> tuple[int, int]:
        """Return where the pairs of a name begin and end."""
        span = np.asarray((name, name + 1)) * len(self.texts)
        begin, end = np.searchsorted(self._keys, span).tolist()
        return begin, end

    def _place(self, name: int, value: str) -> int | None:
        number = self.texts.find(value)
        if number is None:
            return None
        key = name * len(self.texts) + number
        at = int(np.searchsorted(self._keys, key))
        return at if at < len(self._keys) and self._keys[at] == key else None

    def _value(self, at: int) -> str:
        return self.texts.text(int(self._keys[at]) % len(self.texts))

    def _posting(self, at: int) -> SeriesIds:
        return self._ids[self._bounds[at] : self._bounds[at + 1]]


def encoded(text: str) -> bytes:
    """Return a text as it lies in an index; bytes sort as the texts do."""
    return text.encode("utf-8", "surrogatepass")


def index_of(series: Sequence[Labels]) -> Index:
    """Return texts, counts and refs of label sets that stand in label order."""
    texts = in_order({text for labels in series for pair in labels.pairs for text in pair})
    number = {text: at for at, text in enumerate(texts)}
    counts = np.fromiter((len(labels.pairs) for labels in series), np.int64, len(series))
    flat = (number[text] for labels in series for pair in labels.pairs for text in pair)
    refs = np.fromiter(flat, np.int32, 2 * int(counts.sum()))
    return [encoded(text) for text in texts], counts, refs


def pack_index(coder: Coder, texts: Sequence[bytes], counts: Ints, refs: Numbers) -> bytes:
    """Return the bytes of an index.

    Label sets with the same number of pairs are written column by column: names are the same
    all the way down, and values repeat.
    """
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    shape = coder.numbers(np.asarray([len(texts), len(counts)], np.int64))
    found = [shape, coder.numbers(sizes), coder.text(b"".join(texts)), coder.numbers(counts)]
    for count, cells in _tables(counts):
        lengths = np.full(2 * count, len(cells), np.int64)
        found.append(coder.ints(refs[cells].T.astype(np.int64).ravel(), lengths))
    return b"".join(found)


def read_index(data: bytes | memoryview) -> BlockIndex:
    """Return the index `pack_index` wrote. Raises BadBlock."""
    decoder = Decoder(data)
    texts, series = decoder.numbers(2).tolist()
    if texts < 0 or series < 0:
        raise BadBlock("an index cannot hold less than nothing")
    sizes = decoder.numbers(texts)
    strings = Texts(decoder.text(), sizes)
    counts = decoder.numbers(series)
    refs = np.empty(2 * int(counts.sum()), np.int32)
    for count, cells in _tables(counts):
        lengths = np.full(2 * count, len(cells), np.int64)
        refs[cells] = decoder.ints(lengths).reshape(2 * count, -1).T
    if refs.size and (refs.min() < 0 or refs.max() >= texts):
        raise BadBlock("a label stands for no text")
    return BlockIndex(strings, counts, refs)


def _tables(counts: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each number of pairs, and where the refs of the series that have as many lie."""
    begins = 2 * (np.cumsum(counts) - counts)
    for count in np.unique(counts).tolist():
        if count > 0:
            rows = begins[counts == count]
            yield count, rows[:, None] + np.arange(2 * count)


def _keep(cache: dict[K, V], key: K, value: V, *, at_most: int) -> None:
    if len(cache) >= at_most:
        cache.clear()
    cache[key] = value


def _literals(matcher: Matcher) -> frozenset[str] | None:
    """Return the only values an equality or a pattern accepts, None when they are many."""
    if matcher.pattern is None:
        return frozenset((matcher.value,))
    return matcher.pattern.literals
