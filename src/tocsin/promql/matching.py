"""Which elements of two vectors meet: signatures, cardinalities, and the labels of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.promql.ast import Binary, Cardinality, Matching
from tocsin.promql.errors import ExecutionError
from tocsin.promql.grid import Bools, Floats, Grid, Ints, numbered, stacked

_MANY_TO_ONE = (
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
)
_NOT_UNIQUE = "multiple matches for labels: grouping labels must ensure unique matches"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Elements that met: the operands, and a grid with the labels and mask of the result."""

    left: Floats
    right: Floats
    grid: Grid


@dataclass(frozen=True, slots=True)
class Signatures:
    """The numbers of the rows of both sides, equal where the rows match; and how many there are."""

    left: Ints
    right: Ints
    count: int


@dataclass(frozen=True, slots=True)
class Matches:
    """Which rows of two vectors meet, whether they are present or not.

    Pair i is row `many_rows[i]` with row `one_rows[i]`, and results in `labels[i]`. `many` and
    `one` are the signature numbers of all rows. `one_repeats` tells that rows of the one side
    share a signature, `clash` (pairs,) numbers pairs of which one may be present at a step, None
    when no two can clash.
    """

    many: Ints
    one: Ints
    count: int
    many_rows: Ints
    one_rows: Ints
    labels: tuple[Labels, ...]
    one_repeats: bool
    clash: Ints | None


class Matcher(Protocol):
    """Finds out who meets: see `shaping.Shaping`."""

    def trim(self, grid: Grid) -> Grid:
        """Leave out the rows that are nowhere present, where that makes later work less."""
        ...

    def matches(self, node: Binary, many: Grid, one: Grid) -> Matches:
        """Return which rows of two vectors meet."""
        ...


def signatures(matching: Matching, left: Sequence[Labels], right: Sequence[Labels]) -> Signatures:
    """Return the signature numbers of the rows of both sides."""
    ids, count = numbered(map(signature(matching), (*left, *right)))
    return Signatures(ids[: len(left)], ids[len(left) :], count)


def signature(matching: Matching) -> Callable[[Labels], object]:
    """Return what two rows must have in common to meet."""
    if matching.on:
        names = matching.labels
        return lambda labels: tuple([labels.value(name) for name in names])
    gone = frozenset((*matching.labels, METRIC_NAME))
    return lambda labels: tuple([pair for pair in labels.pairs if pair[0] not in gone])


def either(grid: Grid, ids: Ints, count: int) -> Bools:
    """Return per signature and step whether any row with it is present."""
    found = np.zeros((count, grid.present.shape[1]), dtype=np.bool_)
    np.logical_or.at(found, ids, grid.present)
    return found


def matches(node: Binary, many: Sequence[Labels], one: Sequence[Labels]) -> Matches:
    """Return which rows of the many and the one side meet, by their labels alone."""
    ids = signatures(node.matching, many, one)
    m, o = _matched(ids.left, ids.right, ids.count)
    labels = _result_labels(node, many, one, (m, o))
    clash = ids.left[m]
    if node.matching.cardinality is not Cardinality.ONE_TO_ONE:
        clash, _ = numbered(zip(clash.tolist(), labels, strict=True))
    return Matches(
        many=ids.left,
        one=ids.right,
        count=ids.count,
        many_rows=m,
        one_rows=o,
        labels=labels,
        one_repeats=_repeats(ids.right),
        clash=clash if _repeats(clash) else None,
    )


def joined(matcher: Matcher, node: Binary, left: Grid, right: Grid) -> Pairs:
    """Return the pairs of an arithmetic or comparison operator. Raises ExecutionError.

    At a step where one side has no element at all, nothing is checked and nothing results.
    """
    left, right = _filled(node.matching, left, right)
    both: Bools = np.any(left.present, axis=0) & np.any(right.present, axis=0)
    if not both.all():
        left, right = left.where(both[None, :]), right.where(both[None, :])
    left, right = matcher.trim(left), matcher.trim(right)
    swapped = node.matching.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    found = matcher.matches(node, many, one)
    if found.one_repeats:
        _check_one_side(node.matching, one, found, side="left" if swapped else "right")
    m, o = found.many_rows, found.one_rows
    present = many.present[m] & one.present[o]
    grid = Grid(found.labels, many.values[m], present, many.drop_name[m])
    if found.clash is not None:
        _check_many_side(node.matching, grid, found.clash)
    if swapped:
        return Pairs(one.values[o], many.values[m], grid)
    return Pairs(many.values[m], one.values[o], grid)


def _repeats(ids: Ints) -> bool:
    return len(np.unique(ids)) < len(ids)


def _filled(matching: Matching, left: Grid, right: Grid) -> tuple[Grid, Grid]:
    """Give each side an element of the fill value where only the other side has a signature."""
    if matching.fill_left is None and matching.fill_right is None:
        return left, right
    ids = signatures(matching, left.labels, right.labels)
    on_left, on_right = either(left, ids.left, ids.count), either(right, ids.right, ids.count)
    sides = [left, right]
    if matching.fill_right is not None:
        extra = _fill(
            matching, left, ids.left, value=matching.fill_right, missing=on_left & ~on_right
        )
        sides[1] = stacked([right, extra])
    if matching.fill_left is not None:
        extra = _fill(
            matching, right, ids.right, value=matching.fill_left, missing=on_right & ~on_left
        )
        sides[0] = stacked([left, extra])
    return sides[0], sides[1]


def _fill(matching: Matching, other: Grid, ids: Ints, *, value: float, missing: Bools) -> Grid:
    """Return one element per signature of `other`, present where `missing` (signatures, steps)."""
    kinds, first = np.unique(ids, return_index=True)
    labels = [_match_labels(matching, other.labels[i]) for i in first.tolist()]
    return Grid.of(labels, np.full((kinds.size, missing.shape[1]), value), missing[kinds])


def _matched(many_ids: Ints, one_ids: Ints, count: int) -> tuple[Ints, Ints]:
    """Return row numbers of every pair with equal signature, ordered by the many side."""
    order = np.argsort(one_ids, kind="stable")
    sizes = np.bincount(one_ids, minlength=count)
    starts = np.cumsum(sizes) - sizes
    times = sizes[many_ids]
    m = np.repeat(np.arange(many_ids.size), times)
    within = np.arange(m.size) - np.repeat(np.cumsum(times) - times, times)
    return m, order[np.repeat(starts[many_ids], times) + within]


def _check_one_side(matching: Matching, one: Grid, found: Matches, *, side: str) -> None:
    ids = found.one
    crowd = _crowd(one, ids, found.count)
    if not (crowd > 1).any():
        return
    step = int(np.flatnonzero((crowd > 1).any(axis=0))[0])
    number = int(np.flatnonzero(crowd[:, step] > 1)[0])
    twice = sorted(
        one.labels[i] for i in np.flatnonzero((ids == number) & one.present[:, step]).tolist()
    )
    group = _match_labels(matching, twice[0])
    raise ExecutionError(
        f"found duplicate series for the match group {group} on the {side} hand-side of the "
        f"operation: [{twice[0]}, {twice[1]}];many-to-many matching not allowed: matching labels "
        "must be unique on one side"
    )


def _crowd(grid: Grid, ids: Ints, count: int) -> Ints:
    """Return how many rows of each number are present at each step."""
    crowd = np.zeros((count, grid.present.shape[1]), dtype=np.int64)
    np.add.at(crowd, ids, grid.present)
    return crowd


def _match_labels(matching: Matching, labels: Labels) -> Labels:
    if matching.on:
        return labels.keep(matching.labels)
    return labels.drop((*matching.labels, METRIC_NAME))


def _check_many_side(matching: Matching, grid: Grid, clash: Ints) -> None:
    if (_crowd(grid, clash, int(clash.max()) + 1) > 1).any():
        one_to_one = matching.cardinality is Cardinality.ONE_TO_ONE
        raise ExecutionError(_MANY_TO_ONE if one_to_one else _NOT_UNIQUE)


def _result_labels(
    node: Binary, many: Sequence[Labels], one: Sequence[Labels], pairs: tuple[Ints, Ints]
) -> tuple[Labels, ...]:
    m, o = pairs
    matching = node.matching
    gone = () if node.op.is_comparison else (METRIC_NAME,)
    if matching.cardinality is not Cardinality.ONE_TO_ONE:
        include = matching.include
        rows = (many[i].drop(gone) if gone else many[i] for i in m.tolist())
        if not include:
            return tuple(rows)
        others = (one[i] for i in o.tolist())
        return tuple(
            labels.merged({name: other.value(name) for name in include})
            for labels, other in zip(rows, others, strict=True)
        )
    if matching.on:
        kept = frozenset(matching.labels) - frozenset(gone)
        return tuple(many[i].keep(kept) for i in m.tolist())
    drop = (*matching.labels, *gone)
    return tuple(many[i].drop(drop) if drop else many[i] for i in m.tolist())
