"""How one tenant's samples age: from the head to blocks, to larger blocks, and away.

The order of a seal is: end the open log segment, capture, write and publish a block, let the
head forget, delete the segments. A crash between any two steps loses nothing, because the log
goes last, and brings nothing back twice, because a block says which part of the log it covers.
Blocks are replaced by writing the new one first; it names those it stands for, and the next
start removes them if the crash came before we did.

Everything here is a generator of work (see `work`); one runs at a time.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tocsin.model.errors import InvalidInput, LimitExceeded
from tocsin.model.tenant import TenantId
from tocsin.timeseries import retention
from tocsin.timeseries.admission import FURTHEST_MS
from tocsin.timeseries.block import Block
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_format import About, Covered, new_ulid
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.block_view import BlockView
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.capture import Capture, Partly
from tocsin.timeseries.head import Head
from tocsin.timeseries.merging import Merge
from tocsin.timeseries.options import Options, milliseconds
from tocsin.timeseries.sealing import Order, Seal
from tocsin.timeseries.segments import make_directory
from tocsin.timeseries.tombstones import NAME, Hidden, Tombstones
from tocsin.timeseries.wal import Wal
from tocsin.timeseries.work import REST, Kind, Work, Workshop

_SERIES_STEP = 500  # series taken out of the head between two rests: some milliseconds
CLEAN_AFTER = timedelta(hours=12)  # tombstones lead to a rewrite within a day (contract 2.6)


@dataclass(slots=True, eq=False)
class Upkeep:
    """The upkeep of one tenant's store. Belongs to the store's thread."""

    tenant: TenantId
    options: Options
    head: Head
    wal: Wal
    blocks: Blocks
    tombstones: Tombstones
    workshop: Workshop
    _partly: Partly = field(default_factory=Partly)
    _sealed_ms: int | None = None
    _busy: bool = False

    def run(self, now_ms: int) -> Generator[Work]:
        """Seal, merge and delete what is due. Does nothing while other upkeep is under way."""
        if not self._busy:
            with self._alone():
                horizon_ms = now_ms - milliseconds(self.options.retention)
                yield from self._expire(horizon_ms)
                yield from self._seal(now_ms, horizon_ms)
                yield from self._merge(now_ms, retention.spans(self.options))
                yield from self._clean(now_ms, before_ms=now_ms - milliseconds(CLEAN_AFTER))
                yield from self.shrink(self.options.retention_size)
                self._prune()
                self.head.rings.age()

    def compact(self, now_ms: int) -> Generator[Work]:
        """Seal what is due, merge up to a day, and keep everything. Raises LimitExceeded."""
        with self._alone():
            yield from self._seal(now_ms, -FURTHEST_MS)
            yield from self._merge(now_ms, (retention.DAY_MS,))
            yield from self._clean(now_ms, before_ms=now_ms)
            self._prune()

    def clean(self, now_ms: int) -> Generator[Work]:
        """Write every block anew from which something was deleted. Raises LimitExceeded."""
        with self._alone():
            yield from self._clean(now_ms, before_ms=now_ms + 1)
            self._prune()

    def snapshot(self, target: Path, now_ms: int) -> Generator[Work]:
        """Copy everything to `target`, which must not exist: blocks as links, the head as blocks.

        Raises InvalidInput, LimitExceeded, OSError.
        """
        if target.exists():
            raise InvalidInput(f"{target} exists already")
        with self._alone():
            yield from self._snapshot(target, now_ms)

    def shrink(self, room: int | None) -> Generator[Work]:
        """Delete the oldest blocks until log and blocks take at most `room` bytes."""
        if room is None:
            return
        yield from self.drop(retention.too_many(list(self.blocks), room - self.wal.size))

    def drop(self, blocks: Sequence[Block]) -> Generator[Work]:
        """Delete blocks."""
        if blocks:
            yield self.workshop.item(Kind.DELETE, self.blocks.remove(blocks))

    def _expire(self, horizon_ms: int) -> Generator[Work]:
        self.wal.forget(self.head.expire(horizon_ms))
        self.wal.expire(horizon_ms)
        yield from self.drop(retention.expired(list(self.blocks), horizon_ms))

    def _seal(self, now_ms: int, horizon_ms: int) -> Generator[Work]:
        """Move what is due into blocks; what is before `horizon_ms` may be left behind."""
        end_ms = retention.sealed_before(now_ms, self.options)
        if self._sealed_ms is not None and end_ms <= self._sealed_ms:
            return
        oldest_ms = self.head.oldest_ms()
        if oldest_ms is not None and oldest_ms < end_ms:
            yield from self._seal_before(end_ms, now_ms=now_ms, horizon_ms=horizon_ms)
        self._sealed_ms = end_ms

    def _seal_before(self, end_ms: int, *, now_ms: int, horizon_ms: int) -> Generator[Work]:
        mark = self.wal.mark()
        capture = Capture(end_ms)
        yield from capture.take(self.head, self._partly)
        self.blocks.prepare()
        for window in (yield from self._windows(capture)):
            if window.end_ms <= horizon_ms:
                continue  # too old to be kept, but in a chunk with samples that are not
            covered = Covered(mark, window.start_ms, min(window.end_ms, end_ms))
            with self._ordered(About(written_ms=now_ms, covered=(covered,))) as order:
                seal = Seal(order, capture, window, self.tombstones.of_head())
                yield self.workshop.item(Kind.SEAL, seal.run)
                self.blocks.replace((), seal.path)
        yield from capture.release(self.head, self._partly)
        while gone := self.head.remove_empty(at_most=_SERIES_STEP):
            self.wal.forget(gone)
            yield REST
        self.wal.expire(end_ms, before=mark)
        self.wal.repeat_metadata()

    def _merge(self, now_ms: int, spans_ms: Sequence[int]) -> Generator[Work]:
        sealed_ms = retention.sealed_before(now_ms, self.options)
        for group in retention.merges(list(self.blocks), sealed_ms, spans_ms):
            yield from self._rewrite(group, now_ms)

    def _clean(self, now_ms: int, *, before_ms: int) -> Generator[Work]:
        due = self.tombstones.blocks_before(before_ms)
        if not due:
            return
        held, untouched = self.tombstones.held, set[str]()
        blocks = [block for block in self.blocks if block.name.ulid in due]
        for block in blocks:
            look = _Look(block, self.tombstones.of_block(block.name.ulid), untouched)
            yield self.workshop.item(Kind.READ, look.run)
        self.tombstones.dismiss(untouched, of=held)
        for block in blocks:
            if block.name.ulid not in untouched:
                yield from self._rewrite([block], now_ms)

    def _rewrite(self, blocks: Sequence[Block], now_ms: int) -> Generator[Work]:
        oldest = self.wal.oldest()
        covered = [part for block in blocks for part in block.about.covered]
        about = About(
            written_ms=now_ms,
            covered=tuple(c for c in covered if oldest is not None and c.segment > oldest),
            sources=tuple(block.name.ulid for block in blocks),
        )
        with self._ordered(about) as order:
            sources = [(block, self.tombstones.of_block(block.name.ulid)) for block in blocks]
            merge = Merge(order, sources)
            yield self.workshop.item(Kind.MERGE, merge.run)
            remove = self.blocks.replace(blocks, merge.path)
        yield self.workshop.item(Kind.DELETE, remove)

    def _snapshot(self, target: Path, now_ms: int) -> Generator[Work]:
        make_directory(target / "blocks")
        for block in self.blocks:
            yield self.workshop.item(Kind.SNAPSHOT, _Link(block.path, target / "blocks").run)
        if len(self.tombstones):
            shutil.copy(self.blocks.directory.parent / NAME, target / NAME)
        newest_ms = self.head.newest_ms
        if newest_ms is not None:
            capture = Capture(newest_ms + 1)
            yield from capture.take(self.head, self._partly)
            for window in (yield from self._windows(capture)):
                order = self._order(About(written_ms=now_ms), target / "blocks")
                seal = Seal(order, capture, window, self.tombstones.of_head())
                yield self.workshop.item(Kind.SNAPSHOT, seal.run)
        self.wal.copy_metadata(target / "wal")

    def _windows(self, capture: Capture) -> Generator[Work, None, list[retention.Window]]:
        """Find out, in another thread, which windows of time were captured."""
        found: list[retention.Window] = []
        span_ms = milliseconds(self.options.block_span)
        yield self.workshop.item(Kind.READ, lambda: found.extend(capture.windows(span_ms)))
        return found

    def _prune(self) -> None:
        if len(self.tombstones):
            self.tombstones.prune(
                blocks={block.name.ulid for block in self.blocks},
                oldest_segment=self.wal.oldest(),
                oldest_ms=self.head.oldest_ms(),
            )

    def _order(self, about: About, directory: Path) -> Order:
        return Order(directory, self.tenant, new_ulid(about.written_ms), about, self.workshop.check)

    @contextmanager
    def _ordered(self, about: About) -> Iterator[Order]:
        """Expect a block: what is deleted while it is being written is deleted from it too."""
        order = self._order(about, self.blocks.directory)
        self.blocks.expected.add(order.ulid)
        try:
            yield order
        finally:
            self.blocks.expected.discard(order.ulid)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._busy:
            raise LimitExceeded(
                f"the metric store of tenant {self.tenant} is being tidied: try again later",
                retry_after_s=10,
            )
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


@dataclass(slots=True, eq=False)
class _Look:
    """Finds out whether anything in a block is hidden; if not, its id is added to `untouched`."""

    block: Block
    hidden: Sequence[Hidden]
    untouched: set[str]

    def run(self) -> None:
        try:
            with BlockReader(self.block) as reader:
                if not BlockView(reader, self.hidden).touched().any():
                    self.untouched.add(self.block.name.ulid)
        except BadBlock:
            return  # to be rewritten, and thereby set aside


@dataclass(slots=True, eq=False)
class _Link:
    """Gives a file a second name in another folder; copies it where that cannot be."""

    path: Path
    folder: Path

    def run(self) -> None:
        try:
            (self.folder / self.path.name).hardlink_to(self.path)
        except OSError:
            shutil.copy(self.path, self.folder)
