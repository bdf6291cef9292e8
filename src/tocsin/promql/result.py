"""What a query returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tocsin.model.labels import Labels
from tocsin.model.series import Series, Values


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """Elements at one time: `labels[i]` has `values[i]`. Their order counts only if `ordered`."""

    at_ms: int
    labels: tuple[Labels, ...]
    values: Values
    ordered: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Series with their samples, sorted by labels."""

    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number at one time."""

    at_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class String:
    """One text at one time."""

    at_ms: int
    value: str


Answer: TypeAlias = Vector | Matrix | Scalar | String


@dataclass(frozen=True, slots=True)
class Result:
    """The answer, its annotations (`PromQL warning: … (line:column)`), and how much was read."""

    value: Answer
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    samples: int = 0
