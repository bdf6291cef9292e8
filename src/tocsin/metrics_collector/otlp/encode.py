"""Writes the protobuf wire format: the little that OTLP needs."""

from __future__ import annotations

import struct

from tocsin.metrics_collector.protobuf import I64, LEN, VARINT

_MASK = 2**64 - 1


def varint(number: int) -> bytes:
    """Return a whole number; a negative one takes ten bytes.

    >>> varint(300).hex(), varint(-1).hex()
    ('ac02', 'ffffffffffffffffff01')
    """
    number &= _MASK
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def figure(field: int, number: int) -> bytes:
    """Return a field that holds a whole number."""
    return varint(field << 3 | VARINT) + varint(number)


def chunk(field: int, content: bytes) -> bytes:
    """Return a field that holds bytes, text or a message."""
    return varint(field << 3 | LEN) + varint(len(content)) + content


def fixed(field: int, number: int) -> bytes:
    """Return a field that holds a whole number in eight bytes."""
    return varint(field << 3 | I64) + (number & _MASK).to_bytes(8, "little")


def double(field: int, number: float) -> bytes:
    """Return a field that holds a float64."""
    return varint(field << 3 | I64) + struct.pack("<d", number)
