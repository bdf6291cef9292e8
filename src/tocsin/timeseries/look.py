"""A look at the blocks of one tenant: opened on the store's thread, read in any one.

Opening takes hold of the files, so that nothing that happens to the list of blocks afterwards
matters. What the head holds of the same series is given by the caller, as values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tocsin.model.errors import StoreUnusable
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.series import Series
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.block_view import BlockView
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.gathered import Gathered
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.tombstones import Hidden, Tombstones


class Look:
    """The samples of blocks with start <= t <= end. To be asked once."""

    def __init__(
        self, blocks: Blocks, tombstones: Tombstones, *, start_ms: int, end_ms: int
    ) -> None:
        """Take hold of the blocks that may have such samples. Raises StoreUnusable."""
        self._blocks = blocks
        self._range = (start_ms, end_ms)
        self._opened: list[tuple[BlockReader, Sequence[Hidden]]] = []
        for block in blocks.between(start_ms, end_ms):
            try:
                hidden = tombstones.of_block(block.name.ulid)
                self._opened.append((BlockReader(block), hidden))
            except FileNotFoundError:
                blocks.give_up(block, "the file is missing")
            except OSError as error:
                raise StoreUnusable(f"{block.path} cannot be opened: {error.strerror}") from error

    def __bool__(self) -> bool:
        """Tell whether there is any such block."""
        return bool(self._opened)

    def select(self, matchers: Sequence[Matcher], head: Iterable[Series]) -> list[Series]:
        """Return the series that satisfy every matcher, with those of the head, in label order."""
        gathered = Gathered()
        for view, wanted in self._selected(matchers):
            self._gather(view, wanted, gathered)
        return _with_head(gathered, head)

    def of(self, series: Sequence[Labels], head: Iterable[Series]) -> list[Series]:
        """Return the samples of some series, with those of the head, in label order."""
        gathered = Gathered()
        for view, _ in self._selected([]):
            places = (view.index.find(labels) for labels in series)
            wanted = np.asarray(sorted(at for at in places if at is not None), np.int32)
            self._gather(view, wanted, gathered)
        return _with_head(gathered, head)

    def series(self, matchers: Sequence[Matcher], head: Iterable[Labels]) -> list[Labels]:
        """Return the label sets of the series `select` would return."""
        found = set(head)
        for view, wanted in self._selected(matchers):
            present = view.present(wanted, *self._range)
            found.update(map(view.index.labels, present.tolist()))
        return sorted(found)

    def label_names(self, matchers: Sequence[Matcher], head: Iterable[str]) -> list[str]:
        """Return the label names of the series `select` would return, sorted."""
        found = set(head)
        for view, wanted in self._selected(matchers):
            present = view.present(wanted, *self._range)
            marks = view.index.marks(present)
            found.update(name for name, ids in view.index.names() if marks[ids].any())
        return sorted(found)

    def label_values(
        self, name: str, matchers: Sequence[Matcher], head: Iterable[str]
    ) -> list[str]:
        """Return the values of a label on the series `select` would return, sorted."""
        found = set(head)
        for view, wanted in self._selected(matchers):
            present = view.present(wanted, *self._range)
            marks = view.index.marks(present)
            found.update(value for value, ids in view.index.values(name) if marks[ids].any())
        return sorted(found)

    def _gather(self, view: BlockView, wanted: SeriesIds, gathered: Gathered) -> None:
        labels = view.index.labels
        for series, times, values in view.columns(wanted, *self._range):
            gathered.add(labels(series), times, values)

    def _selected(self, matchers: Sequence[Matcher]) -> Iterator[tuple[BlockView, SeriesIds]]:
        """Yield each block with the series that satisfy every matcher, and close it afterwards.

        A block whose index is damaged is given up. Raises StoreUnusable.
        """
        for reader, hidden in self._opened:
            with reader:
                try:
                    view = BlockView(reader, hidden)
                    yield view, view.index.select(matchers)
                except BadBlock as fault:
                    self._blocks.give_up(reader.block, str(fault))
                except OSError as error:
                    raise StoreUnusable(f"{reader.block.path} cannot be read: {error}") from error


def _with_head(gathered: Gathered, head: Iterable[Series]) -> list[Series]:
    for each in head:
        gathered.add(each.labels, each.times, each.values)
    return gathered.series()
