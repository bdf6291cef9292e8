"""What the log says: record types, their bytes, and the state that shortens them.

A segment can be read alone. It begins with its format and tenant; series and layouts are
defined in it before they are used and have numbers (refs) of their own, counted from 0, so
that an old segment can be deleted without a look at the others. Values are written as the
XOR with the series' value in the row before, bytes of equal weight beside each other, then
zstd: a target that changes little costs little, and every bit pattern survives.

    HEADER    format u8, tenant (UTF-8)
    SERIES    msgpack: label sets as flat lists [name, value, …]; refs follow on
    LAYOUT    ref u32, length of the name u32, name, series refs
    ROW       layout ref u32, time i64, values
    SAMPLES   series refs, times, values, each behind its length u32 (no longer written)
    CHANGES   the same, values as XOR with the series' last value
    METADATA  msgpack: [metric, type, help, unit], …
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata
from tocsin.model.series import Times
from tocsin.model.tenant import TenantId

FORMAT = 1

Refs: TypeAlias = npt.NDArray[np.uint32]
Bits: TypeAlias = npt.NDArray[np.uint64]

_RAW, _ZSTD = 0, 1
_SHORT = 64  # bytes below which compression does not pay
_LAYOUT = struct.Struct("<II")
_ROW = struct.Struct("<Iq")
_LENGTH = struct.Struct("<I")


class RecordType(IntEnum):
    """The `type` of a frame."""

    HEADER = 0
    SERIES = 1
    LAYOUT = 2
    ROW = 3
    SAMPLES = 4
    METADATA = 5
    CHANGES = 6


class BadRecord(ValueError):
    """A record is whole but means nothing here; reading ends before it."""


class Packer:
    """Turns columns of numbers into bytes and back. Not thread-safe: one for each log."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, text: bytes) -> bytes:
        """Return `text` compressed."""
        return self._compressor.compress(text)

    def decompress(self, data: memoryview) -> bytes:
        """Return what `compress` was given."""
        return self._decompressor.decompress(data)

    def pack(self, numbers: Refs | Bits) -> bytes:
        """Return the bytes of `numbers`, their equal-weight bytes grouped and compressed."""
        width = numbers.dtype.itemsize
        planes = numbers.view(np.uint8).reshape(-1, width).T.tobytes()
        if len(planes) < _SHORT:
            return bytes((_RAW,)) + planes
        return bytes((_ZSTD,)) + self._compressor.compress(planes)

    def refs(self, data: memoryview) -> Refs:
        """Return the refs packed in `data`."""
        return np.cumsum(self._unpack(data, 4).view(np.uint32), dtype=np.uint32)

    def bits(self, data: memoryview) -> Bits:
        """Return the 64-bit patterns packed in `data`."""
        return self._unpack(data, 8).view(np.uint64)

    def pack_refs(self, refs: Refs) -> bytes:
        """Return the bytes of refs; neighbours in order cost next to nothing."""
        return self.pack(np.diff(refs, prepend=np.uint32(0)))

    def planes(self, data: memoryview) -> bytes:
        """Return the bytes of the numbers packed in `data`, those of equal weight together."""
        return self._decompressor.decompress(data[1:]) if data[0] == _ZSTD else bytes(data[1:])

    def _unpack(self, data: memoryview, width: int) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.planes(data), np.uint8).reshape(width, -1).T.ravel()


def roomy(last: Bits, size: int) -> Bits:
    """Return `last` with room for at least `size` values; new ones are zero.

    Grows by half at a time, so that many small additions cost no more than one large.
    """
    if size <= len(last):
        return last
    more = max(size - len(last), len(last) // 2)
    return np.concatenate((last, np.zeros(more, np.uint64)))


def header(tenant: TenantId) -> bytes:
    """Return the payload of a HEADER."""
    return bytes((FORMAT,)) + tenant.encode()


def check_header(payload: memoryview, tenant: TenantId) -> None:
    """Raise BadRecord unless `payload` begins a segment of `tenant` in our format."""
    if bytes(payload) != header(tenant):
        raise BadRecord(f"not a log segment of tenant {tenant} in format {FORMAT}")


def series(labels: Iterable[Labels], packer: Packer) -> bytes:
    """Return the payload of a SERIES record."""
    flat = [[text for pair in each.pairs for text in pair] for each in labels]
    return packer.compress(msgspec.msgpack.encode(flat))


def read_series(payload: memoryview, packer: Packer, strings: dict[str, str]) -> list[Labels]:
    """Return the label sets of a SERIES record; equal texts become one object in `strings`."""
    flat = msgspec.msgpack.decode(packer.decompress(payload), type=list[list[str]])
    keep = strings.setdefault
    return [
        Labels(zip((keep(t, t) for t in each[::2]), (keep(t, t) for t in each[1::2]), strict=True))
        for each in flat
    ]


def layout(ref: int, name: str, refs: Refs, packer: Packer) -> bytes:
    """Return the payload of a LAYOUT record."""
    text = name.encode("utf-8", "surrogatepass")
    return _LAYOUT.pack(ref, len(text)) + text + packer.pack_refs(refs)


def read_layout(payload: memoryview, packer: Packer) -> tuple[int, str, Refs]:
    """Return ref, group name and series refs of a LAYOUT record."""
    ref, length = _LAYOUT.unpack_from(payload)
    end = _LAYOUT.size + length
    name = bytes(payload[_LAYOUT.size : end]).decode("utf-8", "surrogatepass")
    return ref, name, packer.refs(payload[end:])


def row(ref: int, ts_ms: int, change: Bits, packer: Packer) -> bytes:
    """Return the payload of a ROW; `change` is the XOR with the last row values."""
    return _ROW.pack(ref, ts_ms) + packer.pack(change)


def open_row(payload: memoryview, packer: Packer) -> tuple[int, int, bytes]:
    """Return layout ref, time and byte planes of a ROW, see `row_bits`."""
    ref, ts_ms = _ROW.unpack_from(payload)
    return ref, ts_ms, packer.planes(payload[_ROW.size :])


def row_bits(planes: Sequence[bytes], width: int) -> Bits:
    """Return the changes of rows of one layout, of shape (rows, width)."""
    held = np.frombuffer(b"".join(planes), np.uint8).reshape(len(planes), 8, width)
    changes: Bits = held.transpose(0, 2, 1).copy().view(np.uint64)[:, :, 0]
    return changes


def changes(refs: Refs, times: Times, change: Bits, packer: Packer) -> bytes:
    """Return the payload of a CHANGES record; `change` is the XOR with the series' last values."""
    steps = np.diff(times, prepend=np.int64(0)).view(np.uint64)
    columns = (packer.pack_refs(refs), packer.pack(steps), packer.pack(change))
    return b"".join(_LENGTH.pack(len(column)) + column for column in columns)


def read_changes(payload: memoryview, packer: Packer) -> tuple[Refs, Times, Bits]:
    """Return series refs, times and changes of a CHANGES record."""
    columns = []
    for _ in range(3):
        (length,) = _LENGTH.unpack_from(payload)
        columns.append(payload[_LENGTH.size : _LENGTH.size + length])
        payload = payload[_LENGTH.size + length :]
    times = np.cumsum(packer.bits(columns[1]).view(np.int64))
    return packer.refs(columns[0]), times, packer.bits(columns[2])


def read_samples(payload: memoryview, packer: Packer) -> tuple[Refs, Times, Bits]:
    """Return series refs, times and values of a SAMPLES record."""
    refs, times, change = read_changes(payload, packer)
    return refs, times, np.bitwise_xor.accumulate(change)


def metadata(entries: Sequence[tuple[str, Metadata]]) -> bytes:
    """Return the payload of a METADATA record."""
    return msgspec.msgpack.encode([(name, m.type, m.help, m.unit) for name, m in entries])


def read_metadata(payload: memoryview) -> list[tuple[str, Metadata]]:
    """Return metric names with what is known of them."""
    rows = msgspec.msgpack.decode(payload, type=list[tuple[str, str, str, str]])
    return [(name, Metadata(*rest)) for name, *rest in rows]
