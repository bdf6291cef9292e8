"""Merged blocks hold what their sources held, once, and nothing that was deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from block_files import TENANT, Content, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.timeseries import merging
from tocsin.timeseries.block import Block, IndexCache
from tocsin.timeseries.block_format import About, new_ulid
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.merging import Merge
from tocsin.timeseries.sealing import Order
from tocsin.timeseries.tombstones import Hidden
from tocsin.timeseries.work import Stopped, Workshop

SERIES = [Labels.of({"__name__": n, "i": i}) for n in ("up", "load") for i in ("", "1", "2")]
CONTENTS = st.dictionaries(
    st.sampled_from(SERIES),
    st.dictionaries(st.integers(-5, 40), st.floats(width=16), min_size=1, max_size=12),
    min_size=1,
)
HIDDEN = st.builds(
    lambda name, value, start, length: Hidden((matcher(name, "=~", value),), start, start + length),
    st.sampled_from(["__name__", "i"]),
    st.sampled_from(["up", ".*", "1|2", ""]),
    st.integers(-10, 40),
    st.integers(0, 50),
)


def merge(blocks: Blocks, sources: Sequence[tuple[Block, Sequence[Hidden]]]) -> Merge:
    about = About(written_ms=7, sources=tuple(block.name.ulid for block, _ in sources))
    order = Order(blocks.directory, TENANT, new_ulid(1), about, lambda: None)
    made = Merge(order, sources)
    made.run()
    blocks.replace([block for block, _ in sources], made.path)()
    return made


@settings(deadline=None, max_examples=60)
@given(
    contents=st.lists(st.tuples(CONTENTS, st.lists(HIDDEN, max_size=2)), min_size=1, max_size=4),
    window=st.sampled_from([5, 20, 1000]),
)
def test_a_merged_block_is_its_sources_without_what_is_hidden(
    contents: list[tuple[Content, list[Hidden]]], window: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected: dict[Labels, dict[int, str]] = {}
        hidden_of: dict[Path, list[Hidden]] = {}
        paths = [write(folder, content, windows_ms=window) for content, _ in contents]
        hidden_of = dict(zip(paths, (hidden for _, hidden in contents), strict=True))
        content_of = dict(zip(paths, (content for content, _ in contents), strict=True))
        blocks = Blocks(TENANT, folder, IndexCache(1 << 20))
        for block in blocks:
            for labels, samples in content_of[block.path].items():
                for ts, value in samples.items():
                    if not any(
                        h.covers(labels) and h.start_ms <= ts <= h.end_ms
                        for h in hidden_of[block.path]
                    ):
                        expected.setdefault(labels, {}).setdefault(ts, repr(value))
        made = merge(blocks, [(block, hidden_of[block.path]) for block in blocks])
        found = {
            labels: {ts: repr(value) for ts, value in samples.items()}
            for labels, samples in read(blocks).items()
        }
        assert found == expected
        assert len(list(folder.iterdir())) == len(blocks) == (made.path is not None)
        for block in blocks:
            assert block.about.samples == sum(map(len, expected.values()))
            assert block.about.series == len(expected)


def days(folder: Path, count: int = 3) -> tuple[Blocks, Content]:
    contents = [
        {
            labels: {day * 1000 + k * 7 + at: float(k * at) for k in range(20)}
            for at, labels in enumerate(SERIES)
        }
        for day in range(count)
    ]
    for content in contents:
        write(folder, content)
    whole = {s: {t: v for c in contents for t, v in c[s].items()} for s in SERIES}
    return Blocks(TENANT, folder, IndexCache(1 << 20)), whole


def test_chunks_that_overlap_with_none_are_copied_as_they_are(tmp_path: Path) -> None:
    blocks, content = days(tmp_path)
    data = []
    for block in blocks:
        with BlockReader(block) as reader:
            data.append(bytes(reader.heads(0).data))
    merge(blocks, [(block, ()) for block in blocks])
    assert read(blocks) == content
    with BlockReader(next(iter(blocks))) as reader:
        assert [bytes(reader.heads(row).data) for row in range(3)] == data


def test_series_are_joined_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "_AT_ONCE", 2)
    blocks, content = days(tmp_path)
    write(tmp_path, {s: {1: 7.0, 2: 8.0} for s in SERIES[:3]})
    blocks = Blocks(TENANT, tmp_path, IndexCache(1 << 20))
    merge(blocks, [(block, ()) for block in blocks])
    late = {s: {1: 7.0, 2: 8.0} if s in SERIES[:3] else {} for s in SERIES}
    assert read(blocks) == {s: {**late[s], **content[s]} for s in SERIES}


def test_labels_of_deleted_series_are_gone_from_the_file(tmp_path: Path) -> None:
    person = Labels.of({"__name__": "visits", "person": "Jane-Doe"})
    write(tmp_path, {person: {1: 1.0}, SERIES[0]: {1: 2.0}})
    blocks = Blocks(TENANT, tmp_path, IndexCache(1 << 20))
    hidden = [Hidden((matcher("person", "=", "Jane-Doe"),), 0, 10)]
    made = merge(blocks, [(block, hidden) for block in blocks])
    assert read(blocks) == {SERIES[0]: {1: 2.0}}
    assert made.path is not None
    with BlockReader(next(iter(blocks))) as reader:
        assert b"Jane-Doe" not in reader.contents().index.texts.all()


def test_what_cannot_be_read_is_kept_aside_with_its_block(tmp_path: Path) -> None:
    blocks, content = days(tmp_path)
    bad = list(blocks)[1]
    with BlockReader(bad) as reader:
        offset = int(reader.contents().chunks.offset[0])
    with bad.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"damaged")
    merge(blocks, [(block, ()) for block in blocks])
    kept = {s: {t: v for t, v in found.items() if t // 1000 != 1} for s, found in content.items()}
    assert read(blocks) == kept
    assert str(next(iter(blocks.faults))).startswith(f"{bad.path}: offset {offset}")
    assert {path.suffix for path in tmp_path.iterdir()} == {".bad", ".blk"}


def test_a_source_without_a_readable_index_is_kept_aside(tmp_path: Path) -> None:
    (bad,) = blocks = days(tmp_path, 1)[0]
    with bad.path.open("r+b") as file:
        file.seek(min(section.offset for section in bad.sections.values()))
        file.write(b"damaged")
    assert merge(blocks, [(bad, ())]).path is None
    assert (len(blocks), [path.suffix for path in tmp_path.iterdir()]) == (0, [".bad"])


def test_work_that_is_stopped_leaves_no_trace(tmp_path: Path) -> None:
    blocks, content = days(tmp_path)
    shop = Workshop()
    shop.close()
    order = Order(tmp_path, TENANT, new_ulid(1), About(written_ms=0), shop.check)
    with pytest.raises(Stopped):
        Merge(order, [(block, ()) for block in blocks]).run()
    assert {path.suffix for path in tmp_path.iterdir()} == {".blk"}
    assert read(blocks) == content
