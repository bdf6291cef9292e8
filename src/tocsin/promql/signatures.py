"""What every PromQL function takes and gives, and which of them are experimental.

Source: Prometheus, "Query functions".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """The type of an expression; the value is what messages call it."""

    SCALAR = "scalar"
    VECTOR = "instant vector"
    MATRIX = "range vector"
    STRING = "string"

    @property
    def short(self) -> str:
        """Return the name that the API gives the type."""
        return _SHORT[self]


_SHORT = {
    Type.SCALAR: "scalar",
    Type.VECTOR: "vector",
    Type.MATRIX: "matrix",
    Type.STRING: "string",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """A function. The last argument may be missing where `more` is not 0.

    `more` is how many arguments may come after the others (-1: any number); they have the type
    of the last.
    """

    takes: tuple[Type, ...]
    gives: Type = Type.VECTOR
    more: int = 0
    experimental: bool = False

    @property
    def least(self) -> int:
        """Return how many arguments there must be."""
        return len(self.takes) - 1 if self.more else len(self.takes)

    @property
    def most(self) -> int | None:
        """Return how many arguments there may be; None: any number."""
        return None if self.more < 0 else self.least + self.more

    def argument(self, index: int) -> Type:
        """Return the type of an argument."""
        return self.takes[min(index, len(self.takes) - 1)]


_S, _V, _M, _T = Type.SCALAR, Type.VECTOR, Type.MATRIX, Type.STRING
_OF_VECTOR = (
    *("abs", "absent", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh"),
    *("deg", "exp", "floor", "ln", "log10", "log2", "rad", "sgn", "sin", "sinh", "sort"),
    *("sort_desc", "sqrt", "tan", "tanh", "timestamp"),
    *("histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"),
)
_OF_MATRIX = (
    *("absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv"),
    *("first_over_time", "idelta", "increase", "irate", "last_over_time", "max_over_time"),
    *("min_over_time", "present_over_time", "rate", "resets", "stddev_over_time"),
    *("stdvar_over_time", "sum_over_time"),
)
_OF_MATRIX_EXPERIMENTAL = (
    *("mad_over_time", "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time"),
    "ts_of_min_over_time",
)
_OF_DATE = (
    *("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month"),
    "year",
)
_OF_QUERY = ("end", "range", "start", "step")

SIGNATURES: dict[str, Signature] = {
    **{name: Signature((_V,)) for name in _OF_VECTOR},
    **{name: Signature((_M,)) for name in _OF_MATRIX},
    **{name: Signature((_M,), experimental=True) for name in _OF_MATRIX_EXPERIMENTAL},
    **{name: Signature((_V,), more=1) for name in _OF_DATE},
    **{name: Signature((), gives=_S, experimental=True) for name in _OF_QUERY},
    "clamp": Signature((_V, _S, _S)),
    "clamp_max": Signature((_V, _S)),
    "clamp_min": Signature((_V, _S)),
    "double_exponential_smoothing": Signature((_M, _S, _S), experimental=True),
    "histogram_fraction": Signature((_S, _S, _V)),
    "histogram_quantile": Signature((_S, _V)),
    "histogram_quantiles": Signature((_V, _T, _S, _S), more=9, experimental=True),
    "info": Signature((_V, _V), more=1, experimental=True),
    "label_join": Signature((_V, _T, _T, _T), more=-1),
    "label_replace": Signature((_V, _T, _T, _T, _T)),
    "max_of": Signature((_S, _S), gives=_S, experimental=True),
    "min_of": Signature((_S, _S), gives=_S, experimental=True),
    "pi": Signature((), gives=_S),
    "predict_linear": Signature((_M, _S)),
    "quantile_over_time": Signature((_S, _M)),
    "round": Signature((_V, _S), more=1),
    "scalar": Signature((_V,), gives=_S),
    "sort_by_label": Signature((_V, _T), more=-1, experimental=True),
    "sort_by_label_desc": Signature((_V, _T), more=-1, experimental=True),
    "time": Signature((), gives=_S),
    "vector": Signature((_S,)),
}
