"""Builds remote write requests byte by byte, apart from the code that reads them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import cramjam


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it; negative ones as 64 bits."""
    number &= 2**64 - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def chunk(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def figure(number: int, value: int) -> bytes:
    """Return a field that holds a whole number."""
    return varint(number << 3) + varint(value)


def sample(ts_ms: int, value: float) -> bytes:
    """Return a Sample; the same in both versions."""
    return b"\x09" + struct.pack("<d", value) + figure(2, ts_ms)


def series(
    labels: Mapping[str, str],
    *points: tuple[int, float],
    exemplars: int = 0,
    histograms: int = 0,
) -> bytes:
    """Return a field `timeseries` of version 1.0."""
    named = [chunk(1, chunk(1, n.encode()) + chunk(2, v.encode())) for n, v in labels.items()]
    told = [chunk(2, sample(*point)) for point in points]
    more = [chunk(3, sample(1, 1))] * exemplars + [chunk(4, figure(1, 1))] * histograms
    return chunk(1, b"".join([*named, *told, *more]))


def metadata(name: str, kind: int, help_text: str, unit: str = "") -> bytes:
    """Return a field `metadata` of version 1.0."""
    texts = chunk(2, name.encode()) + chunk(4, help_text.encode()) + chunk(5, unit.encode())
    return chunk(3, figure(1, kind) + texts)


class SecondVersion:
    """A request of version 2.0 being built."""

    def __init__(self) -> None:
        self.symbols: list[str] = [""]
        self.places = {"": 0}
        self.series: list[bytes] = []

    def ref(self, text: str) -> int:
        """Return where a text stands in the table."""
        if text not in self.places:
            self.places[text] = len(self.symbols)
            self.symbols.append(text)
        return self.places[text]

    def add(
        self,
        labels: Mapping[str, str],
        *points: tuple[int, float],
        described: tuple[int, str, str] | None = None,
        histograms: int = 0,
        exemplars: int = 0,
    ) -> SecondVersion:
        """Add a series; `described` is its type, help and unit."""
        more = [chunk(3, figure(1, 1))] * histograms + [chunk(4, sample(1, 1))] * exemplars
        return self.add_samples(
            labels,
            [sample(*point) for point in points],
            described=described,
            more=b"".join(more),
        )

    def add_samples(
        self,
        labels: Mapping[str, str],
        samples: Iterable[bytes],
        *,
        described: tuple[int, str, str] | None = None,
        more: bytes = b"",
        unusual: bytes = b"",
    ) -> SecondVersion:
        """Add a series whose samples are bytes; `more` stands behind them.

        `unusual` stands behind what is `described`.
        """
        refs = b"".join(varint(self.ref(text)) for pair in labels.items() for text in pair)
        parts = [chunk(1, refs), *(chunk(2, each) for each in samples), more]
        if described:
            kind, help_text, unit = described
            told = figure(1, kind) + figure(3, self.ref(help_text)) + figure(4, self.ref(unit))
            parts.append(chunk(5, told + unusual))
        self.series.append(chunk(5, b"".join(parts)))
        return self

    def built(self) -> bytes:
        """Return the request."""
        return b"".join([*(chunk(4, text.encode()) for text in self.symbols), *self.series])


def packed(parts: bytes | Iterable[bytes]) -> bytes:
    """Return a body as it is sent: a snappy block."""
    content = parts if isinstance(parts, bytes) else b"".join(parts)
    return bytes(cramjam.snappy.compress_raw(content))
