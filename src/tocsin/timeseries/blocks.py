"""The block files of one tenant: which there are, and what became of those that are damaged.

Opening the folder never fails for what a file holds: a block whose ends are damaged is renamed
to `….bad` and noted, and the others answer. Unfinished files are removed, and so are blocks
that another, whole one stands for (a crash came between writing it and removing them).

The list of blocks belongs to the store's thread; blocks themselves are immutable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tocsin.model.tenant import TenantId
from tocsin.timeseries import block_format as form
from tocsin.timeseries.block import Block, Fault, IndexCache, open_block
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_format import Covered
from tocsin.timeseries.segments import make_directory


class Blocks:
    """The blocks of one tenant, oldest first."""

    def __init__(
        self, tenant: TenantId, directory: Path, cache: IndexCache, *, tidy: bool = True
    ) -> None:
        """Open every block in `directory`, which need not exist.

        Without `tidy` nothing on disk is changed. Raises OSError.
        """
        self.tenant = tenant
        self.directory = directory
        self.cache = cache
        self.faults: dict[Fault, None] = {}  # in the order they were found, each once
        self.expected: set[str] = set()  # ids of blocks that are being written
        self._unusable: set[str] = set()
        self._held: tuple[Block, ...] = ()
        if tidy:
            _remove_unfinished(directory)
        found = [block for path in _files(directory) if (block := self._open(path, tidy=tidy))]
        replaced = {ulid for block in found for ulid in block.about.sources}
        self._held = tuple(b for b in found if b.name.ulid not in replaced)
        if tidy:
            _unlink(b for b in found if b.name.ulid in replaced)

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks, oldest first."""
        return iter(self._held)

    def __len__(self) -> int:
        """Return how many blocks there are."""
        return len(self._held)

    @property
    def size(self) -> int:
        """Return the bytes of all blocks."""
        return sum(block.size for block in self._held)

    @property
    def newest_ms(self) -> int | None:
        """Return the time of the newest sample in a block, None without blocks."""
        return max((block.name.maxt for block in self._held), default=None)

    def between(self, start_ms: int, end_ms: int) -> list[Block]:
        """Return the blocks that may have samples with start <= t <= end."""
        return [
            block
            for block in self._held
            if block.overlaps(start_ms, end_ms) and block.name.ulid not in self._unusable
        ]

    def covered(self) -> list[Covered]:
        """Return what of the log is in blocks."""
        return [part for block in self._held for part in block.about.covered]

    def prepare(self) -> None:
        """Make the folder, to write a block into it. Raises OSError."""
        make_directory(self.directory)

    def replace(self, sources: Sequence[Block], path: Path | None) -> Callable[[], None]:
        """Take in a block that was written, and let go of those it stands for.

        Return what removes their files, in any thread; a file in which something was damaged
        is kept aside, for what could not be read of it is not in the new one. Raises OSError.
        """
        gone = {block.name.ulid for block in sources}
        new = [] if path is None else [self._read(path)]
        kept = [block for block in self._held if block.name.ulid not in gone]
        self._held = tuple(sorted([*kept, *new], key=lambda block: block.name))
        for ulid in gone:
            self.cache.drop(ulid)
        damaged = {fault.path for fault in self.faults}
        return partial(_dispose, sources, damaged)

    def remove(self, blocks: Sequence[Block]) -> Callable[[], None]:
        """Let go of blocks; return what removes their files, in any thread."""
        self.replace(blocks, None)
        return partial(_dispose, blocks, frozenset())

    def give_up(self, block: Block, what: str) -> None:
        """Read a block no more, because its index is damaged; any thread may call this."""
        self._unusable.add(block.name.ulid)
        self.note(Fault(block.path, what))

    def note(self, fault: Fault) -> None:
        """Remember that something is wrong with a file; any thread may call this."""
        self.faults[fault] = None

    def _open(self, path: Path, *, tidy: bool) -> Block | None:
        try:
            return self._read(path)
        except (BadBlock, msgspec.MsgspecError) as error:
            self.note(Fault(path, str(error)))
        except FileNotFoundError:
            return None  # beside a running server: merged meanwhile
        if tidy:
            path.rename(f"{path}{form.SET_ASIDE}")
        return None

    def _read(self, path: Path) -> Block:
        return open_block(path, self.tenant, self.cache, self.note)


def _files(directory: Path) -> list[Path]:
    found = ((form.BlockName.of(path), path) for path in directory.glob(f"*{form.SUFFIX}"))
    return [path for name, path in sorted((n, p) for n, p in found if n is not None)]


def _remove_unfinished(directory: Path) -> None:
    for path in directory.glob(f"*{form.UNFINISHED}"):
        path.unlink()


def _dispose(blocks: Sequence[Block], damaged: Collection[Path]) -> None:
    for block in blocks:
        if block.path in damaged:
            block.path.rename(f"{block.path}{form.SET_ASIDE}")
    _unlink(block for block in blocks if block.path not in damaged)


def _unlink(blocks: Iterable[Block]) -> None:
    for block in blocks:
        block.path.unlink(missing_ok=True)
