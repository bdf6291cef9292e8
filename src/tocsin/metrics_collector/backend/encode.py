"""Builds remote write 1.0 requests: samples in, the body of a POST out.

Source: Prometheus "Remote-Write 1.0" specification and `prompb/types.proto`. Samples of one
series come together, in order of time, as receivers want them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import cramjam

from tocsin.model.labels import Labels

Point = tuple[int, float]
"""When (Unix ms) and what; a staleness marker keeps its bits."""

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_LEN = 2  # wire type
_SERIES = 1 << 3 | _LEN
_LABEL = 1 << 3 | _LEN
_SAMPLE = 2 << 3 | _LEN
_VALUE = struct.Struct("<d")


def write_request(samples: Iterable[tuple[Labels, Sequence[Point]]]) -> bytes:
    """Return a compressed request; points of equal label sets are put into one series."""
    series: dict[Labels, list[Point]] = {}
    for labels, points in samples:
        series.setdefault(labels, []).extend(points)
    body = b"".join(_field(_SERIES, _series(*each)) for each in series.items())
    return bytes(cramjam.snappy.compress_raw(body))


def _series(labels: Labels, points: list[Point]) -> bytes:
    named = [_field(_LABEL, _text(1, name) + _text(2, value)) for name, value in labels.pairs]
    return b"".join(
        named + [_field(_SAMPLE, _sample(*point)) for point in sorted(points, key=_when)]
    )


def _when(point: Point) -> int:
    return point[0]


def _sample(ts_ms: int, value: float) -> bytes:
    return b"\x09" + _VALUE.pack(value) + b"\x10" + _varint(ts_ms & 2**64 - 1)


def _text(number: int, text: str) -> bytes:
    return _field(number << 3 | _LEN, text.encode())


def _field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
