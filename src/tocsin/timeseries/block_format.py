"""What a block file is made of: its name, its two ends, and what stands between them.

    name      <mint>-<maxt>-<ulid>.blk; times in ms, both inclusive
    header    magic, format, flags, tenant, mint, maxt, checksum
    frames    chunks (samples of some series) and clocks (times several series share)
    sections  label sets, table of chunks, table of clocks, and what is known of the block
    contents  kind, offset, size and checksum of each section
    trailer   offset and checksum of the contents, magic

Little-endian; a checksum is a CRC32. A file is written from front to end under another name
and renamed when it is whole, and never changes after (contract metrics-engine 2.4).
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import msgspec
import numpy as np

from tocsin.model.tenant import TenantId
from tocsin.timeseries.block_codec import BadBlock, Coder, Decoder, Ints

FORMAT = 1
SUFFIX = ".blk"
UNFINISHED = ".tmp"
SET_ASIDE = ".bad"

_MAGIC = b"TOCSINBK"
_HEADER = struct.Struct("<8sHHHqq")
_CRC = struct.Struct("<I")
_ENTRY = struct.Struct("<BQQI")
_TRAILER = struct.Struct("<QII8s")
_NAME = re.compile(r"(-?\d+)-(-?\d+)-([0-9A-HJKMNP-TV-Z]{26})\.blk", re.ASCII)
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, which ULIDs use


class SectionKind(IntEnum):
    """What a section holds."""

    LABELS = 0
    CHUNKS = 1
    CLOCKS = 2
    ABOUT = 3


@dataclass(frozen=True, slots=True, order=True)
class BlockName:
    """The name of a block file; blocks sort by their first sample."""

    mint: int
    maxt: int
    ulid: str

    @classmethod
    def of(cls, path: Path) -> BlockName | None:
        """Return the name of a file, None when it is not one of a block."""
        found = _NAME.fullmatch(path.name)
        return found and cls(int(found[1]), int(found[2]), found[3])

    def __str__(self) -> str:
        """Return the name of the file."""
        return f"{self.mint}-{self.maxt}-{self.ulid}{SUFFIX}"


class Covered(msgspec.Struct, frozen=True, array_like=True):
    """A part of the log a block makes superfluous.

    Every sample with start <= t < end that was logged before segment `segment` is in it.
    """

    segment: int
    start_ms: int
    end_ms: int


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a block besides its name. `sources` are the blocks it stands for."""

    written_ms: int
    series: int = 0
    samples: int = 0
    covered: tuple[Covered, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Where a section lies."""

    kind: int
    offset: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Where frames lie and what they hold, one column a fact, in the order of the file."""

    offset: Ints
    size: Ints
    crc: Ints
    first: Ints  # the lowest series or clock in the frame
    last: Ints  # the highest
    count: Ints  # columns in the frame
    samples: Ints  # numbers in all columns
    mint: Ints
    maxt: Ints

    def __len__(self) -> int:
        """Return how many frames there are."""
        return len(self.offset)

    @property
    def nbytes(self) -> int:
        """Return how much memory the table takes."""
        return 9 * self.offset.nbytes


def new_ulid(at_ms: int) -> str:
    """Return an id nobody else has, which sorts by time."""
    value = (max(0, at_ms) & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_DIGITS[value >> shift & 31] for shift in range(125, -5, -5))


def checksum(data: bytes | memoryview) -> int:
    """Return the checksum of `data`."""
    return zlib.crc32(data)


def pack_header(tenant: TenantId, mint: int, maxt: int) -> bytes:
    """Return a header; its size depends on the tenant alone."""
    name = tenant.encode()
    data = _HEADER.pack(_MAGIC, FORMAT, 0, len(name), mint, maxt) + name
    return data + _CRC.pack(checksum(data))


def header_size(tenant: TenantId) -> int:
    """Return the size of a tenant's headers."""
    return _HEADER.size + len(tenant.encode()) + _CRC.size


def check_header(data: bytes, tenant: TenantId, name: BlockName) -> None:
    """Raise BadBlock unless `data` is the header of this tenant's block of that name."""
    if data != pack_header(tenant, name.mint, name.maxt):
        raise BadBlock(f"offset 0: not the header of a block of tenant {tenant} in format {FORMAT}")


def pack_end(sections: list[Section], offset: int) -> bytes:
    """Return contents and trailer of a file whose sections end at `offset`."""
    contents = b"".join(_ENTRY.pack(s.kind, s.offset, s.size, s.crc) for s in sections)
    return contents + _TRAILER.pack(offset, checksum(contents), len(sections), _MAGIC)


END_SIZE = _TRAILER.size + len(SectionKind) * _ENTRY.size


def read_end(data: bytes, size: int) -> dict[SectionKind, Section]:
    """Return the sections of a file of `size` bytes that ends with `data`. Raises BadBlock."""
    place = f"offset {size - len(data)}: "
    if len(data) < END_SIZE:
        raise BadBlock(f"{place}the file is too short for a block")
    offset, crc, count, magic = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    contents = data[: -_TRAILER.size]
    if magic != _MAGIC or count != len(SectionKind) or offset != size - len(data):
        raise BadBlock(f"{place}the file does not end as a block does")
    if checksum(contents) != crc:
        raise BadBlock(f"{place}the contents are damaged")
    found = [Section(*entry) for entry in _ENTRY.iter_unpack(contents)]
    return {SectionKind(section.kind): section for section in found}


def pack_table(coder: Coder, table: Table) -> bytes:
    """Return the bytes of a table."""
    columns = (getattr(table, name) for name in Table.__slots__)
    shape = coder.numbers(np.asarray([len(table)], np.int64))
    return shape + b"".join(map(coder.numbers, columns))


def read_table(data: bytes) -> Table:
    """Return the table `pack_table` wrote. Raises BadBlock."""
    decoder = Decoder(data)
    count = int(decoder.numbers(1)[0])
    return Table(*(decoder.numbers(count) for _ in Table.__slots__))


def table_of(rows: list[tuple[int, ...]]) -> Table:
    """Return the table of these rows, whose cells stand in the order of its columns."""
    cells = np.asarray(rows, np.int64).reshape(-1, len(Table.__slots__))
    return Table(*(np.ascontiguousarray(column) for column in cells.T))
