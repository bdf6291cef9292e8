"""Block files for tests: written from plain values, read back as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.tenant import TenantId
from tocsin.timeseries.block_format import About, Covered, new_ulid
from tocsin.timeseries.block_index import index_of
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.block_view import BlockView
from tocsin.timeseries.block_writer import writing_block
from tocsin.timeseries.blocks import Blocks
from tocsin.timeseries.tombstones import Hidden

Content = Mapping[Labels, Mapping[int, float]]

EVER = (-(2**62), 2**62)
TENANT = TenantId("a")


def write(
    directory: Path,
    content: Content,
    *,
    sources: Sequence[str] = (),
    covered: Sequence[Covered] = (),
    windows_ms: int = 10**9,
) -> Path:
    """Write a block of samples by time, window by window."""
    directory.mkdir(parents=True, exist_ok=True)
    series = sorted(content)
    starts = sorted({ts // windows_ms for samples in content.values() for ts in samples})
    with writing_block(directory, TENANT, new_ulid(0)) as writer:
        for start in starts:
            for number, labels in enumerate(series):
                found = {t: v for t, v in content[labels].items() if t // windows_ms == start}
                times = np.array(sorted(found), np.int64)
                if found:
                    writer.add(number, times, np.array([found[t] for t in sorted(found)]))
            writer.end_window()
        about = About(written_ms=0, sources=tuple(sources), covered=tuple(covered))
        return writer.finish(index_of(series), about).path


def read(
    blocks: Blocks,
    matchers: Sequence[Matcher] = (),
    *,
    span: tuple[int, int] = EVER,
    hidden: Sequence[Hidden] = (),
) -> dict[Labels, dict[int, float]]:
    """Return the samples of all blocks; a sample that stands in two must be the same."""
    found: dict[Labels, dict[int, float]] = {}
    for block in blocks:
        with BlockReader(block) as reader:
            view = BlockView(reader, hidden)
            for series, times, values in view.columns(view.index.select(matchers), *span):
                samples = found.setdefault(view.index.labels(series), {})
                samples.update(zip(times.tolist(), values.tolist(), strict=True))
    return found
