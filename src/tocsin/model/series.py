"""Series as arrays: what the metric store takes in and gives out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels

Times: TypeAlias = npt.NDArray[np.int64]  # Unix milliseconds, strictly ascending
Values: TypeAlias = npt.NDArray[np.float64]  # staleness markers by bit pattern, see `sample`


@dataclass(frozen=True, slots=True)
class Series:
    """One series and some of its samples: `times` and `values` have the same shape (n,)."""

    labels: Labels
    times: Times
    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Series that always arrive together with one timestamp: a scrape target, a process, a rule.

    `group` names the origin and is unique within a tenant. Keep the object and pass it again
    while the series stay the same: stores resolve it once (identity is the cache key).
    """

    group: str
    labels: tuple[Labels, ...]


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch: samples stored, and samples refused by reason."""

    stored: int
    refused: dict[str, int] = field(default_factory=dict)
