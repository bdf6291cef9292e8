"""When samples move from the head to blocks, blocks to larger ones, and everything away.

Decisions only, on times and sizes. Windows of time are aligned to the epoch. As in Prometheus
a window of two hours is sealed an hour after it ended, blocks grow to a tenth of the retention
or 31 days at most, and only whole blocks are removed, so some samples stay a little longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tocsin.timeseries.block import Block
from tocsin.timeseries.options import Options, milliseconds

HOUR_MS = milliseconds(timedelta(hours=1))
DAY_MS = 24 * HOUR_MS
LONGEST_MS = 31 * DAY_MS
LARGEST = 8 << 30  # bytes; blocks are not merged beyond this

_PART = 10  # of the retention that one block may span
_ENOUGH = 5  # small blocks beside a large one that make merging them all worth while


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, start <= t < end, in ms."""

    start_ms: int
    end_ms: int


def window_of(ts_ms: int, span_ms: int) -> Window:
    """Return the aligned window a time lies in.

    >>> window_of(-1, 10)
    Window(start_ms=-10, end_ms=0)
    """
    start = ts_ms // span_ms * span_ms
    return Window(start, start + span_ms)


def sealed_before(now_ms: int, options: Options) -> int:
    """Return the end of the last window that may be sealed now."""
    span_ms = milliseconds(options.block_span)
    return (now_ms - milliseconds(options.seal_after)) // span_ms * span_ms


def spans(options: Options) -> list[int]:
    """Return the spans blocks are merged to, in ms, ascending.

    >>> [span // HOUR_MS for span in spans(Options(retention=timedelta(days=15)))]
    [24]
    >>> [span // HOUR_MS for span in spans(Options(retention=timedelta(days=90)))]
    [24, 216]
    """
    block_ms = milliseconds(options.block_span)
    cap = min(LONGEST_MS, milliseconds(options.retention) // _PART)
    day = min(DAY_MS, cap) // block_ms * block_ms
    long = cap // DAY_MS * DAY_MS
    return [span for span, below in ((day, block_ms), (long, DAY_MS)) if span > below]


def expired(blocks: Sequence[Block], horizon_ms: int) -> list[Block]:
    """Return the blocks whose samples are all before `horizon_ms`."""
    return [block for block in blocks if block.name.maxt < horizon_ms]


def too_many(blocks: Sequence[Block], room: int) -> list[Block]:
    """Return the oldest of the blocks, so many that the others take at most `room` bytes."""
    excess = sum(block.size for block in blocks) - room
    found = []
    for block in sorted(blocks, key=lambda each: (each.name.maxt, each.name)):
        if excess <= 0:
            break
        found.append(block)
        excess -= block.size
    return found


def merges(
    blocks: Sequence[Block], sealed_ms: int, spans_ms: Sequence[int]
) -> Iterator[list[Block]]:
    """Yield groups of blocks, none in two groups, each to become one block."""
    taken: set[str] = set()
    for span_ms in spans_ms:
        by_window: dict[Window, list[Block]] = {}
        for block in blocks:
            window = window_of(block.name.mint, span_ms)
            if block.name.maxt < window.end_ms <= sealed_ms:
                by_window.setdefault(window, []).append(block)
        for group in by_window.values():
            if _worth_while(group, span_ms) and taken.isdisjoint(b.name.ulid for b in group):
                taken.update(block.name.ulid for block in group)
                yield group


def _worth_while(group: Sequence[Block], span_ms: int) -> bool:
    """Tell whether to merge what lies in one window: not a large block for every late sample."""
    if len(group) < 2 or sum(block.size for block in group) > LARGEST:
        return False
    large = sum(2 * (block.name.maxt - block.name.mint) > span_ms for block in group)
    return large != 1 or len(group) >= _ENOUGH
