"""Decodes remote write 2.0: `io.prometheus.write.v2.Request`.

Texts stand once in a table of symbols, labels are references to it. Source: Prometheus
"Remote-Write 2.0" specification, `prompb/io/prometheus/write/v2/types.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.metrics_collector.protobuf import LEAF, LEN, VARINT, expect, fields, varint
from tocsin.metrics_collector.write_request import (
    MOST_LABELS,
    MOST_SAMPLES,
    MOST_SERIES,
    KnownLabels,
    Point,
    Request,
    check_count,
    label_set,
    metadata_of,
    placed,
    sample,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels

MOST_SYMBOLS = 500_000  # in one request
_PARTS = {
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("_sum", "_count"),
}


def decode(body: bytes, known: KnownLabels) -> Request:
    """Request: symbols = 4, timeseries = 5."""
    symbols: list[bytes] = []
    places: list[tuple[int, int]] = []
    for number, kind, start, end in fields(body, 0, len(body)):
        if number == 4:
            expect(kind, LEN, "symbols")
            symbols.append(body[start:end])
            check_count(len(symbols), MOST_SYMBOLS, "symbols")
        elif number == 5:
            expect(kind, LEN, "timeseries")
            places.append((start, end))
            check_count(len(places), MOST_SERIES, "series")
    if symbols and symbols[0]:
        raise InvalidInput("the first symbol is not the empty string")
    reader = _SecondVersion(body, symbols, known)
    for start, end in places:
        reader.read(start, end)
    return reader.request


class _SecondVersion:
    """Reads the series of one request of version 2.0."""

    def __init__(self, body: bytes, symbols: Sequence[bytes], known: KnownLabels) -> None:
        self.request = Request()
        self._body = body
        self._symbols = symbols
        self._known = known

    def read(self, start: int, end: int) -> None:
        """TimeSeries: labels_refs = 1, samples = 2, histograms = 3, exemplars = 4, metadata = 5."""
        body, request = self._body, self.request
        refs: list[int] = []
        points: list[Point] = []
        described: tuple[int, int] | None = None
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
                described = (first, last)
        labels = self._labels(refs)
        request.series += placed(labels, points, request)
        if described and isinstance(labels, Labels):
            self._describe(labels.value(METRIC_NAME), *described)

    def _labels(self, refs: Sequence[int]) -> Labels | str:
        if len(refs) % 2:
            raise InvalidInput("a label has a name and no value: labels_refs is odd")
        texts = tuple([self._symbol(ref) for ref in refs])
        same = self._known.get(texts)
        if same is not None:
            return same
        labels = label_set(list(zip(texts[::2], texts[1::2], strict=True)))
        if isinstance(labels, Labels):
            self._known.add(texts, labels)
        return labels

    def _symbol(self, ref: int) -> bytes:
        try:
            return self._symbols[ref]
        except IndexError:
            raise InvalidInput(f"there is no symbol {ref}") from None

    def _describe(self, name: str, start: int, end: int) -> None:
        """Metadata: type = 1, help_ref = 3, unit_ref = 4."""
        given = {1: 0, 3: 0, 4: 0}
        for number, kind, value, _ in fields(self._body, start, end, most=LEAF):
            if number in given:
                expect(kind, VARINT, "metadata")
                given[number] = value
        if any(given.values()):
            help_text, unit = (self._symbol(given[n]) if given[n] else b"" for n in (3, 4))
            found = metadata_of(given[1], help_text, unit)
            self.request.metadata[_family(name, found.type)] = found


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


def _family(name: str, kind: str) -> str:
    """Return the name of the family that a series of a histogram or summary belongs to."""
    for part in _PARTS.get(kind, ()):
        if name.endswith(part):
            return name.removesuffix(part)
    return name
