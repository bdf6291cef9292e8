"""What an operator does with labels alone: which rows group, meet, or lose their names.

None of it looks at a sample. An ad-hoc query works it out on the way (`Shaping`); a rule that
comes again every few seconds keeps it while the same series take part (`plans.kept`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.labels import Labels
from tocsin.promql.ast import Binary, Matching
from tocsin.promql.bucket_layout import BucketLayout, bucket_layout
from tocsin.promql.grid import Grid
from tocsin.promql.grouping import Groups, group
from tocsin.promql.matching import Matches, Signatures, matches, signatures


class Shaping:
    """Works everything out each time. `delayed` keeps metric names to the end of the query."""

    def __init__(self, *, delayed: bool) -> None:
        self._delayed = delayed

    def trim(self, grid: Grid) -> Grid:
        """Leave out the rows that are nowhere present, where that makes later work less."""
        return grid.compact()

    def nameless(self, grid: Grid) -> Grid:
        """Drop the metric names. Raises ExecutionError when two rows become equal."""
        return grid.nameless(delayed=self._delayed)

    def merged(self, grid: Grid) -> Grid:
        """Join rows with equal labels. Raises ExecutionError when two are present at one step."""
        return grid.merged()

    def groups(self, grid: Grid, labels: Sequence[str], *, without: bool) -> Groups:
        """Partition the rows of a vector `by` or `without` some labels."""
        return group(grid, labels, without=without)

    def matches(self, node: Binary, many: Grid, one: Grid) -> Matches:
        """Return which rows of two vectors meet in an arithmetic or comparison operator."""
        return matches(node, many.labels, one.labels)

    def signatures(self, matching: Matching, left: Grid, right: Grid) -> Signatures:
        """Return the signature numbers of the rows of two vectors."""
        return signatures(matching, left.labels, right.labels)

    def stacked_labels(
        self, upper: tuple[Labels, ...], lower: tuple[Labels, ...]
    ) -> tuple[Labels, ...]:
        """Return the labels of two vectors under each other."""
        return upper + lower

    def buckets(self, grid: Grid) -> BucketLayout:
        """Return how the rows of a vector form classic histograms."""
        return bucket_layout(grid)
