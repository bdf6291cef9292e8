"""Functions of one number: arithmetic, trigonometry, and the calendar (UTC)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tocsin.promql.grid import Floats, Ints

Elementwise: TypeAlias = Callable[[Floats], Floats]

_LAST_SECOND = 2.0**43  # about 278,000 years: past it a time is no date


def _sgn(value: Floats) -> Floats:
    return np.where(value < 0, -1.0, np.where(value > 0, 1.0, value))


def _deg(value: Floats) -> Floats:
    return value * 180 / np.pi


def _rad(value: Floats) -> Floats:
    return value * np.pi / 180


MATH: dict[str, Elementwise] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sgn": _sgn,
    "deg": _deg,
    "rad": _rad,
}


def _calendar(part: Callable[[Ints], Ints]) -> Elementwise:
    """Apply `part` to whole seconds since the epoch; what is no date gives NaN."""

    def function(value: Floats) -> Floats:
        dated = np.abs(value) < _LAST_SECOND
        seconds = np.trunc(np.where(dated, value, 0.0)).astype(np.int64)
        return np.where(dated, part(seconds).astype(np.float64), np.nan)

    return function


def _whole(seconds: Ints, unit: str) -> Ints:
    """Return seconds as whole `unit`s (Y, M, D) since 1970, in the proleptic calendar."""
    return seconds.astype("datetime64[s]").astype(f"datetime64[{unit}]").astype(np.int64)


def _year(seconds: Ints) -> Ints:
    return _whole(seconds, "Y") + 1970


def _month(seconds: Ints) -> Ints:
    return _whole(seconds, "M") % 12 + 1


def _day_of_month(seconds: Ints) -> Ints:
    return _whole(seconds, "D") - _first_day(_whole(seconds, "M"), "M") + 1


def _day_of_year(seconds: Ints) -> Ints:
    return _whole(seconds, "D") - _first_day(_whole(seconds, "Y"), "Y") + 1


def _days_in_month(seconds: Ints) -> Ints:
    month = _whole(seconds, "M")
    return _first_day(month + 1, "M") - _first_day(month, "M")


def _first_day(count: Ints, unit: str) -> Ints:
    return count.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)


def _day_of_week(seconds: Ints) -> Ints:
    return (_whole(seconds, "D") + 4) % 7  # 1970-01-01 was a Thursday; Sunday is 0


def _hour(seconds: Ints) -> Ints:
    return seconds // 3600 % 24


def _minute(seconds: Ints) -> Ints:
    return seconds // 60 % 60


DATES: dict[str, Elementwise] = {
    "year": _calendar(_year),
    "month": _calendar(_month),
    "day_of_month": _calendar(_day_of_month),
    "day_of_year": _calendar(_day_of_year),
    "day_of_week": _calendar(_day_of_week),
    "days_in_month": _calendar(_days_in_month),
    "hour": _calendar(_hour),
    "minute": _calendar(_minute),
}
