"""One block file as the store knows it, and the indexes it keeps at hand.

Opening a block reads its two ends only. Index and tables are read when first needed
(`block_reader`) and dropped again when others need the room.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tocsin.model.tenant import TenantId
from tocsin.timeseries import block_format as form
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_format import About, BlockName, Section, SectionKind, Table
from tocsin.timeseries.block_index import BlockIndex


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a block file; `what` begins with the offset."""

    path: Path
    what: str

    def __str__(self) -> str:
        """Return file, place and fault."""
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a block's sections say, ready for use."""

    index: BlockIndex
    chunks: Table
    clocks: Table

    @property
    def nbytes(self) -> int:
        """Return about how much memory this takes."""
        return self.index.nbytes + self.chunks.nbytes + self.clocks.nbytes


class IndexCache:
    """The contents of the blocks read last, up to so many bytes. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._held: OrderedDict[str, Contents] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, ulid: str, read: Callable[[], Contents]) -> Contents:
        """Return what is held of a block, reading it when it is not."""
        with self._lock:
            held = self._held.get(ulid)
            if held is not None:
                self._held.move_to_end(ulid)
                return held
        contents = read()
        with self._lock:
            if ulid not in self._held:
                self._size += contents.nbytes
                self._held[ulid] = contents
            while self._size > self._capacity and len(self._held) > 1:
                self._size -= self._held.popitem(last=False)[1].nbytes
        return contents

    def drop(self, ulid: str) -> None:
        """Forget a block."""
        with self._lock:
            held = self._held.pop(ulid, None)
            if held is not None:
                self._size -= held.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block whose two ends were good when it was opened. Immutable; any thread may use it."""

    path: Path
    name: BlockName
    about: About
    size: int
    cache: IndexCache
    sections: dict[SectionKind, Section]
    note: Callable[[Fault], None]

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Tell whether the block may have samples with start <= t <= end."""
        return self.name.mint <= end_ms and self.name.maxt >= start_ms


def open_block(
    path: Path, tenant: TenantId, cache: IndexCache, note: Callable[[Fault], None]
) -> Block:
    """Return the block in a file, after a look at its two ends. Raises BadBlock, OSError."""
    name = BlockName.of(path)
    if name is None:
        raise BadBlock("this is not the name of a block")
    size = path.stat().st_size
    with path.open("rb") as file:
        form.check_header(file.read(form.header_size(tenant)), tenant, name)
        file.seek(max(0, size - form.END_SIZE))
        sections = form.read_end(file.read(), size)
        about = sections[SectionKind.ABOUT]
        file.seek(about.offset)
        data = file.read(about.size)
    if form.checksum(data) != about.crc:
        raise BadBlock(f"offset {about.offset}: a section is damaged")
    known = msgspec.msgpack.decode(data, type=About)
    return Block(path, name, known, size, cache, sections, note)
