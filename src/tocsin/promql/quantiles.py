"""The phi-quantile of many small samples, with Prometheus' interpolation; NaN sorts lowest."""

from __future__ import annotations

import numpy as np

from tocsin.promql.grid import Floats, Ints


def quantile(q: Floats, padded: Floats, counts: Ints, nans: Ints) -> Floats:
    """Return the quantile along the last axis.

    `padded` holds `counts` items, of which `nans` are NaN, and NaN as padding, in any order. `q`
    is broadcast against the other axes; outside [0, 1] it gives an infinity, NaN gives NaN.
    """
    ordered = np.sort(padded, axis=-1)  # NumPy puts NaN last
    q, counts, nans = np.broadcast_arrays(q, counts, nans)
    rank = np.clip(np.nan_to_num(q), 0.0, 1.0) * (counts - 1)
    lower = np.maximum(0.0, np.floor(rank))
    upper = np.minimum(counts - 1.0, lower + 1)
    weight = rank - np.floor(rank)
    low, high = (_at(ordered, index - nans) for index in (lower, upper))
    inside = low * (1 - weight) + high * weight
    outside = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, np.nan))
    return np.where((q >= 0) & (q <= 1), inside, outside)


def _at(ordered: Floats, index: Floats) -> Floats:
    """Return items of the last axis; an index below 0 is one of the NaN that sort lowest."""
    safe = np.clip(index, 0, ordered.shape[-1] - 1).astype(np.int64)
    taken: Floats = np.take_along_axis(ordered, safe[..., None], axis=-1)[..., 0]
    return np.where(index < 0, np.nan, taken)
