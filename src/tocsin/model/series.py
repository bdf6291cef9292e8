"""Series as arrays: what the metric store takes in and gives out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels

Times: TypeAlias = npt.NDArray[np.int64]  # Unix milliseconds, strictly ascending
Values: TypeAlias = npt.NDArray[np.float64]  # staleness markers by bit pattern, see `sample`
Refs: TypeAlias = npt.NDArray[np.int32]  # what a store calls series; -1 for one it refused


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


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """Series by the numbers a store knows them by, valid for as long as its `epoch` stands.

    `refs[i]` stands for the i-th label set asked for, -1 where it was refused; `refused` says
    why, counted by reason.
    """

    epoch: int
    refs: Refs
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Samples as three arrays of one length: of which series, when (ms), and what."""

    refs: Refs
    times: npt.NDArray[np.int64]
    values: Values
