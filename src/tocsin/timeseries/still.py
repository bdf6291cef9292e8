"""A tenant's store on disk as it stands, read without taking it: nothing is changed or locked.

That is safe beside a running server, because blocks never change, and because the log is read
after the blocks it may have moved to were looked for, and these are looked for once more
afterwards: what is found twice counts once. What is written while we read may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tocsin.model.errors import StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.sample import Metadata
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.block import IndexCache
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.head import Head
from tocsin.timeseries.left_out import LeftOut
from tocsin.timeseries.look import Look
from tocsin.timeseries.options import Options
from tocsin.timeseries.recovery import Recovery
from tocsin.timeseries.segments import Segment, list_segments
from tocsin.timeseries.tombstones import NAME, Tombstones

_CACHE = 256 << 20
_TRIES = 5  # the server may delete a segment while we read
_AT_ONCE = 100  # series


class StillStore:
    """What one tenant has on disk."""

    def __init__(self, tenant: TenantId, directory: Path) -> None:
        """Read the log and open the blocks in `directory`. Raises StoreUnusable."""
        self.tenant = tenant
        self.directory = directory
        self.metadata: dict[str, Metadata] = {}
        self.lost_bytes = 0
        try:
            self.head, self.segments = self._read_log()
            self.tombstones = Tombstones(directory / NAME)
            self.blocks = self._open_blocks()
        except OSError as error:
            raise StoreUnusable(f"{directory} cannot be read: {error}") from error

    def look(self, start_ms: int, end_ms: int) -> Look:
        """Return a look at the blocks. Raises StoreUnusable."""
        return Look(self.blocks, self.tombstones, start_ms=start_ms, end_ms=end_ms)

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[Labels]:
        """Return the series that satisfy every matcher and have a sample in range, sorted."""
        head = self.head.select(matchers, start_ms, end_ms)
        return self.look(start_ms, end_ms).series(matchers, [each.labels for each in head])

    def read(self, series: Sequence[Labels], start_ms: int, end_ms: int) -> Iterator[Series]:
        """Yield the samples of series in label order, a few series at a time."""
        for begin in range(0, len(series), _AT_ONCE):
            some = series[begin : begin + _AT_ONCE]
            found = [self.head.catalog.find(labels) for labels in some]
            sids = np.asarray([sid for sid in found if sid is not None], np.int32)
            head = self.head.read(sids, start_ms, end_ms)
            yield from self.look(start_ms, end_ms).of(some, head)

    def _read_log(self) -> tuple[Head, list[Segment]]:
        for _ in range(_TRIES - 1):
            try:
                return self._recovered()
            except FileNotFoundError:
                continue
        return self._recovered()

    def _recovered(self) -> tuple[Head, list[Segment]]:
        options = Options()
        head = Head(chunk_slots=options.chunk_slots)
        left_out = LeftOut(self._open_blocks().covered(), Tombstones(self.directory / NAME))
        recovery = Recovery(self.tenant, head, self.metadata, left_out=left_out, cut=False)
        segments = list_segments(self.directory / "wal")
        for segment in segments:
            recovery.read(segment)
        self.lost_bytes = recovery.lost_bytes
        head.remove_empty()
        return head, segments

    def _open_blocks(self) -> Blocks:
        return Blocks(self.tenant, self.directory / "blocks", IndexCache(_CACHE), tidy=False)
