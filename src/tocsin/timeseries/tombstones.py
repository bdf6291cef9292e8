"""What was deleted: by matchers and time, of the samples that were there at that moment.

A tombstone names the blocks and the part of the log it applies to, so that samples written
later, even at the same times, are not touched. It hides samples at once; they vanish from disk
when their block is next rewritten and their log segment is next dropped, and then the
tombstone goes too. All tombstones of a tenant stand in one small file, replaced as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from tocsin.model.errors import InvalidInput, StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match, matcher
from tocsin.model.series import Series, Times
from tocsin.timeseries.block_format import UNFINISHED
from tocsin.timeseries.segments import create_file, sync_directory

NAME = "tombstones.json"

Kept = npt.NDArray[np.bool_]


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion, start <= t <= end, in ms.

    `blocks` are the blocks it applies to. It applies to what was logged before segment
    `segment`, and while `head` is true to what the head held then.
    """

    matchers: tuple[tuple[str, str, str], ...]
    start_ms: int
    end_ms: int
    created_ms: int
    segment: int
    blocks: tuple[str, ...]
    head: bool = True

    def compiled(self) -> Hidden:
        """Return what it hides. Raises InvalidInput on a bad pattern."""
        parts = tuple(matcher(name, op, value) for name, op, value in self.matchers)
        return Hidden(parts, self.start_ms, self.end_ms)


class Hidden(msgspec.Struct, frozen=True):
    """Samples that must not be seen: start <= t <= end, in ms."""

    matchers: tuple[Matcher, ...]
    start_ms: int
    end_ms: int

    def covers(self, labels: Labels) -> bool:
        """Tell whether a series is meant."""
        return all_match(self.matchers, labels)

    def hides(self, labels: Labels, ts_ms: int) -> bool:
        """Tell whether a sample is meant."""
        return self.start_ms <= ts_ms <= self.end_ms and self.covers(labels)


class Tombstones:
    """The tombstones of one tenant. Belongs to the store's thread."""

    def __init__(self, path: Path) -> None:
        """Read them from `path`, which need not exist. Raises StoreUnusable, OSError."""
        self._path = path
        self._held: tuple[Tombstone, ...] = ()
        self._compiled: dict[Tombstone, Hidden] = {}
        if path.exists():
            self._take(_read(path))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._held)

    def add(self, tombstone: Tombstone) -> None:
        """Make a deletion durable, and then take it in. Raises OSError."""
        self._replace([*self._held, tombstone])

    @property
    def held(self) -> Sequence[Tombstone]:
        """Return all there are now."""
        return self._held

    def of_head(self) -> list[Hidden]:
        """Return what is hidden in the head."""
        return [self._compiled[t] for t in self._held if t.head]

    def of_block(self, ulid: str) -> list[Hidden]:
        """Return what is hidden in a block."""
        return [self._compiled[t] for t in self._held if ulid in t.blocks]

    def of_segment(self, index: int) -> list[Hidden]:
        """Return what is hidden of a segment of the log."""
        return [self._compiled[t] for t in self._held if index < t.segment]

    def blocks_before(self, created_ms: int) -> set[str]:
        """Return the blocks with tombstones from before a time."""
        return {ulid for t in self._held if t.created_ms < created_ms for ulid in t.blocks}

    def first_free_segment(self) -> int:
        """Return the lowest number a new segment may have."""
        return max((t.segment for t in self._held), default=0)

    def recovered(self) -> None:
        """Note that the head was read back from the log, and what is hidden left out."""
        self._take([msgspec.structs.replace(each, head=False) for each in self._held])

    def dismiss(self, ulids: Collection[str], *, of: Collection[Tombstone]) -> None:
        """Note that some tombstones hide nothing in these blocks. Raises OSError.

        Others may have come since somebody looked: they are left alone.
        """
        if ulids:
            self._replace([_without(each, ulids) if each in of else each for each in self._held])

    def prune(
        self, *, blocks: Collection[str], oldest_segment: int | None, oldest_ms: int | None
    ) -> None:
        """Forget what applies to nothing any more. Raises OSError.

        `blocks` are those there are, `oldest_segment` and `oldest_ms` the first segment of the
        log and the first sample of the head, None when there is none.
        """
        left = []
        for each in self._held:
            logged = oldest_segment is not None and oldest_segment < each.segment
            in_head = each.head and oldest_ms is not None and oldest_ms <= each.end_ms
            kept = tuple(ulid for ulid in each.blocks if ulid in blocks)
            if logged or in_head or kept:
                left.append(msgspec.structs.replace(each, blocks=kept, head=in_head))
        if tuple(left) != self._held:
            self._replace(left)

    def _replace(self, held: Sequence[Tombstone]) -> None:
        """Write the file anew, and then take over what it says."""
        compiled = {each: each.compiled() for each in held}
        beside = self._path.with_name(f"{self._path.name}{UNFINISHED}")
        beside.unlink(missing_ok=True)
        with create_file(beside) as file:
            file.write(msgspec.json.format(msgspec.json.encode(held)))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._path)
        sync_directory(self._path.parent)
        self._held, self._compiled = tuple(held), compiled

    def _take(self, held: Sequence[Tombstone]) -> None:
        self._compiled = {each: each.compiled() for each in held}
        self._held = tuple(held)


def _without(tombstone: Tombstone, ulids: Collection[str]) -> Tombstone:
    kept = tuple(ulid for ulid in tombstone.blocks if ulid not in ulids)
    return msgspec.structs.replace(tombstone, blocks=kept)


def cut(series: Iterable[Series], hidden: Sequence[Hidden]) -> list[Series]:
    """Return the series without what is hidden; those with nothing left are left out."""
    found = []
    for each in series:
        mine = [one for one in hidden if one.covers(each.labels)]
        kept = visible(each.times, mine)
        if kept is None:
            found.append(each)
        elif kept.any():
            found.append(Series(each.labels, each.times[kept], each.values[kept]))
    return found


def visible(times: Times, hidden: Sequence[Hidden]) -> Kept | None:
    """Return which times are not hidden, None when all are visible."""
    kept: Kept | None = None
    for each in hidden:
        first, last = np.searchsorted(times, [each.start_ms, each.end_ms + 1]).tolist()
        if first < last:
            kept = np.ones(len(times), np.bool_) if kept is None else kept
            kept[first:last] = False
    return kept


def _read(path: Path) -> list[Tombstone]:
    """Return the tombstones in a file. Raises StoreUnusable."""
    try:
        held = msgspec.json.decode(path.read_bytes(), type=list[Tombstone])
        for each in held:
            each.compiled()
    except (msgspec.MsgspecError, InvalidInput, ValueError) as error:
        raise StoreUnusable(
            f"{path} is damaged ({error}): samples that were deleted would be seen again. "
            "Restore the file from a backup, or remove it to accept that"
        ) from error
    return held
