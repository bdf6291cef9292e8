"""The messages of remote read: what a Prometheus asks of another store, and what it is given.

Only the response type SAMPLES is spoken: whole samples, no chunks. Source: Prometheus
`prompb/remote.proto` and `prompb/types.proto`; protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cramjam
import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.protobuf import LEN, VARINT, expect, fields, signed, varint
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, Matchers, MatchOp, matcher
from tocsin.model.series import Series

SAMPLES = 0
_STREAMED = 1
_NAMES = {SAMPLES: "SAMPLES", _STREAMED: "STREAMED_XOR_CHUNKS"}
_OPS = (MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX)
_MOST_FIELDS = 10_000  # of a request: a query has a handful of matchers
_ROWS = 1 << 18  # samples encoded at once: 7 MiB


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """Which samples are asked for: start <= t <= end, in milliseconds."""

    start_ms: int
    end_ms: int
    matchers: Matchers


def read_request(content: bytes) -> list[ReadQuery]:
    """Return the queries of an uncompressed `ReadRequest`.

    Raises InvalidInput when it is none, or accepts no type of answer that we give.
    """
    queries: list[ReadQuery] = []
    accepted: list[int] = []
    for number, kind, first, end in fields(content, 0, len(content), most=_MOST_FIELDS):
        if number == 1:
            expect(kind, LEN, "ReadRequest.queries")
            queries.append(_query(content, first, end))
        elif number == 2 and kind == VARINT:
            accepted.append(first)
        elif number == 2:
            accepted += _packed(content, first, end)
    if accepted and SAMPLES not in accepted:
        asked = " ".join(_NAMES.get(each, str(each)) for each in accepted)
        reason = "server does not support any of the requested response types"
        raise InvalidInput(f"{reason}: [{asked}]; supported: [SAMPLES]")
    return queries


def read_response(results: Iterable[Iterable[Series]]) -> bytes:
    """Return a `ReadResponse` as a snappy block: one result for each query, in order."""
    body = b"".join(_field(1, _result(series)) for series in results)
    return bytes(cramjam.snappy.compress_raw(body))


def _query(content: bytes, start: int, end: int) -> ReadQuery:
    times = {1: 0, 2: 0}
    found = []
    for number, kind, first, last in fields(content, start, end, most=_MOST_FIELDS):
        if number in times:
            expect(kind, VARINT, "a time of Query")
            times[number] = signed(first)
        elif number == 3:
            expect(kind, LEN, "Query.matchers")
            found.append(_matcher(content, first, last))
    return ReadQuery(times[1], times[2], tuple(found))


def _matcher(content: bytes, start: int, end: int) -> Matcher:
    op, texts = 0, {2: "", 3: ""}
    for number, kind, first, last in fields(content, start, end, most=_MOST_FIELDS):
        if number == 1:
            expect(kind, VARINT, "LabelMatcher.type")
            op = first
        elif number in texts:
            expect(kind, LEN, "a text of LabelMatcher")
            texts[number] = content[first:last].decode("utf-8", "surrogateescape")
    if op >= len(_OPS):
        raise InvalidInput(f"invalid matcher type {op}")
    return matcher(texts[2], _OPS[op], texts[3])


def _packed(content: bytes, at: int, end: int) -> Iterator[int]:
    while at < end:
        value, at = varint(content, at, end)
        yield value


def _result(found: Iterable[Series]) -> bytes:
    return b"".join(_field(1, _labels(each.labels) + _samples(each)) for each in found)


def _labels(labels: Labels) -> bytes:
    return b"".join(_field(1, _text(1, name) + _text(2, value)) for name, value in labels.pairs)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode("utf-8", "surrogateescape"))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | LEN,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _samples(series: Series) -> bytes:
    """Return the samples of a series as fields of its message; staleness markers are kept."""
    parts = []
    for first in range(0, series.times.size, _ROWS):
        times, values = series.times[first : first + _ROWS], series.values[first : first + _ROWS]
        sizes = _varint_sizes(times)
        ends = np.flatnonzero(np.diff(sizes, append=-1)) + 1
        for start, end in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
            parts.append(_rows(times[start:end], values[start:end], int(sizes[start])))
    return b"".join(parts)


def _rows(times: npt.NDArray[np.int64], values: npt.NDArray[np.float64], size: int) -> bytes:
    """Return samples whose times take `size` bytes each."""
    rows = np.empty((times.size, 12 + size), dtype=np.uint8)
    rows[:, 0], rows[:, 1] = 2 << 3 | LEN, 10 + size
    rows[:, 2] = 1 << 3 | 1
    rows[:, 3:11] = values.astype("<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 2 << 3
    left = times.view(np.uint64)
    for place in range(size):
        more = 0x80 if place < size - 1 else 0
        rows[:, 12 + place] = (left & np.uint64(0x7F)).astype(np.uint8) | more
        left = left >> np.uint64(7)
    return rows.tobytes()


def _varint_sizes(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return how many bytes each time takes as a varint; a negative one takes ten."""
    limits = np.array([1 << (7 * k) for k in range(1, 9)], dtype=np.int64)
    sizes = np.searchsorted(limits, times, side="right") + 1
    return np.where(times < 0, 10, sizes)
