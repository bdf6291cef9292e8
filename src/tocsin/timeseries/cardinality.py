"""What makes a block large: metrics, labels and label pairs with most series, values and bytes.

Answers the questions of `promtool tsdb analyze`. Churn of a label pair is how many of its series
began or ended within the block: such series cost an index entry for few samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import METRIC_NAME
from tocsin.model.series import Values
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.postings import Mask, SeriesIds

_EDGE = 20  # a series that lacks less than one part in so many at either end counts as whole

Ranking = tuple[tuple[str, int], ...]
Carriers = dict[tuple[str, str], SeriesIds]


@dataclass(frozen=True, slots=True)
class Cardinality:
    """One block in numbers; rankings come largest first.

    `metric_bytes` shares the bytes of each chunk out by samples. `value_bytes` adds up the
    lengths of the distinct values of a label.
    """

    series: int
    samples: int
    label_pairs: int
    entries: int
    metric_series: Ranking
    metric_bytes: Ranking
    name_values: Ranking
    value_bytes: Ranking
    pair_series: Ranking
    pair_churn: Ranking
    name_churn: Ranking


def cardinality(reader: BlockReader, *, limit: int) -> Cardinality:
    """Return the numbers of a block, each ranking cut to `limit`. Raises BadBlock, OSError."""
    index = reader.contents().index
    sizes, partial = _weighed(reader)
    pairs = {(n, v): ids for n, _ in index.names() for v, ids in index.values(n)}
    metrics = {value: ids for (name, value), ids in pairs.items() if name == METRIC_NAME}
    values = _values(pairs)
    rankings = {
        "metric_series": ((name, len(ids)) for name, ids in metrics.items()),
        "metric_bytes": ((name, round(sizes[ids].sum())) for name, ids in metrics.items()),
        "name_values": ((name, len(texts)) for name, texts in values.items()),
        "value_bytes": ((name, sum(map(len, texts))) for name, texts in values.items()),
        "pair_series": ((f"{n}={v}", len(ids)) for (n, v), ids in pairs.items()),
        "pair_churn": ((f"{n}={v}", int(partial[ids].sum())) for (n, v), ids in pairs.items()),
        "name_churn": ((name, int(partial[ids].sum())) for name, ids in index.names()),
    }
    return Cardinality(
        series=len(index),
        samples=reader.block.about.samples,
        label_pairs=len(pairs),
        entries=int(index.counts.sum()),
        **{name: _ranked(found, limit) for name, found in rankings.items()},
    )


def _ranked(found: Iterable[tuple[str, int]], limit: int) -> Ranking:
    kept = (each for each in found if each[1] > 0)
    return tuple(sorted(kept, key=lambda each: (-each[1], each[0]))[:limit])


def _values(pairs: Carriers) -> dict[str, list[bytes]]:
    values: dict[str, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value.encode())
    return values


def _weighed(reader: BlockReader) -> tuple[Values, Mask]:
    """Return the bytes of each series, and which began or ended within the block."""
    contents, name = reader.contents(), reader.block.name
    sizes = np.zeros(len(contents.index))
    first = np.full(len(sizes), name.maxt)
    last = np.full(len(sizes), name.mint)
    for row in range(len(contents.chunks)):
        heads = reader.heads(row)
        share = contents.chunks.size[row] / max(1, contents.chunks.samples[row])
        np.add.at(sizes, heads.series, heads.lengths * share)
        clocks = [reader.clock(clock) for clock in heads.clocks.tolist()]
        np.minimum.at(first, heads.series, [times[0] for times in clocks])
        np.maximum.at(last, heads.series, [times[-1] for times in clocks])
    edge = (name.maxt - name.mint) // _EDGE
    return sizes, (first > name.mint + edge) | (last < name.maxt - edge)
