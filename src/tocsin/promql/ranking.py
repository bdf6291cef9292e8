"""topk, bottomk, limitk, limit_ratio: aggregations that choose elements and keep their labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xxhash

from tocsin.model.labels import Labels
from tocsin.promql.errors import ExecutionError
from tocsin.promql.grid import Bools, Floats, Grid, Ints
from tocsin.promql.grouping import Groups, blocks
from tocsin.promql.notes import Notes

_LARGEST = 2.0**63


def ranked(grid: Grid, groups: Groups, k: Floats, *, largest: bool) -> Grid:
    """Return the `k` (steps,) largest or smallest elements of each group; NaN loses always.

    For a single step the rows come best first, group by group.
    """
    _check_k(k)
    place = np.full(grid.values.shape, np.iinfo(np.int64).max)
    for _, rows, part, values, present in blocks(grid, groups):
        place[rows, part] = _places(-values if largest else values, present)
    chosen = replace(grid, present=grid.present & (place < np.floor(k)[None, :]))
    if grid.values.shape[1] != 1:
        return chosen
    order = np.lexsort((place[:, 0], groups.ids))
    kept = order[chosen.present[order, 0]]
    return replace(chosen.rows(kept), ordered=True)


def _places(key: Floats, present: Bools) -> Ints:
    """Return each element's place along axis 1: numbers ascending, NaN, then the absent ones."""
    order = np.argsort(np.where(present, key, np.nan), axis=1, kind="stable")
    rank = np.where(present, np.isnan(key), 2)
    again = np.argsort(np.take_along_axis(rank, order, axis=1), axis=1, kind="stable")
    order = np.take_along_axis(order, again, axis=1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(order.shape[1])[None, :, None], axis=1)
    return places


def limited(grid: Grid, groups: Groups, k: Floats) -> Grid:
    """Return the first `k` (steps,) elements of each group."""
    _check_k(k)
    chosen = np.zeros(grid.present.shape, dtype=np.bool_)
    for _, rows, part, _, present in blocks(grid, groups):
        before: Ints = np.cumsum(present, axis=1) - present
        chosen[rows, part] = before < np.floor(k)[None, None, part]
    return grid.where(chosen)


def _check_k(k: Floats) -> None:
    if np.isnan(k).any():
        raise ExecutionError("Parameter value is NaN")
    if (np.abs(k) >= _LARGEST).any():
        worst = k[np.abs(k) >= _LARGEST][0]
        direction = "overflows" if worst > 0 else "underflows"
        raise ExecutionError(f"Scalar value {worst} {direction} int64")


def limited_ratio(grid: Grid, ratio: Floats, *, notes: Notes, place: str) -> Grid:
    """Return about `ratio` (steps,) of the elements, chosen by a hash of their labels.

    A negative ratio chooses those that 1 + ratio would not.
    """
    if np.isnan(ratio).any():
        raise ExecutionError("Ratio value is NaN")
    for value in np.unique(ratio[np.abs(ratio) > 1]).tolist():
        bound = 1 if value > 0 else -1
        text = f"ratio value should be between -1 and 1, got {value:g}, capping to {bound}"
        notes.warn(text, place=place)
    capped = np.clip(ratio, -1.0, 1.0)[None, :]
    spot = np.array([_hash_ratio(labels) for labels in grid.labels]).reshape(-1, 1)
    return grid.where(np.where(capped >= 0, spot < capped, spot >= 1 + capped))


def _hash_ratio(labels: Labels) -> float:
    """Return the label hash of Prometheus as a fraction of its range."""
    text = "".join(f"{name}\0{value}\0" for name, value in labels.pairs)
    packed = text.encode("utf-8", "surrogateescape").replace(b"\0", b"\xff")
    return xxhash.xxh64_intdigest(packed) / 0xFFFFFFFFFFFFFFFF
