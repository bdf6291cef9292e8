"""How records lie in a log file: `len u32 | crc32 u32 | seq u32 | type u8 | payload`.

Little-endian; `len` counts the payload; the checksum covers sequence number, type and
payload; sequence numbers rise by one from frame to frame. A file is read as far as frames are
whole and right (contract metrics-engine 2.5): what a crash tore off, a run of zeros a file
system left, or a frame of another file end the reading and raise nothing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = struct.Struct("<III")
_TAIL = struct.Struct("<IB")  # what the checksum covers beside the payload
_SIZE = struct.Struct("<IIIB").size
_SEQ_MASK = 0xFFFFFFFF


class Frame(NamedTuple):
    """One record; `end` is the offset behind it."""

    seq: int
    type: int
    payload: memoryview
    end: int


def pack_frame(seq: int, kind: int, payload: bytes) -> bytes:
    """Return the bytes of one frame; `seq` is taken modulo 2**32."""
    tail = _TAIL.pack(seq & _SEQ_MASK, kind)
    crc = zlib.crc32(payload, zlib.crc32(tail))
    return b"".join((struct.pack("<II", len(payload), crc), tail, payload))


def read_frames(data: memoryview) -> Iterator[Frame]:
    """Yield the longest valid prefix of `data`, frame by frame."""
    offset, expected = 0, None
    while offset + _SIZE <= len(data):
        length, crc, seq = _HEAD.unpack_from(data, offset)
        begin, end = offset + _SIZE, offset + _SIZE + length
        if end > len(data) or zlib.crc32(data[offset + 8 : end]) != crc:
            return
        if expected is not None and seq != expected:
            return
        yield Frame(seq, data[begin - 1], data[begin:end], end)
        offset, expected = end, (seq + 1) & _SEQ_MASK
