"""Adds up deltas: a sender that tells what came since its last point gets counters all the same.

Each series has a sum that starts at 0 with its first point. Sums are kept in memory only:
after a restart, or when a series was silent for `FORGET`, its sum starts again, which queries
take for a counter reset. A point as old as the last one was sent twice and is not added
again; an older one is refused, for it may have been added already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.otlp.points import Block, Slots
from tocsin.model.labels import Labels

MOST_SUMS = 200_000  # of one tenant; a histogram has one for each bucket
FORGET = timedelta(hours=1)
_TIDY = timedelta(minutes=1)
_NONE = -1
_FIRST_ROOM = 1024

_Before = tuple[Slots, npt.NDArray[np.float64], npt.NDArray[np.uint64]]


@dataclass(slots=True)
class Summed:
    """What became of deltas: blocks of sums to store, and points refused by reason."""

    blocks: list[Block] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, count: int, reason: str) -> None:
        """Count refused points."""
        if count:
            self.refused[reason] = self.refused.get(reason, 0) + count


class Deltas:
    """The sums of one tenant. One thread at a time."""

    def __init__(self, *, most: int = MOST_SUMS) -> None:
        """Begin with no sums; there may be `most`."""
        self._most = most
        self._numbers: dict[Labels, int] = {}
        self._sums = np.zeros(_FIRST_ROOM)
        self._last = np.zeros(_FIRST_ROOM, np.uint64)  # time of the last point, ns
        self._seen = np.zeros(_FIRST_ROOM)  # when it came, Unix seconds
        self._of_slot = np.empty(0, np.int32)
        self._tidied_s = 0.0
        self._undo: list[_Before] = []

    def __len__(self) -> int:
        """Return how many series have a sum."""
        return len(self._numbers)

    def forget_slots(self) -> None:
        """Note that the numbers of series have a new meaning; the sums stay."""
        self._of_slot = np.empty(0, np.int32)

    def tidy(self, now_s: float) -> None:
        """Drop what was silent for long; at most once a minute."""
        if now_s - self._tidied_s < _TIDY.total_seconds():
            return
        self._tidied_s = now_s
        alive = self._seen[: len(self)] > now_s - FORGET.total_seconds()
        if alive.all():
            return
        kept = [labels for labels, on in zip(self._numbers, alive.tolist(), strict=True) if on]
        room = max(_FIRST_ROOM, len(kept))
        for name in ("_sums", "_last", "_seen"):
            column = np.zeros(room, getattr(self, name).dtype)
            column[: len(kept)] = getattr(self, name)[: len(alive)][alive]
            setattr(self, name, column)
        self._numbers = {labels: number for number, labels in enumerate(kept)}
        self.forget_slots()

    def add(self, block: Block, labels: Sequence[Labels], *, now_s: float) -> Summed:
        """Add the deltas of a block, whose slots number `labels`.

        `settle` must follow: points that could not be stored come again, and count then.
        """
        summed = Summed()
        for part in _once_each(block):
            self._add(part, labels, now_s, summed)
        return summed

    def settle(self, *, keep: bool) -> None:
        """Let what was added since the last time stand, or undo it."""
        while self._undo:
            numbers, sums, last = self._undo.pop()
            if not keep:
                self._sums[numbers] = sums
                self._last[numbers] = last

    def _add(self, block: Block, labels: Sequence[Labels], now_s: float, summed: Summed) -> None:
        """Add points none of which belong to the same series."""
        numbers = self._known(block.slots, labels)
        room = (numbers != _NONE).all(axis=1)
        summed.refuse(len(block) - int(room.sum()), "delta_series_limit")
        last = self._last[numbers].max(axis=1)
        summed.refuse(int((room & (block.nanos < last)).sum()), "delta_out_of_order")
        fresh = room & (block.nanos > last)
        if not fresh.any():
            return
        taken, numbers = block.take(fresh), numbers[fresh]
        self._undo.append((numbers, self._sums[numbers], self._last[numbers]))
        self._sums[numbers] += taken.values
        self._last[numbers] = taken.nanos[:, None]
        self._seen[numbers] = now_s
        summed.blocks.append(Block(taken.slots, taken.nanos, self._sums[numbers]))

    def _known(self, slots: Slots, labels: Sequence[Labels]) -> Slots:
        """Return the numbers of series by their slots, new ones where need be; -1 for no room."""
        if len(self._of_slot) < len(labels):
            more = np.full(len(labels) - len(self._of_slot), _NONE, np.int32)
            self._of_slot = np.concatenate((self._of_slot, more))
        numbers = self._of_slot[slots]
        for slot in slots[numbers == _NONE].tolist():
            self._of_slot[slot] = self._number(labels[slot])
        return self._of_slot[slots] if (numbers == _NONE).any() else numbers

    def _number(self, labels: Labels) -> int:
        known = self._numbers.get(labels)
        if known is not None:
            return known
        if len(self) >= self._most:
            return _NONE
        number = self._numbers[labels] = len(self)
        if number == len(self._sums):
            for name in ("_sums", "_last", "_seen"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate((column, np.zeros_like(column))))
        return number


def _once_each(block: Block) -> Iterator[Block]:
    """Yield the points in blocks in which no series has two, oldest first."""
    ids = block.slots[:, -1]  # the last series of a point is no other point's
    if len(np.unique(ids)) == len(ids):
        yield block
        return
    order = np.lexsort((block.nanos, ids))
    block, ids = block.take(order), ids[order]
    first = np.concatenate(([True], ids[1:] != ids[:-1]))
    starts = np.flatnonzero(first)
    turn = np.arange(len(ids)) - np.repeat(starts, np.diff(np.append(starts, len(ids))))
    for each in range(int(turn.max()) + 1):
        yield block.take(turn == each)
