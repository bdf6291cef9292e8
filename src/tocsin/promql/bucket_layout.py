"""How the rows of a vector form classic histograms: a matter of their labels alone.

Rows that differ in `le` only are the buckets of one histogram.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.promql.grid import Floats, Grid, Ints, first_rows, numbered
from tocsin.promql.grouping import Groups, group_but
from tocsin.promql.literals import number

LE = "le"


@dataclass(frozen=True, slots=True)
class BucketLayout:
    """The buckets of a vector, histogram by histogram, sorted by bound.

    `rows` are the rows of the vector with a good `le`, in that order; `ids` numbers the bucket
    each belongs to, as two rows may spell one bound differently. `labels`, `bounds` and
    `groups` are by bucket. `bad` are the rows without a bound, `names` the metric name of each
    histogram.
    """

    rows: Ints
    ids: Ints
    labels: tuple[Labels, ...]
    bounds: Floats
    groups: Groups
    names: tuple[str, ...]
    bad: Ints

    def collected(self, grid: Grid) -> Grid:
        """Return the counts of the buckets; equal bounds are joined by adding."""
        held = grid.present[self.rows]
        terms = np.where(held, grid.values[self.rows], 0.0)
        if len(self.ids) == len(self.labels):
            return Grid.of(self.labels, terms, held)
        values = np.zeros((len(self.labels), terms.shape[1]))
        present = np.zeros(values.shape, dtype=np.bool_)
        np.add.at(values, self.ids, terms)
        np.logical_or.at(present, self.ids, held)
        return Grid.of(self.labels, values, present)


def bucket_layout(grid: Grid) -> BucketLayout:
    """Sort the rows of a vector by bound, and group them by their other labels."""
    found = [_bound(labels.value(LE)) for labels in grid.labels]
    good = np.array([bound is not None for bound in found], dtype=np.bool_)
    bounds = np.array([bound for bound in found if bound is not None], dtype=np.float64)
    kept = np.flatnonzero(good)
    part = Grid(
        tuple(grid.labels[i] for i in kept.tolist()),
        grid.values[kept],
        grid.present[kept],
        grid.drop_name[kept],
    )
    by = group_but(part, LE)
    order = np.lexsort((bounds, by.ids)) if bounds.size else np.zeros(0, dtype=np.int64)
    ids, count = numbered(zip(by.ids[order].tolist(), bounds[order].tolist(), strict=True))
    first = order[first_rows(ids, count)]
    any_row = first_rows(by.ids, by.count)
    return BucketLayout(
        rows=kept[order],
        ids=ids,
        labels=tuple(part.labels[i] for i in first.tolist()),
        bounds=bounds[first],
        groups=Groups(by.ids[first], by.labels, by.drop_name),
        names=tuple(part.labels[i].value(METRIC_NAME) for i in any_row.tolist()),
        bad=np.flatnonzero(~good),
    )


def _bound(text: str) -> float | None:
    word = text.lower().lstrip("+-")
    try:
        sign = -1.0 if text.startswith("-") else 1.0
        return sign * (float(word) if word in ("inf", "infinity", "nan") else number(word))
    except ValueError:
        return None
