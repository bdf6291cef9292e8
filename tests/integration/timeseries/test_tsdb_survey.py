"""Files that are whole but wrong, and files that cannot be read at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from block_files import TENANT, write

from tocsin.model.errors import StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.timeseries import sealed_samples
from tocsin.timeseries.block import Block, IndexCache
from tocsin.timeseries.block_codec import Coder
from tocsin.timeseries.block_format import About, BlockName, SectionKind, new_ulid
from tocsin.timeseries.block_index import index_of
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.block_writer import BlockWriter, writing_block
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.look import Look
from tocsin.timeseries.sealed_samples import SealedSamples
from tocsin.timeseries.still import StillStore
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.survey import block_faults, overlaps
from tocsin.timeseries.tombstones import Tombstones

SERIES = [Labels.of({"__name__": name}) for name in "abc"]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[BlockWriter]:
    with writing_block(tmp_path, TENANT, new_ulid(0)) as made:
        yield made


def finished(writer: BlockWriter) -> Block:
    path = writer.finish(index_of(SERIES), About(written_ms=0)).path
    (block,) = Blocks(TENANT, path.parent, IndexCache(1 << 20))
    return block


def faults(block: Block) -> list[str]:
    return [fault.what for fault in block_faults(block)]


def put(writer: BlockWriter, series: int, *times: int) -> None:
    writer.add(series, np.array(times), np.ones(len(times)))


def test_series_that_do_not_ascend_are_a_fault(writer: BlockWriter) -> None:
    put(writer, 1, 5)
    put(writer, 0, 5)
    (fault,) = faults(finished(writer))
    assert fault.endswith("series do not ascend")


def test_a_clock_that_does_not_ascend_is_a_fault(writer: BlockWriter) -> None:
    put(writer, 0, 5, 5, 6)
    assert [fault.partition(": ")[2] for fault in faults(finished(writer))] == [
        "clock 0 does not ascend"
    ]


def test_a_series_that_goes_back_in_time_is_a_fault(writer: BlockWriter) -> None:
    put(writer, 0, 5)
    writer.end_window()
    put(writer, 0, 5)
    (fault,) = faults(finished(writer))
    assert fault.endswith("series 0 goes back in time")


def chunk(writer: BlockWriter, *, clock: int = 0, length: int = 1, mint: int = 5) -> None:
    lengths = np.array([length])
    data = Coder().floats(np.ones(length), lengths)
    columns = (np.zeros(1, np.int64), np.array([clock]), lengths)
    writer.add_chunk(columns, data, mint=mint, maxt=5)


def test_columns_longer_than_their_clock_are_a_fault(writer: BlockWriter) -> None:
    writer.clock(np.array([5]))
    chunk(writer, length=2)
    (fault,) = faults(finished(writer))
    assert fault.endswith("columns and their clocks differ in length")


def test_a_clock_that_is_not_there_is_a_fault(writer: BlockWriter) -> None:
    writer.clock(np.array([5]))
    chunk(writer, clock=3)
    block = finished(writer)
    assert len(faults(block)) == 1
    noted: list[object] = []
    with BlockReader(replace(block, note=noted.append)) as reader:
        assert list(reader.columns(reader.contents().index.everyone(), 0, 9)) == []
    assert len(noted) == 1


def test_a_table_with_other_times_is_a_fault(writer: BlockWriter) -> None:
    writer.clock(np.array([5]))
    chunk(writer, mint=4)
    (fault,) = faults(finished(writer))
    assert fault.endswith("the table of chunks tells of other times")


def test_a_description_that_does_not_fit_is_a_fault(writer: BlockWriter) -> None:
    put(writer, 0, 5, 6)
    block = finished(writer)
    assert faults(block) == []
    about = msgspec.structs.replace(block.about, samples=7)
    assert faults(replace(block, about=about)) == ["offset 0: 7 samples are told of, 2 are there"]
    name = BlockName(5, 9, block.name.ulid)
    assert faults(replace(block, name=name)) == [
        "offset 0: the name tells of other times than (5, 6)"
    ]


def test_damaged_frames_and_indexes_are_faults_with_their_offsets(writer: BlockWriter) -> None:
    put(writer, 0, 5, 6)
    block = finished(writer)
    data = bytearray(block.path.read_bytes())
    with BlockReader(block) as reader:
        clocks = int(reader.contents().clocks.offset[0])
    data[clocks] ^= 0xFF
    block.path.write_bytes(data)
    assert faults(block)[0].partition(":")[0] == f"offset {clocks}"
    labels = block.sections[SectionKind.LABELS].offset
    data[labels] ^= 0xFF
    block.path.write_bytes(data)
    fresh = replace(block, cache=IndexCache(0))
    assert [fault.partition(":")[0] for fault in faults(fresh)] == [f"offset {labels}"]


def test_blocks_with_common_times_are_found(tmp_path: Path) -> None:
    for times in ((1, 5), (4, 9), (10, 12)):
        write(tmp_path, {SERIES[0]: dict.fromkeys(times, 1.0)})
    pairs = list(overlaps(Blocks(TENANT, tmp_path, IndexCache(0))))
    assert [(one.name.mint, other.name.mint) for one, other in pairs] == [(1, 4)]


def looked(blocks: Blocks) -> list[Labels]:
    look = Look(blocks, Tombstones(blocks.directory / "none"), start_ms=0, end_ms=99)
    return [series.labels for series in look.select([], [])]


def test_a_block_that_cannot_be_opened_or_read_is_an_error_not_an_empty_answer(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, {SERIES[0]: {1: 1.0}})
    blocks = Blocks(TENANT, tmp_path, IndexCache(0))
    assert looked(blocks) == [SERIES[0]]
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        looked(fresh(blocks))
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreUnusable, match="cannot be read"):
        looked(fresh(blocks))
    path.rmdir()
    assert looked(blocks) == []
    assert [fault.what for fault in blocks.faults] == ["the file is missing"]


def fresh(blocks: Blocks) -> Blocks:
    blocks.cache.drop(next(iter(blocks)).name.ulid)
    return blocks


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    wal = tmp_path / "wal"
    wal.mkdir()
    (wal / "00000000.wal").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreUnusable, match="cannot be read"):
        StillStore(TENANT, tmp_path)


def test_a_store_is_read_as_it_lies_with_what_is_in_blocks_once(tmp_path: Path) -> None:
    store = MetricStore(tmp_path)
    hour = 3_600_000
    samples = [Sample(SERIES[0], k * hour, float(k)) for k in range(6)]
    store.append_samples(TENANT, samples)
    store.expire(TENANT, 5 * hour)
    still = StillStore(TENANT, tmp_path / TENANT)
    assert still.series([], 0, 9 * hour) == [SERIES[0]]
    (found,) = still.read(SERIES, 0, 9 * hour)
    assert found.times.tolist() == [k * hour for k in range(6)]
    assert still.head.samples == 2
    store.close()


def test_single_samples_of_blocks_are_found_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_samples, "_CHUNKS", 1)
    monkeypatch.setattr(sealed_samples, "_SERIES", 2)
    content = {each: {ts: ts + at / 10 for ts in (1, 5)} for at, each in enumerate(SERIES)}
    write(tmp_path, content)
    write(tmp_path, {SERIES[0]: {3: 3.0, 7: 7.0}, SERIES[1]: {4: 4.0}})
    blocks = Blocks(TENANT, tmp_path, IndexCache(1 << 20))
    tombstones = Tombstones(tmp_path / "none")
    found = SealedSamples(blocks, tombstones)
    for _ in range(2):
        assert [found.at(each, 5) for each in SERIES] == [5.0, 5.1, 5.2]
        assert found.at(SERIES[0], 3) == 3.0
        assert found.at(SERIES[2], 3) is found.at(SERIES[2], 2) is found.at(SERIES[0], 99) is None
        assert found.at(Labels.of({"__name__": "a", "more": "x"}), 5) is None
    for block in blocks:
        section = block.sections[SectionKind.LABELS]
        data = bytearray(block.path.read_bytes())
        data[section.offset] ^= 0xFF
        block.path.write_bytes(data)
        blocks.cache.drop(block.name.ulid)
    assert SealedSamples(blocks, tombstones).at(SERIES[0], 5) is None
    assert len(blocks.faults) == 2
