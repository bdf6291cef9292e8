"""Writing what was captured of the head as a block: work for a thread beside the store's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.timeseries.block_format import About
from tocsin.timeseries.block_index import index_of
from tocsin.timeseries.block_writer import writing_block
from tocsin.timeseries.capture import Capture
from tocsin.timeseries.retention import Window
from tocsin.timeseries.tombstones import Hidden, cut


@dataclass(frozen=True, slots=True)
class Order:
    """A block to be written: where, whose, under which id, and what is to be said of it.

    `check` is called now and then and may raise to end the work.
    """

    directory: Path
    tenant: TenantId
    ulid: str
    about: About
    check: Callable[[], None]


@dataclass(slots=True, eq=False)
class Seal:
    """The making of a block of one window; `path` is where it is, None: there was nothing."""

    order: Order
    capture: Capture
    window: Window
    hidden: Sequence[Hidden]
    path: Path | None = None

    def run(self) -> None:
        """Write the block. Raises OSError."""
        order, labels = self.order, list[Labels]()
        with writing_block(order.directory, order.tenant, order.ulid) as writer:
            for series in self.capture.series(self.window):
                for left in cut([series], self.hidden) if self.hidden else (series,):
                    writer.add(len(labels), left.times, left.values)
                    labels.append(left.labels)
                order.check()
            if labels:
                self.path = writer.finish(index_of(labels), order.about).path
