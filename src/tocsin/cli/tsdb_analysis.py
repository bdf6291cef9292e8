"""What `tocsin tsdb analyze` says: one block in numbers, the log made into one where asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import click

from tocsin.timeseries.block import Block, IndexCache, open_block
from tocsin.timeseries.block_format import About, new_ulid
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.capture import Capture, Partly
from tocsin.timeseries.cardinality import cardinality
from tocsin.timeseries.retention import Window
from tocsin.timeseries.sealing import Order, Seal
from tocsin.timeseries.still import StillStore

_LOG = "log"
_HEADINGS = {
    "metric_series": "Metrics with most series",
    "metric_bytes": "Metrics with most bytes",
    "name_values": "Labels with most values",
    "value_bytes": "Labels with most bytes of values",
    "pair_series": "Label pairs with most series",
    "pair_churn": "Label pairs with most series that began or ended",
    "name_churn": "Labels with most series that began or ended",
}
_FIGURES = {
    "series": "Series",
    "samples": "Samples",
    "label_pairs": "Distinct label pairs",
    "entries": "Label pairs of all series",
}


def analysed(store: StillStore, name: str, *, limit: int) -> tuple[str, dict[str, object]]:
    """Return the id of the block meant and its numbers; "" means the newest, or the log.

    Raises ClickException, StoreUnusable, OSError.
    """
    blocks = {block.name.ulid: block for block in store.blocks}
    name = name or max(blocks, key=lambda ulid: blocks[ulid].name.maxt, default=_LOG)
    if name == _LOG:
        return name, _of_log(store, limit)
    if name not in blocks:
        known = ", ".join(blocks) or "none"
        raise click.ClickException(f'no block "{name}" (there are: {known})')
    return name, _numbers(blocks[name], limit)


def sections(name: str, found: Mapping[str, object]) -> Iterator[str]:
    """Yield the numbers for people."""
    yield f"Block {name}"
    for key, heading in _FIGURES.items():
        yield f"{heading}: {found[key]}"
    for key, heading in _HEADINGS.items():
        ranking = found[key]
        if isinstance(ranking, tuple | list) and ranking:
            yield ""
            yield f"{heading}:"
            yield from (f"{count:>12} {what}" for what, count in ranking)


def _of_log(store: StillStore, limit: int) -> dict[str, object]:
    oldest_ms, newest_ms = store.head.oldest_ms(), store.head.newest_ms
    nothing: dict[str, object] = {**dict.fromkeys(_FIGURES, 0), **dict.fromkeys(_HEADINGS, ())}
    if oldest_ms is None or newest_ms is None:
        return nothing
    capture = Capture(newest_ms + 1)
    for work in capture.take(store.head, Partly()):
        work.run()
    with tempfile.TemporaryDirectory(prefix="tocsin-tsdb-") as folder:
        about = About(written_ms=0)
        order = Order(Path(folder), store.tenant, new_ulid(0), about, lambda: None)
        seal = Seal(order, capture, Window(oldest_ms, newest_ms + 1), ())
        seal.run()
        if seal.path is None:
            return nothing
        block = open_block(seal.path, store.tenant, IndexCache(0), store.blocks.note)
        return _numbers(block, limit)


def _numbers(block: Block, limit: int) -> dict[str, object]:
    with BlockReader(block) as reader:
        return asdict(cardinality(reader, limit=limit))
