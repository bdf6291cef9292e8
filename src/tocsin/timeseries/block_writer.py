"""Writing a block file, front to end, in whatever thread.

Columns come in label order, window of time by window of time; a chunk takes as many as make
it worth compressing. Times that several columns share are one clock, written once. The file
has another name until it is whole and on disk, so that a crash leaves at most a file that the
next start throws away.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from tocsin.model.series import Times, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries import block_format as form
from tocsin.timeseries.block_codec import Coder, Ints
from tocsin.timeseries.block_format import About, BlockName, Section, SectionKind
from tocsin.timeseries.block_index import Index, pack_index
from tocsin.timeseries.segments import create_file, sync_directory

CHUNK_SAMPLES = 32_768  # 64 series of two hours at 15 s; opening a chunk takes about half a ms
CHUNK_COLUMNS = 1024
_CLOCKS_AT_HAND = 10_000


@dataclass(frozen=True, slots=True)
class Written:
    """A block that is whole and on disk."""

    path: Path
    name: BlockName


class BlockWriter:
    """One block being written. Use `writing_block`, which cleans up."""

    def __init__(self, directory: Path, tenant: TenantId, ulid: str) -> None:
        """Begin a file in `directory`. Raises OSError."""
        self.samples = 0
        self._directory = directory
        self._tenant = tenant
        self._ulid = ulid
        self._coder = Coder()
        self._path = directory / f"{ulid}{form.UNFINISHED}"
        self._file = create_file(self._path)
        self._offset = self._file.write(bytes(form.header_size(tenant)))
        self._chunks: list[tuple[int, ...]] = []
        self._clocks: list[tuple[int, ...]] = []
        self._open: list[tuple[int, int, Times, Values]] = []  # series, clock, times, values
        self._open_samples = 0
        self._clock_ids: dict[bytes, int] = {}
        self._new_clocks: list[Times] = []
        self._at_hand: dict[int, tuple[Times, int]] = {}  # clocks by identity of their times

    def add(self, series: int, times: Times, values: Values) -> None:
        """Add a column: samples of one series, at least one, oldest first.

        Within a window series ascend; `end_window` goes between two windows.
        """
        self._open.append((series, self._clock(times), times, values))
        self._open_samples += len(times)
        if self._open_samples >= CHUNK_SAMPLES or len(self._open) >= CHUNK_COLUMNS:
            self.end_window()

    def end_window(self) -> None:
        """End the chunk that is open: what follows is of another window of time."""
        if not self._open:
            return
        series, clocks, times, values = zip(*self._open, strict=True)
        lengths = np.fromiter(map(len, times), np.int64, len(times))
        data = self._coder.floats(np.concatenate(values), lengths)
        mint = min(int(each[0]) for each in times)
        maxt = max(int(each[-1]) for each in times)
        columns = (np.asarray(series), np.asarray(clocks), lengths)
        self._open, self._open_samples = [], 0
        self.add_chunk(columns, data, mint=mint, maxt=maxt)

    def add_chunk(
        self, columns: tuple[Ints, Ints, Ints], data: bytes | memoryview, *, mint: int, maxt: int
    ) -> None:
        """Add a chunk whose samples are coded: series, clock and length of each column."""
        series, _, lengths = columns
        heads = b"".join(self._coder.numbers(each.astype(np.int64)) for each in columns)
        frame = b"".join((len(heads).to_bytes(4, "little"), heads, data))
        samples = int(lengths.sum())
        held = (int(series[0]), int(series[-1]), len(series), samples, mint, maxt)
        self._chunks.append((*self._frame(frame), *held))
        self.samples += samples

    def clock(self, times: Times) -> int:
        """Return the number of the clock with these times."""
        key = hashlib.blake2b(times.tobytes(), digest_size=16).digest()
        known = self._clock_ids.get(key)
        if known is None:
            known = self._clock_ids[key] = len(self._clock_ids)
            self._new_clocks.append(times)
            if sum(map(len, self._new_clocks)) >= CHUNK_SAMPLES:
                self._write_clocks()
        return known

    def finish(self, index: Index, about: About) -> Written:
        """Write index and ends, bring the file to disk, and give it its name.

        Numbers of series and samples are set to what was written. Raises OSError.
        """
        self.end_window()
        self._write_clocks()
        chunks = form.table_of(self._chunks)
        name = BlockName(int(chunks.mint.min()), int(chunks.maxt.max()), self._ulid)
        about = msgspec.structs.replace(about, samples=self.samples, series=len(index[1]))
        found = {
            SectionKind.LABELS: pack_index(self._coder, *index),
            SectionKind.CHUNKS: form.pack_table(self._coder, chunks),
            SectionKind.CLOCKS: form.pack_table(self._coder, form.table_of(self._clocks)),
            SectionKind.ABOUT: msgspec.msgpack.encode(about),
        }
        sections = [Section(kind, *self._frame(data)) for kind, data in found.items()]
        self._file.write(form.pack_end(sections, self._offset))
        self._file.seek(0)
        self._file.write(form.pack_header(self._tenant, name.mint, name.maxt))
        return self._publish(name)

    def abandon(self) -> None:
        """Throw away what was not finished. Idempotent."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _publish(self, name: BlockName) -> Written:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        path = self._directory / str(name)
        self._path.rename(path)
        sync_directory(self._directory)
        return Written(path, name)

    def _clock(self, times: Times) -> int:
        """Return the number of a clock; times that are the same object are looked up once."""
        at_hand = self._at_hand.get(id(times))
        if at_hand is None:
            if len(self._at_hand) >= _CLOCKS_AT_HAND:
                self._at_hand.clear()
            at_hand = self._at_hand[id(times)] = (times, self.clock(times))
        return at_hand[1]

    def _write_clocks(self) -> None:
        if not self._new_clocks:
            return
        clocks, self._new_clocks = self._new_clocks, []
        lengths = np.fromiter(map(len, clocks), np.int64, len(clocks))
        times = np.concatenate(clocks)
        frame = self._coder.numbers(lengths) + self._coder.ints(times, lengths)
        last = len(self._clock_ids) - 1
        held = (last - len(clocks) + 1, last, len(clocks), len(times))
        self._clocks.append((*self._frame(frame), *held, int(times.min()), int(times.max())))

    def _frame(self, data: bytes) -> tuple[int, int, int]:
        """Write `data`; return where it lies, its size and its checksum."""
        offset = self._offset
        self._offset += self._file.write(data)
        return offset, len(data), form.checksum(data)


@contextmanager
def writing_block(directory: Path, tenant: TenantId, ulid: str) -> Iterator[BlockWriter]:
    """Give a writer; what it has not finished when the block ends leaves no file."""
    writer = BlockWriter(directory, tenant, ulid)
    try:
        yield writer
    finally:
        writer.abandon()
