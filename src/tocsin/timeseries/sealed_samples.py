"""Single samples out of blocks: is there one of this series at this time?

Asked for each sample that comes late to a time that is sealed already. Such samples come in
bursts, for many series of a target or for many times of a series, so the chunks opened last
stay open.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from tocsin.model.labels import Labels
from tocsin.timeseries.block import Block
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_reader import BlockReader, Column
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.tombstones import Hidden, Tombstones

_CHUNKS = 16  # about 400 KiB each
_SERIES = 10_000

Place = tuple[str, int]


class SealedSamples:
    """The samples of a tenant's blocks, one by one. Belongs to the store's thread."""

    def __init__(self, blocks: Blocks, tombstones: Tombstones) -> None:
        self._blocks = blocks
        self._tombstones = tombstones
        self._numbers: dict[tuple[str, Labels], int | None] = {}
        self._chunks: OrderedDict[Place, dict[int, Column]] = OrderedDict()

    def at(self, labels: Labels, ts_ms: int) -> np.float64 | None:
        """Return the sample of a series at a time, None when there is none. Raises OSError."""
        for block in self._blocks.between(ts_ms, ts_ms):
            if any(each.hides(labels, ts_ms) for each in self._hidden(block)):
                continue
            try:
                found = self._in_block(block, labels, ts_ms)
            except BadBlock as fault:
                self._blocks.give_up(block, str(fault))
                continue
            if found is not None:
                return found
        return None

    def _hidden(self, block: Block) -> list[Hidden]:
        return self._tombstones.of_block(block.name.ulid)

    def _in_block(self, block: Block, labels: Labels, ts_ms: int) -> np.float64 | None:
        with BlockReader(block) as reader:
            number = self._number(reader, labels)
            if number is None:
                return None
            for row in reader.rows(np.asarray([number], np.int32), ts_ms, ts_ms).tolist():
                column = self._chunk(reader, row).get(number)
                if column is None:
                    continue
                at = int(np.searchsorted(column.times, ts_ms))
                if at < len(column.times) and column.times[at] == ts_ms:
                    value: np.float64 = column.values[at]
                    return value
        return None

    def _number(self, reader: BlockReader, labels: Labels) -> int | None:
        key = (reader.block.name.ulid, labels)
        if key not in self._numbers:
            if len(self._numbers) >= _SERIES:
                self._numbers.clear()
            self._numbers[key] = reader.contents().index.find(labels)
        return self._numbers[key]

    def _chunk(self, reader: BlockReader, row: int) -> dict[int, Column]:
        place = (reader.block.name.ulid, row)
        held = self._chunks.get(place)
        if held is None:
            held = self._chunks[place] = {column.series: column for column in reader.chunk(row)}
            if len(self._chunks) > _CHUNKS:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(place)
        return held
