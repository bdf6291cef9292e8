"""Decodes remote write 2.0: `io.prometheus.write.v2.Request`.

Texts stand once in a table of symbols, labels are references to it. The table is another one in
every request, so the key of a series is what its references are in a table of our own. Source:
Prometheus "Remote-Write 2.0" specification, `prompb/io/prometheus/write/v2/types.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.known_series import KnownSeries, Numbers
from tocsin.metrics_collector.protobuf import LEN, VARINT, expect, fields, varint
from tocsin.metrics_collector.remote_write_decoder import Decoder
from tocsin.metrics_collector.remote_write_frames import (
    NOWHERE,
    Frames,
    Places,
    framed,
    packed_numbers,
    sample_ends,
    sample_places,
)
from tocsin.metrics_collector.remote_write_metadata import (
    described,
    family,
    last_said,
    metadata_fields,
    read_fields,
    symbol_at,
)
from tocsin.metrics_collector.write_request import (
    MOST_LABELS,
    MOST_SAMPLES,
    MOST_SERIES,
    Point,
    check_count,
    label_set,
    sample,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.sample import Metadata

MOST_SYMBOLS = 500_000  # in one request
_SYMBOL_TAG, _SERIES_TAG = 0x22, 0x2A  # fields 4 and 5 of a request, bytes
_LABELS_TAG, _METADATA_TAG = 0x0A, 0x2A  # fields 1 and 5 of a series, bytes
_KEY_TYPE = np.dtype(">i4")  # of symbols in keys; the first byte is 0, unlike in version 1.0

Given: TypeAlias = tuple[int, int, int]
"""Type, help_ref and unit_ref of a metric."""
Described: TypeAlias = tuple[int, int, Given]
"""Where a series begins, its number, and what it says of its metric."""


class SecondVersion(Decoder):
    """Reads one Request: symbols = 4, timeseries = 5."""

    def __init__(self, body: bytes, known: KnownSeries) -> None:
        """Read `body`, see `Decoder`."""
        super().__init__(body, known)
        self._symbols: list[bytes] = []
        self._described: list[Described] = []
        self._meanings: dict[Given, Metadata | None] = {}

    def guessed(self) -> Frames | None:
        """Return where the series lie if each has one sample, and all or none have metadata."""
        body = self.body
        self._symbols, first = _leading_symbols(body)
        if self._symbols and self._symbols[0]:
            return None
        samples = sample_places(body, first)
        if not 0 < len(samples) <= MOST_SERIES:
            return None
        ends = sample_ends(body, samples)
        if ends[-1] < len(body):
            ends += 2 + np.frombuffer(body, np.uint8).take(ends + 1, mode="clip")
        frames = framed(body, first, samples, ends, tag=_SERIES_TAG)
        return None if frames is None else _formed(body, frames.starts, ends, samples)

    def walked(self) -> Frames:
        """Return where the series lie, and take the symbols between them."""
        body = self.body
        symbols, first = _leading_symbols(body)
        places: list[tuple[int, int]] = []
        for number, kind, start, end in fields(body, first, len(body)):
            if number == 4:
                expect(kind, LEN, "symbols")
                symbols.append(body[start:end])
                check_count(len(symbols), MOST_SYMBOLS, "symbols")
            elif number == 5:
                expect(kind, LEN, "timeseries")
                places.append((start, end))
                check_count(len(places), MOST_SERIES, "series")
        self._symbols = symbols
        if symbols and symbols[0]:
            raise InvalidInput("the first symbol is not the empty string")
        starts, ends = np.array(places, np.int64).reshape(-1, 2).T
        return _formed(body, starts, ends, sample_places(body, first))

    def keys(self, frames: Frames) -> list[bytes]:
        """Return the labels in symbols of our own; b"" for all when one cannot be read."""
        found = packed_numbers(self.body, frames.starts + 2, frames.samples)
        if found is None or (found.numbers >= len(self._symbols)).any():
            return [b""] * len(frames)
        text = self._own[found.numbers].tobytes()
        bounds = (found.bounds * _KEY_TYPE.itemsize).tolist()
        return [text[begin:end] for begin, end in pairwise(bounds)]

    def series(self, start: int, end: int) -> tuple[int | str, list[Point]]:
        """TimeSeries: labels_refs = 1, samples = 2, histograms = 3, exemplars = 4, metadata = 5."""
        body, request = self.body, self.request
        refs: list[int] = []
        points: list[Point] = []
        given: Given | None = None
        request.spend(1)
        for number, kind, first, last in fields(body, start, end):
            request.fields += 1
            if 2 <= number <= 5:
                expect(kind, LEN, f"field {number} of a series")
            if number == 1:
                refs += _refs(body, kind, first, last)
                check_count(len(refs), 2 * MOST_LABELS, "label references in a series")
            elif number == 2:
                points.append(sample(body, first, last))
                check_count(len(points), MOST_SAMPLES, "samples")
            elif number == 3:
                request.histograms += 1
            elif number == 4:
                request.exemplars += 1
            elif number == 5:
                given = read_fields(body, first, last)
        series = self._number(refs)
        if given and not isinstance(series, str):
            self._described.append((start, series, given))
        return series, points

    def describe(self, usual: Frames, numbers: Numbers) -> None:
        """Take the metadata of all series; of a family the last one counts."""
        begins = sample_ends(self.body, usual.samples) + 2
        some = np.flatnonzero(begins < usual.ends)
        if some.size:
            metrics = self.known.metrics[numbers[some]]
            some = some[last_said(self.body, begins[some], usual.ends[some], metrics)]
            given = self._given(begins[some], usual.ends[some])
            starts, series = usual.starts[some].tolist(), numbers[some].tolist()
            self._described += zip(starts, series, given, strict=True)
        for _, number, told in sorted(self._described):
            found = self._metadata(told)
            if found is not None:
                name = self.known.labels[number].value(METRIC_NAME)
                self.request.metadata[family(name, found.type)] = found

    def _given(self, begins: Places, ends: Places) -> list[Given]:
        told = metadata_fields(self.body, begins, ends)
        if told is not None:
            return [(kind, help_ref, unit_ref) for kind, help_ref, unit_ref in told.tolist()]
        spans = zip(begins.tolist(), ends.tolist(), strict=True)
        return [read_fields(self.body, begin, end) for begin, end in spans]

    def _metadata(self, given: tuple[int, int, int]) -> Metadata | None:
        if given not in self._meanings:
            self._meanings[given] = described(given, self._symbols)
        return self._meanings[given]

    def _number(self, refs: Sequence[int]) -> int | str:
        """Return the number of a series by its labels, or what is wrong with them."""
        if len(refs) % 2:
            raise InvalidInput("a label has a name and no value: labels_refs is odd")
        texts = [symbol_at(self._symbols, ref) for ref in refs]
        key = self._own[refs].tobytes() if refs else b""
        same = self.known.get(key)
        if same is not None:
            return same
        labels = label_set(list(zip(texts[::2], texts[1::2], strict=True)))
        return labels if isinstance(labels, str) else self.known.add(key, labels)

    @cached_property
    def _own(self) -> npt.NDArray[np.int32]:
        """Return the symbols in numbers of our own, once all of them are read."""
        return self.known.symbols(self._symbols).astype(_KEY_TYPE)


def _leading_symbols(body: bytes) -> tuple[list[bytes], int]:
    """Return the symbols with which a request begins, and where the rest begins.

    What `fields` would find, in a quarter of its time.
    """
    symbols: list[bytes] = []
    at, end = 0, len(body)
    while at + 2 < end and body[at] == _SYMBOL_TAG and len(symbols) < MOST_SYMBOLS:
        size, start = body[at + 1], at + 2
        if size >= 0x80:
            if body[start] >= 0x80:
                break
            size, start = size & 0x7F | body[start] << 7, start + 1
        if size > end - start:
            break
        at = start + size
        symbols.append(body[start:at])
    return symbols, at


def _refs(body: bytes, kind: int, first: int, last: int) -> list[int]:
    """Return packed numbers, or the one that stands alone."""
    if kind == VARINT:
        return [first]
    expect(kind, LEN, "labels_refs")
    check_count(last - first, 2 * MOST_LABELS * 5, "bytes of label references in a series")
    refs = []
    while first < last:
        ref, first = varint(body, first, last)
        refs.append(ref)
    return refs


def _formed(body: bytes, starts: Places, ends: Places, likely: Places) -> Frames:
    """Return the frames of series; the usual form is labels, a sample, at most metadata.

    `likely` are all the places that look like a sample.
    """
    if not len(likely):
        return Frames(starts, ends, np.full(len(starts), NOWHERE, np.int64))
    raw = np.frombuffer(body, np.uint8)
    size = raw.take(starts + 1, mode="clip")
    at = starts + 2 + size
    samples = likely.take(np.searchsorted(likely, at), mode="clip")
    right = (raw.take(starts, mode="clip") == _LABELS_TAG) & (size > 0) & (size < 0x80)
    right &= (samples == at) & _closed(raw, sample_ends(body, samples), ends)
    return Frames(starts, ends, np.where(right, samples, NOWHERE))


def _closed(raw: npt.NDArray[np.uint8], at: Places, ends: Places) -> npt.NDArray[np.bool_]:
    """Tell where a series ends at `at`, or with short metadata that begins there."""
    size = raw.take(at + 1, mode="clip")
    behind = (raw.take(at, mode="clip") == _METADATA_TAG) & (size < 0x80)
    closed: npt.NDArray[np.bool_] = (at == ends) | behind & (at + 2 + size == ends)
    return closed
