"""The body of an OTLP request: how it is packed, and in which form it is written."""

from __future__ import annotations

import zlib
from enum import StrEnum

from tocsin.model.errors import InvalidInput

LARGEST = 32 << 20  # bytes; contract security-compliance 7: what a packed body may become
_GZIP = 16 + zlib.MAX_WBITS


class Encoding(StrEnum):
    """In which form a message is written."""

    PROTOBUF = "protobuf"
    JSON = "json"


class TooLarge(InvalidInput):
    """A body becomes larger than `LARGEST` when it is unpacked."""


def unpacked(body: bytes) -> bytes:
    """Return the content of a gzip body, of all its members.

    Never takes more memory than `LARGEST` and a member's window, whatever the body becomes.
    Raises InvalidInput when it is no gzip, TooLarge.
    """
    parts, room, rest = [], LARGEST, body
    while rest:
        member = zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(rest, room + 1)
        except zlib.error as error:
            raise InvalidInput(f"the body is no gzip: {error}") from error
        room -= len(part)
        if room < 0:
            raise TooLarge(f"the request holds more than {LARGEST} bytes")
        if not member.eof:
            raise InvalidInput("the body is no whole gzip: its end is missing")
        parts.append(part)
        rest = member.unused_data
    return b"".join(parts)
