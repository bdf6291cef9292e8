"""Block files on a real disk: reading, damage, what a crash leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from block_files import EVER, TENANT, Content, read, write

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.tenant import TenantId
from tocsin.timeseries import block_writer
from tocsin.timeseries.block import Block, IndexCache, open_block
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_format import About, BlockName, SectionKind, new_ulid
from tocsin.timeseries.block_index import index_of
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.block_writer import writing_block
from tocsin.timeseries.blocks import Blocks


def named(name: str, **labels: str) -> Labels:
    return Labels.of({"__name__": name, **labels})


def opened(directory: Path, tenant: TenantId = TENANT) -> Blocks:
    return Blocks(tenant, directory, IndexCache(1 << 20))


def sample_content(count: int = 40, samples: int = 300) -> Content:
    rng = np.random.default_rng(7)
    return {
        named("m" if at % 3 else "n", i=f"{at:03d}"): {
            15_000 * k + at % 4: float(value)
            for k, value in enumerate(np.cumsum(rng.poisson(5, samples)).tolist())
        }
        for at in range(count)
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blocks"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_writer, "CHUNK_SAMPLES", 1000)


def test_a_block_holds_what_was_written(folder: Path) -> None:
    content = sample_content()
    path = write(folder, content)
    blocks = opened(folder)
    (block,) = blocks
    assert (block.path, block.about.series, block.about.samples) == (path, 40, 40 * 300)
    assert (block.name.mint, block.name.maxt) == (0, 299 * 15_000 + 3)
    assert block.size == blocks.size == path.stat().st_size
    assert blocks.newest_ms == block.name.maxt
    assert read(blocks) == content


def test_only_what_is_asked_for_is_read(folder: Path) -> None:
    content = sample_content()
    write(folder, content)
    blocks = opened(folder)
    one = [matcher("i", "=", "006")]
    assert read(blocks, one) == {named("n", i="006"): content[named("n", i="006")]}
    span = (150_000, 300_001)
    expected = {
        labels: {t: v for t, v in samples.items() if span[0] <= t <= span[1]}
        for labels, samples in content.items()
    }
    assert read(blocks, span=span) == expected
    assert read(blocks, span=(1_000, 14_000)) == {}
    with BlockReader(next(iter(blocks))) as reader:
        wanted = reader.contents().index.select(one)
        assert len(reader.rows(wanted, *EVER)) == 1 < len(reader.contents().chunks)


def test_series_with_the_same_times_share_them(folder: Path) -> None:
    write(folder, sample_content())
    with BlockReader(next(iter(opened(folder)))) as reader:
        everyone = reader.contents().index.everyone()
        columns = list(reader.columns(everyone, 100_000, 10**7))
        assert len({id(column.times) for column in columns}) == 4
        for column in columns:
            with pytest.raises(ValueError, match="read-only"):
                column.times[0] = 1
            with pytest.raises(ValueError, match="read-only"):
                column.values[0] = 1


def test_presence_is_told_without_reading_samples(folder: Path) -> None:
    a, b, c = named("a"), named("b"), named("c")
    write(folder, {a: {1: 1.0, 9: 1.0}, b: {5: 1.0}, c: {3: 1.0, 4: 1.0}})
    with BlockReader(next(iter(opened(folder)))) as reader:
        everyone = reader.contents().index.everyone()
        assert reader.present(everyone, 1, 9).tolist() == [0, 1, 2]
        assert reader.present(everyone, 2, 4).tolist() == [2]
        assert reader.present(everyone, 5, 100).tolist() == [0, 1]
        assert reader.present(everyone[1:], 5, 100).tolist() == [1]
        assert reader.present(everyone, 6, 8).tolist() == []


def test_a_reader_reads_on_when_its_file_is_gone(folder: Path) -> None:
    content = sample_content()
    write(folder, content)
    blocks = opened(folder)
    (block,) = blocks
    with BlockReader(block) as reader:
        blocks.remove([block])()
        assert list(folder.iterdir()) == []
        assert len(list(reader.columns(reader.contents().index.everyone(), *EVER))) == 40
    reader.close()


def test_times_before_the_epoch_have_names_too(folder: Path) -> None:
    content = {named("a"): {-(10**15): 1.0, -5: 2.0}}
    path = write(folder, content, windows_ms=10**16)
    name = BlockName.of(path)
    assert name is not None
    assert (name.mint, name.maxt, str(name)) == (-(10**15), -5, path.name)
    assert read(opened(folder)) == content


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_ulid(ms) for ms in (-5, 0, 1, 1_700_000_000_000, 2**48 - 1)]
    assert sorted(ids)[2:] == ids[2:]
    assert len({new_ulid(7) for _ in range(100)}) == 100
    assert {len(each) for each in ids} == {26}


def test_a_block_that_was_not_finished_is_thrown_away(folder: Path) -> None:
    folder.mkdir()
    with writing_block(folder, TENANT, new_ulid(0)) as writer:
        writer.add(0, np.array([1]), np.array([1.0]))
        assert [path.suffix for path in folder.iterdir()] == [".tmp"]
    assert list(folder.iterdir()) == []
    (folder / f"{new_ulid(0)}.tmp").write_bytes(b"left by a crash")
    assert len(opened(folder)) == 0
    assert list(folder.iterdir()) == []


def test_a_block_that_another_stands_for_is_removed(folder: Path) -> None:
    old = write(folder, {named("a"): {1: 1.0}})
    name = BlockName.of(old)
    assert name is not None
    new = write(folder, {named("a"): {1: 1.0, 2: 2.0}}, sources=[name.ulid])
    assert [block.path for block in opened(folder)] == [new]
    assert not old.exists()


def test_files_that_are_no_blocks_are_left_alone(folder: Path) -> None:
    write(folder, {named("a"): {1: 1.0}})
    for name in ("notes.txt", "x.blk"):
        (folder / name).write_text("hello")
    assert len(opened(folder)) == 1
    assert (folder / "x.blk").read_text() == "hello"
    with pytest.raises(BadBlock, match="not the name of a block"):
        open_block(folder / "x.blk", TENANT, IndexCache(0), print)


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0, 9, 25, -1, -30, -60])
def test_a_block_with_damaged_ends_is_set_aside_and_others_answer(folder: Path, place: int) -> None:
    bad = write(folder, {named("a"): {1: 1.0}})
    write(folder, {named("b"): {2: 2.0}})
    damage(bad, place)
    blocks = opened(folder)
    assert read(blocks) == {named("b"): {2: 2.0}}
    (fault,) = blocks.faults
    assert str(fault).startswith(f"{bad}: offset ")
    assert not bad.exists()
    assert bad.with_name(f"{bad.name}.bad").exists()
    assert not opened(folder).faults


@pytest.mark.parametrize("size", [0, 10, 100, -1, -50])
def test_a_block_cut_short_is_set_aside(folder: Path, size: int) -> None:
    bad = write(folder, sample_content(3, 10))
    bad.write_bytes(bad.read_bytes()[:size])
    assert len(opened(folder)) == 0
    assert [path.suffix for path in folder.iterdir()] == [".bad"]


def test_a_block_of_another_tenant_is_set_aside(folder: Path) -> None:
    write(folder, {named("a"): {1: 1.0}})
    blocks = opened(folder, TenantId("b"))
    assert len(blocks) == 0
    assert "tenant b" in str(next(iter(blocks.faults)))


def section(block: Block, kind: SectionKind) -> int:
    return block.sections[kind].offset


def test_beside_a_running_server_nothing_is_changed(folder: Path) -> None:
    bad = write(folder, {named("a"): {1: 1.0}})
    (folder / "x.tmp").write_bytes(b"being written")
    damage(bad, 0)
    blocks = Blocks(TENANT, folder, IndexCache(0), tidy=False)
    assert (len(blocks), len(blocks.faults)) == (0, 1)
    assert {path.name for path in folder.iterdir()} == {bad.name, "x.tmp"}


def test_a_damaged_chunk_costs_its_own_samples(folder: Path) -> None:
    content = sample_content()
    path = write(folder, content)
    blocks = opened(folder)
    with BlockReader(next(iter(blocks))) as reader:
        chunks = reader.contents().chunks
        damage(path, int(chunks.offset[1]) + 10)
    lost = sorted(content)[int(chunks.first[1]) : int(chunks.last[1]) + 1]
    for _ in range(2):
        assert read(blocks) == {k: v for k, v in content.items() if k not in lost}
    assert [str(f) for f in blocks.faults] == [
        f"{path}: offset {chunks.offset[1]}: checksum of {chunks.size[1]} bytes does not match"
    ]
    with BlockReader(next(iter(blocks))) as reader:
        everyone = reader.contents().index.everyone()
        assert len(reader.present(everyone, 0, 1000)) == len(content) - len(lost)


def test_damaged_clocks_are_a_fault_of_the_chunks_that_need_them(folder: Path) -> None:
    content = sample_content()
    path = write(folder, content)
    blocks = opened(folder)
    with BlockReader(next(iter(blocks))) as reader:
        damage(path, int(reader.contents().clocks.offset[0]) + 3)
    found = read(blocks)
    assert len(found) < len(content)
    assert all(content[labels] == samples for labels, samples in found.items())
    assert blocks.faults


@pytest.mark.parametrize("kind", [SectionKind.LABELS, SectionKind.CHUNKS, SectionKind.CLOCKS])
def test_a_damaged_index_is_an_error_of_its_block(folder: Path, kind: SectionKind) -> None:
    path = write(folder, sample_content(5, 5))
    (block,) = opened(folder)
    damage(path, section(block, kind) + 2)
    with BlockReader(block) as reader, pytest.raises(BadBlock, match="checksum"):
        reader.contents()


def test_a_damaged_description_sets_the_block_aside(folder: Path) -> None:
    path = write(folder, sample_content(5, 5))
    (block,) = opened(folder)
    damage(path, section(block, SectionKind.ABOUT) + 2)
    assert len(opened(folder)) == 0


def test_a_block_given_up_is_not_read_any_more(folder: Path) -> None:
    write(folder, {named("a"): {1: 1.0}})
    blocks = opened(folder)
    (block,) = blocks
    assert blocks.between(0, 5) == [block]
    blocks.give_up(block, "offset 5: damaged")
    assert blocks.between(0, 5) == []


def test_indexes_are_kept_up_to_a_size(folder: Path) -> None:
    for at in range(4):
        write(folder, {named(f"m{at}"): {at: 1.0}})
    cache = IndexCache(1)
    blocks = Blocks(TENANT, folder, cache)
    assert len(read(blocks)) == 4
    assert len(cache._held) == 1
    large = IndexCache(1 << 20)
    blocks = Blocks(TENANT, folder, large)
    read(blocks)
    assert len(large._held) == 4
    assert large._size == sum(contents.nbytes for contents in large._held.values())
    blocks.remove(list(blocks))()
    assert (large._size, len(large._held), list(folder.iterdir())) == (0, 0, [])


def test_a_block_of_columns_without_number_is_written_in_many_chunks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_writer, "CHUNK_COLUMNS", 7)
    monkeypatch.setattr(block_writer, "_CLOCKS_AT_HAND", 3)
    content = {named("m", i=f"{at:02d}"): {at: 1.0, at + 5: 2.0} for at in range(30)}
    write(folder, content)
    blocks = opened(folder)
    assert read(blocks) == content
    with BlockReader(next(iter(blocks))) as reader:
        assert reader.contents().chunks.count.tolist() == [7, 7, 7, 7, 2]


def test_writing_goes_to_no_place_that_is_taken(folder: Path) -> None:
    folder.mkdir()
    ulid = new_ulid(0)
    with writing_block(folder, TENANT, ulid) as writer:
        with pytest.raises(FileExistsError), writing_block(folder, TENANT, ulid):
            raise AssertionError
        writer.add(0, np.array([1]), np.array([1.0]))
        assert writer.finish(index_of([named("a")]), About(written_ms=0)).name.maxt == 1
