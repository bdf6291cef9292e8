"""Decodes remote write 1.0: `prometheus.WriteRequest`.

Nearly every series of a request was seen before and has one sample. Such a series is told by
its label bytes and by the form of its end, and values and times of all of them are gathered
with NumPy. Source: Prometheus "Remote-Write 1.0" specification, `prompb/types.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

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
from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata
from tocsin.model.series import Series, Times

# A series as Prometheus sends it: labels, then one sample at a present-day time. From its end:
# 12 10 09 <8 bytes of value> 10 <6 bytes of time>.
_TAIL = 18
_VALUE = np.arange(3, 11)
_TIME = np.arange(12, 18)
_TIME_MASK = 0x80_80_80_80_80_80_FF  # of the last seven bytes: the tag, then the marks that a
_TIME_FORM = 0x00_80_80_80_80_80_10  # varint goes on, which the sixth of its bytes has not
_SHIFTS = np.arange(0, 42, 7)


def decode(body: bytes, known: KnownLabels) -> Request:
    """WriteRequest: timeseries = 1, metadata = 3."""
    request = Request()
    places, rest = _leading_series(body)
    for number, kind, start, end in fields(body, rest, len(body)):
        if number == 1:
            expect(kind, LEN, "timeseries")
            places.append((start, end))
            check_count(len(places), MOST_SERIES, "series")
        elif number == 3:
            expect(kind, LEN, "metadata")
            _describe(body, start, end, request.metadata)
    _read(body, places, known, request)
    return request


def _leading_series(body: bytes) -> tuple[list[tuple[int, int]], int]:
    """Return where the series lie with which a request begins, and where the rest begins.

    What `fields` would find, in a quarter of its time.
    """
    places: list[tuple[int, int]] = []
    at, end = 0, len(body)
    while at + 2 < end and body[at] == 0x0A and len(places) < MOST_SERIES:
        size, second = body[at + 1], body[at + 2]
        start = at + 2
        if size >= 0x80:
            if second >= 0x80:
                break
            size, start = size & 0x7F | second << 7, at + 3
        if size > end - start:
            break
        at = start + size
        places.append((start, at))
    return places, at


def _read(
    body: bytes, places: Sequence[tuple[int, int]], known: KnownLabels, request: Request
) -> None:
    """Read the series at `places`; one loop for speed, nearly all are known and have one sample.

    The labels' bytes are those of whole fields when they are known, so what follows them is a
    field too: where it has the form of a sample, it is one.
    """
    get, labels, tails, slots = known.get, [], [], []
    found: list[list[Series]] = []
    for start, end in places:
        tail = end - _TAIL
        if tail > start and body[tail : tail + 3] == b"\x12\x10\x09":
            same = get(body[start:tail])
            time_field = int.from_bytes(body[end - 7 : end], "little")
            if same is not None and time_field & _TIME_MASK == _TIME_FORM:
                labels.append(same)
                tails.append(tail)
                slots.append(len(found))
                found.append([])
                continue
        found.append(_series(body, start, end, known=known, request=request))
    request.count(len(slots))
    for slot, series in zip(slots, _gathered(body, labels, tails), strict=True):
        found[slot].append(series)
    request.series = [series for pieces in found for series in pieces]


def _gathered(body: bytes, labels: Sequence[Labels], tails: Sequence[int]) -> Iterable[Series]:
    """Return the series of one sample whose last fields begin at `tails`."""
    if not tails:
        return ()
    raw = np.frombuffer(body, np.uint8)
    at = np.asarray(tails, np.intp)[:, None]
    values = raw[at + _VALUE].view("<f8").astype(np.float64, copy=False)
    digits = raw[at + _TIME].astype(np.int64) & 0x7F
    times: Times = (digits << _SHIFTS).sum(axis=1)
    return map(Series, labels, times[:, None], values)


def _series(
    body: bytes, start: int, end: int, *, known: KnownLabels, request: Request
) -> list[Series]:
    """TimeSeries: labels = 1, samples = 2, exemplars = 3, histograms = 4."""
    parts, rest = _leading_labels(body, start, end)
    key = body[start:rest]
    points: list[Point] = []
    request.spend(len(parts))
    for number, kind, first, last in fields(body, rest, end):
        request.fields += 1
        if 1 <= number <= 4:
            expect(kind, LEN, f"field {number} of a series")
        if number == 1:
            parts.append((first, last))
            key = b""  # labels in several places: not what any sender writes
        elif number == 2:
            points.append(sample(body, first, last))
            check_count(len(points), MOST_SAMPLES, "samples")
        elif number == 3:
            request.exemplars += 1
        elif number == 4:
            request.histograms += 1
    return placed(_labels(body, parts, key, known), points, request)


def _leading_labels(body: bytes, start: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """Return where the labels lie with which a series begins, and where the rest begins."""
    parts: list[tuple[int, int]] = []
    at = start
    while at < end and body[at] == 0x0A:  # field 1, wire type LEN
        size, first = varint(body, at + 1, end)
        at = first + size
        if at > end:
            raise InvalidInput("protobuf: a label is longer than its series")
        parts.append((first, at))
        check_count(len(parts), MOST_LABELS, "labels in a series")
    return parts, at


def _labels(
    body: bytes, parts: Sequence[tuple[int, int]], key: bytes, known: KnownLabels
) -> Labels | str:
    """Return the label set of a series, or what is wrong with it."""
    same = known.get(key) if key else None
    if same is not None:
        return same
    check_count(len(parts), MOST_LABELS, "labels in a series")
    labels = label_set([_label(body, first, last) for first, last in parts])
    if key and isinstance(labels, Labels):
        known.add(key, labels)
    return labels


def _label(body: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """Label: name = 1, value = 2."""
    name = value = b""
    for number, kind, first, last in fields(body, start, end, most=LEAF):
        if number in (1, 2):
            expect(kind, LEN, "a label")
        if number == 1:
            name = body[first:last]
        elif number == 2:
            value = body[first:last]
    return name, value


def _describe(body: bytes, start: int, end: int, metadata: dict[str, Metadata]) -> None:
    """MetricMetadata: type = 1, metric_family_name = 2, help = 4, unit = 5."""
    kind_number, texts = 0, {2: b"", 4: b"", 5: b""}
    for number, kind, first, last in fields(body, start, end, most=LEAF):
        if number == 1:
            expect(kind, VARINT, "a metric type")
            kind_number = first
        elif number in texts:
            expect(kind, LEN, "metadata")
            texts[number] = body[first:last]
    name = texts[2].decode(errors="replace")
    if name:
        metadata[name] = metadata_of(kind_number, texts[4], texts[5])
