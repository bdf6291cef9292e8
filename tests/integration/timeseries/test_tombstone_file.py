"""Tombstones on disk: durable, pruned, and never silently lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.model.errors import StoreUnusable
from tocsin.timeseries.tombstones import NAME, Tombstone, Tombstones


def tombstone(
    *blocks: str, segment: int = 3, created_ms: int = 5, end_ms: int = 20, head: bool = True
) -> Tombstone:
    return Tombstone(
        matchers=(("__name__", "=~", "up|down"), ("job", "!=", "")),
        start_ms=10,
        end_ms=end_ms,
        created_ms=created_ms,
        segment=segment,
        blocks=blocks,
        head=head,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


def test_a_tombstone_is_there_after_a_restart(path: Path) -> None:
    Tombstones(path).add(tombstone("A", "B"))
    again = Tombstones(path)
    assert len(again) == 1
    (hidden,) = again.of_block("A")
    assert [str(each) for each in hidden.matchers] == ['__name__=~"up|down"', 'job!=""']
    assert (hidden.start_ms, hidden.end_ms) == (10, 20)
    assert again.of_block("C") == []
    assert [len(again.of_segment(index)) for index in (2, 3)] == [1, 0]
    assert again.first_free_segment() == 3
    assert len(again.of_head()) == 1
    again.recovered()
    assert again.of_head() == []
    assert list(path.parent.iterdir()) == [path]


def test_without_tombstones_there_is_no_file(path: Path) -> None:
    held = Tombstones(path)
    assert (len(held), held.first_free_segment(), held.of_head()) == (0, 0, [])
    held.prune(blocks=(), oldest_segment=None, oldest_ms=None)
    assert not path.exists()


def test_blocks_are_due_by_the_age_of_their_tombstones(path: Path) -> None:
    held = Tombstones(path)
    held.add(tombstone("A", created_ms=5))
    held.add(tombstone("A", "B", created_ms=50))
    assert held.blocks_before(5) == set()
    assert held.blocks_before(6) == {"A"}
    assert held.blocks_before(99) == {"A", "B"}
    looked_at = held.held
    held.add(tombstone("A", "C", created_ms=60))
    held.dismiss({"A"}, of=looked_at)
    assert Tombstones(path).blocks_before(60) == {"B"}
    assert Tombstones(path).blocks_before(99) == {"A", "B", "C"}


def test_a_tombstone_goes_once_it_applies_to_nothing(path: Path) -> None:
    held = Tombstones(path)
    held.add(tombstone("A", "B"))
    held.prune(blocks={"B", "C"}, oldest_segment=7, oldest_ms=21)
    assert (len(held), held.of_block("A"), held.of_head()) == (1, [], [])
    held.prune(blocks={"C"}, oldest_segment=2, oldest_ms=None)
    assert len(held) == 1
    held.prune(blocks={"C"}, oldest_segment=None, oldest_ms=None)
    assert len(held) == len(Tombstones(path)) == 0


def test_a_tombstone_stays_while_the_head_has_such_samples(path: Path) -> None:
    held = Tombstones(path)
    held.add(tombstone())
    held.prune(blocks=(), oldest_segment=None, oldest_ms=20)
    assert len(held.of_head()) == 1
    held.prune(blocks=(), oldest_segment=None, oldest_ms=21)
    assert len(held) == 0


@pytest.mark.parametrize(
    "text",
    ["", "[{}]", '[{"matchers":[["a","=~","("]],"start_ms":1,"end_ms":2,"created_ms":0,'
     '"segment":0,"blocks":[]}]'],
)  # fmt: skip
def test_a_damaged_file_stops_the_start_for_deleted_samples_would_be_back(
    path: Path, text: str
) -> None:
    path.write_text(text)
    with pytest.raises(StoreUnusable, match="samples that were deleted would be seen again"):
        Tombstones(path)
