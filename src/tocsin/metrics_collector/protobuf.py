"""Reads the protobuf wire format: fields of a message, one after the other, without a schema.

It never copies more than a field and never allocates by a length it was told: a length that
points behind the end is an error before anything is read. Groups (wire types 3 and 4), which
proto3 does not have, are refused. Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from tocsin.model.errors import InvalidInput

VARINT: Final = 0
I64: Final = 1
LEN: Final = 2
_I32: Final = 5
MOST_FIELDS = 2_000_000  # of one message: they take two or three seconds to read
LEAF = 8  # fields of a message that has two to five
_LONGEST = 10  # bytes of a varint that holds 64 bits
_MASK = 2**64 - 1
_SIGN = 2**63
_DOUBLE = struct.Struct("<d")

Field = tuple[int, int, int, int]
"""Number, wire type, and for VARINT the number (0 after it), else where the content begins
and ends."""


def fields(data: bytes, start: int, end: int, *, most: int = MOST_FIELDS) -> Iterator[Field]:
    """Yield the fields of the message in `data[start:end]`.

    Raises InvalidInput where the message is cut, is no protobuf, or has more than `most` fields.
    """
    at = start
    for _ in range(most + 1):
        if at >= end:
            return
        tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise InvalidInput("protobuf: field number 0")
        if kind == VARINT:
            value, at = varint(data, at, end)
            yield number, kind, value, 0
            continue
        first, at = _content(kind, data, at, end)
        yield number, kind, first, at
    raise InvalidInput(f"protobuf: a message has more than {most} fields")


def _content(kind: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of a field begins and ends."""
    if kind == LEN:
        size, at = varint(data, at, end)
    elif kind == I64:
        size = 8
    elif kind == _I32:
        size = 4
    else:
        raise InvalidInput(f"protobuf: wire type {kind} is not known")
    if size > end - at:
        raise InvalidInput("protobuf: a field is longer than its message")
    return at, at + size


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the unsigned number at `at`, and where it ends. Raises InvalidInput."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    for place in range(at, min(end, at + _LONGEST)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, place + 1
        shift += 7
    raise InvalidInput("protobuf: a number does not end")


def signed(value: int) -> int:
    """Return a varint's number as an int64.

    >>> signed(2**64 - 1)
    -1
    """
    return value - (1 << 64) if value >= _SIGN else value


def double(data: bytes, at: int) -> float:
    """Return the float64 at `at`, every bit of a NaN as it stands."""
    value: float = _DOUBLE.unpack_from(data, at)[0]
    return value


def expect(kind: int, wanted: int, what: str) -> None:
    """Check the wire type of a field that is known. Raises InvalidInput."""
    if kind != wanted:
        raise InvalidInput(f"protobuf: wire type {kind} for {what}, expected {wanted}")
