"""When blocks are sealed, merged and removed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tocsin.timeseries.block import Block, IndexCache
from tocsin.timeseries.block_format import About, BlockName
from tocsin.timeseries.options import Options
from tocsin.timeseries.retention import (
    DAY_MS,
    HOUR_MS,
    LARGEST,
    Window,
    expired,
    merges,
    sealed_before,
    spans,
    too_many,
    window_of,
)

DAY = [24 * HOUR_MS]


def block(start_h: float, end_h: float, *, size: int = 1) -> Block:
    name = BlockName(round(start_h * HOUR_MS), round(end_h * HOUR_MS) - 1, f"{start_h}-{end_h}")
    return Block(Path("x"), name, About(written_ms=0), size, IndexCache(0), {}, print)


def two_hours(first_h: int, count: int) -> list[Block]:
    return [block(h, h + 2) for h in range(first_h, first_h + 2 * count, 2)]


def names(groups: list[list[Block]]) -> list[list[str]]:
    return [[each.name.ulid for each in group] for group in groups]


def test_windows_are_aligned_to_the_epoch() -> None:
    assert window_of(7, 10) == Window(0, 10)
    assert window_of(-1, 10) == Window(-10, 0)
    assert window_of(10, 10) == Window(10, 20)


@pytest.mark.parametrize(("now_h", "end_h"), [(3, 2), (2.99, 0), (4.9, 2), (5, 4), (-1, -2)])
def test_a_window_is_sealed_an_hour_after_its_end(now_h: float, end_h: int) -> None:
    assert sealed_before(round(now_h * HOUR_MS), Options()) == end_h * HOUR_MS


@pytest.mark.parametrize(
    ("retention_d", "hours"),
    [(0.5, []), (1, []), (5, [12]), (15, [24]), (25, [24, 48]), (90, [24, 216]), (9999, [24, 744])],
)
def test_blocks_grow_to_a_tenth_of_the_retention_or_a_month(
    retention_d: float, hours: list[int]
) -> None:
    found = spans(Options(retention=timedelta(days=retention_d)))
    assert found == [h * HOUR_MS for h in hours]


def test_whole_blocks_are_removed_once_everything_in_them_is_too_old() -> None:
    old, new = block(0, 2), block(1, 4)
    assert expired([old, new], 2 * HOUR_MS - 1) == []
    assert expired([old, new], 2 * HOUR_MS) == [old]


def test_the_oldest_blocks_go_first_until_the_others_fit() -> None:
    blocks = [block(0, 2, size=10), block(4, 6, size=10), block(2, 4, size=10)]
    assert too_many(blocks, 30) == []
    assert too_many(blocks, 20) == [blocks[0]]
    assert too_many(blocks, 19) == [blocks[0], blocks[2]]
    assert too_many(blocks, -5) == [blocks[0], blocks[2], blocks[1]]


def test_a_day_is_merged_when_all_of_it_is_sealed() -> None:
    day = two_hours(0, 12)
    assert list(merges(day, 23 * HOUR_MS, DAY)) == []
    assert names(list(merges(day, DAY_MS, DAY))) == names([day])
    assert list(merges(day, DAY_MS, [])) == []


def test_days_are_merged_apart_and_a_lone_block_stays() -> None:
    first, second = two_hours(0, 12), two_hours(24, 2)
    found = list(merges([*first, *second, block(48, 50)], 9 * DAY_MS, DAY))
    assert names(found) == names([first, second])


def test_a_block_that_lies_in_two_windows_is_left_alone() -> None:
    assert list(merges([block(20, 26), block(22, 24), block(24, 26)], 9 * DAY_MS, DAY)) == []


def test_a_large_block_is_not_rewritten_for_every_late_sample() -> None:
    whole, late = block(0, 24), [block(h, h + 2) for h in (2, 4, 6, 8)]
    assert list(merges([whole, *late[:3]], 2 * DAY_MS, DAY)) == []
    assert names(list(merges([whole, *late], 2 * DAY_MS, DAY))) == names([[whole, *late]])
    other = block(1, 23)
    assert names(list(merges([whole, other], 2 * DAY_MS, DAY))) == names([[whole, other]])


def test_what_one_merge_takes_no_other_takes() -> None:
    blocks = [*two_hours(0, 3), block(24, 48), block(48, 72)]
    found = list(merges(blocks, 9 * DAY_MS, [DAY_MS, 3 * DAY_MS]))
    assert names(found) == names([blocks[:3]])
    assert names(list(merges([block(0, 24), *blocks[3:]], 9 * DAY_MS, [DAY_MS, 3 * DAY_MS]))) == [
        ["0-24", "24-48", "48-72"]
    ]


def test_blocks_are_not_merged_beyond_a_size() -> None:
    blocks = [block(0, 2, size=LARGEST), block(2, 4)]
    assert list(merges(blocks, 9 * DAY_MS, DAY)) == []
