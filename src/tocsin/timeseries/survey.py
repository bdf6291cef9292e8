"""Looking through a tenant's files for anything that is not as it should be.

Everything is read: both ends and all sections of each block, the checksum of every frame, every
sample. Order is checked as readers rely on it: series ascend within a chunk, times ascend
within a clock and from chunk to chunk of a series, tables tell the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tocsin.timeseries.block import Block, Fault
from tocsin.timeseries.block_codec import BadBlock, Decoder, Ints
from tocsin.timeseries.block_format import Table
from tocsin.timeseries.block_reader import BlockReader, ChunkHeads
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.frames import read_frames
from tocsin.timeseries.segments import Segment


def block_faults(block: Block) -> Iterator[Fault]:
    """Yield what is wrong with a block. Raises OSError."""
    with BlockReader(block) as reader:
        try:
            chunks, clocks = reader.contents().chunks, reader.contents().clocks
        except BadBlock as fault:
            yield Fault(block.path, str(fault))
            return
        yield from _table_faults(block, chunks)
        for row in range(len(clocks)):
            try:
                _check_clocks(reader, clocks, row)
            except BadBlock as fault:
                yield _fault(block, fault, int(clocks.offset[row]))
        newest = np.full(len(reader.contents().index), np.iinfo(np.int64).min)
        for row in range(len(chunks)):
            try:
                _check_chunk(reader, row, newest)
            except (BadBlock, IndexError) as fault:
                yield _fault(block, fault, int(chunks.offset[row]))


def segment_fault(segment: Segment) -> Fault | None:
    """Return where the frames of a log segment end before its file does. Raises OSError."""
    data = memoryview(segment.path.read_bytes())
    end = 0
    for frame in read_frames(data):
        end = frame.end
    if end == len(data):
        return None
    return Fault(segment.path, f"offset {end}: {len(data) - end} bytes that are no whole frame")


def overlaps(blocks: Blocks) -> Iterator[tuple[Block, Block]]:
    """Yield neighbouring blocks with common times: late samples make such, merging joins them."""
    for one, other in pairwise(sorted(blocks, key=lambda block: block.name)):
        if other.name.mint <= one.name.maxt:
            yield one, other


def _table_faults(block: Block, chunks: Table) -> Iterator[Fault]:
    told, held = block.about.samples, int(chunks.samples.sum())
    if told != held:
        yield Fault(block.path, f"offset 0: {told} samples are told of, {held} are there")
    span = (int(chunks.mint.min()), int(chunks.maxt.max())) if len(chunks) else None
    if span != (block.name.mint, block.name.maxt):
        yield Fault(block.path, f"offset 0: the name tells of other times than {span}")


def _check_clocks(reader: BlockReader, clocks: Table, row: int) -> None:
    for number in range(int(clocks.first[row]), int(clocks.last[row]) + 1):
        if not (np.diff(reader.clock(number)) > 0).all():
            raise BadBlock(f"clock {number} does not ascend")


def _check_chunk(reader: BlockReader, row: int, newest: Ints) -> None:
    """Raise BadBlock when a chunk is not as it should be; note the newest times of its series."""
    heads = reader.heads(row)
    _check_heads(reader, row, heads)
    Decoder(heads.data).floats(heads.lengths)
    clocks = [reader.clock(clock) for clock in heads.clocks.tolist()]
    if [len(times) for times in clocks] != heads.lengths.tolist():
        raise BadBlock("columns and their clocks differ in length")
    chunks = reader.contents().chunks
    span = (min(times[0] for times in clocks), max(times[-1] for times in clocks))
    if span != (chunks.mint[row], chunks.maxt[row]):
        raise BadBlock("the table of chunks tells of other times")
    for series, times in zip(heads.series.tolist(), clocks, strict=True):
        if times[0] <= newest[series]:
            raise BadBlock(f"series {series} goes back in time")
        newest[series] = times[-1]


def _check_heads(reader: BlockReader, row: int, heads: ChunkHeads) -> None:
    chunks = reader.contents().chunks
    if heads.lengths.min() < 1 or heads.lengths.sum() != chunks.samples[row]:
        raise BadBlock("the table of chunks tells of other samples")
    if (np.diff(heads.series) < 0).any():
        raise BadBlock("series do not ascend")
    if (heads.series[0], heads.series[-1]) != (chunks.first[row], chunks.last[row]):
        raise BadBlock("the table of chunks tells of other series")


def _fault(block: Block, fault: Exception, offset: int) -> Fault:
    what = str(fault)
    return Fault(block.path, what if what.startswith("offset") else f"offset {offset}: {what}")
