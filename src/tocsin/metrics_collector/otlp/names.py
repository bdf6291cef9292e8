"""Names of OpenTelemetry as names of Prometheus: metrics, units, labels. Pure.

Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", and what
Prometheus 3 does (`prometheus/otlptranslator`), whose tables of units these are.
"""

from __future__ import annotations

import functools
import re
from enum import Enum

from tocsin.metrics_collector.otlp.config import OtlpConfig, TranslationStrategy

_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}
_NO_TOKEN = re.compile(r"[^a-zA-Z0-9:]+")
_NO_METRIC_CHARACTER = re.compile(r"[^a-zA-Z0-9:_]+")
_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")
_UNDERSCORES = re.compile(r"__+")
_RESERVED = re.compile(r"__.+__", re.DOTALL)


class Kind(Enum):
    """What a metric is."""

    GAUGE = "gauge"
    COUNTER = "counter"
    UP_DOWN = "up-down counter"  # a sum that may fall
    HISTOGRAM = "histogram"
    SUMMARY = "summary"

    @property
    def type(self) -> str:
        """Return the type Prometheus knows it by."""
        return "gauge" if self is Kind.UP_DOWN else self.value


def metric_name(name: str, unit: str, kind: Kind, strategy: TranslationStrategy) -> str:
    """Return the name of a metric's series, "" when nothing is left of it.

    >>> metric_name("http.server.duration", "ms", Kind.HISTOGRAM,
    ...             TranslationStrategy.ESCAPED_WITH_SUFFIXES)
    'http_server_duration_milliseconds'
    """
    if not strategy.escapes:
        return _suffixed(name, unit, kind) if strategy.suffixes else name
    if strategy.suffixes:
        made = "_".join(_tokens(name, unit, kind))
    else:
        made = "_".join(part for part in _NO_METRIC_CHARACTER.split(name) if part)
    if made[:1].isdigit():
        made = f"_{made}"
    return made if made == name or made.strip("_") else ""


def unit_name(unit: str, strategy: TranslationStrategy) -> str:
    """Return a unit in words.

    >>> unit_name("By/s", TranslationStrategy.ESCAPED_WITH_SUFFIXES)
    'bytes_per_second'
    """
    main, per = _unit_words(unit)
    if strategy.escapes:
        main, per = _clean(main), _clean(per)
    return "_".join(part for part in (main, per) if part).removeprefix("_").removesuffix("_")


@functools.lru_cache(maxsize=10_000)
def label_name(name: str, config: OtlpConfig) -> str:
    """Return the label an attribute becomes, "" when nothing is left of its name.

    >>> label_name("http.method", OtlpConfig()), label_name("2xx", OtlpConfig())
    ('http_method', 'key_2xx')
    """
    if not config.translation_strategy.escapes:
        return name
    made = _NO_LABEL_CHARACTER.sub("_", name)
    if not config.label_name_preserve_multiple_underscores and not _RESERVED.fullmatch(made):
        made = _UNDERSCORES.sub("_", made)
    if made[:1].isdigit():
        made = f"key_{made}"
    elif config.label_name_underscore_sanitization and re.match("_(?!_)", made):
        made = f"key{made}"
    return made if made.strip("_") else ""


def _tokens(name: str, unit: str, kind: Kind) -> list[str]:
    """Return the parts of a name with its suffixes, none of them twice."""
    tokens = [token for token in _NO_TOKEN.split(name) if token]
    main, per = (_clean(word) for word in _unit_words(unit))
    per = "" if per == "per_" else per.removesuffix("_")
    main = "" if main in tokens else main
    per = "" if per in tokens else per
    tokens += [part for part in (main.removesuffix("_") if per else main, per) if part]
    if kind is Kind.COUNTER:
        tokens = [*(token for token in tokens if token != "total"), "total"]  # noqa: S105 - a name
    if kind is Kind.GAUGE and unit == "1":
        tokens = [*(token for token in tokens if token != "ratio"), "ratio"]  # noqa: S105 - a name
    return tokens


def _suffixed(name: str, unit: str, kind: Kind) -> str:
    """Return a name as it was sent with the suffixes it does not have, in their order."""
    main, per = _unit_words(unit)
    last = "total" if kind is Kind.COUNTER else ""
    if kind is Kind.GAUGE and unit == "1":
        last = "ratio"
    suffixes = [suffix for suffix in (per, last) if suffix]
    for suffix in reversed(suffixes):
        name = _without(name, suffix)
    if main and not name.endswith(main):
        name = f"{name}_{main}"
    return "_".join((name, *suffixes))


def _without(name: str, suffix: str) -> str:
    """Return a name without a suffix and the character before it."""
    fits = name.endswith(suffix) and len(name) > len(suffix) + 1
    return name[: -len(suffix) - 1] if fits else name


def _unit_words(unit: str) -> tuple[str, str]:
    """Return both sides of a unit in words, the second with `per_` before it.

    What stands in braces is a remark, no unit.
    """
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    main = "" if set("{}") & set(main) else _UNITS.get(main, main)
    per = "" if set("{}") & set(per) else _PER.get(per, per)
    return main, f"per_{per}" if per else ""


def _clean(unit: str) -> str:
    """Return the words of a unit as a part of a name."""
    return _UNDERSCORES.sub("_", re.sub(r"[^a-zA-Z0-9:]", "_", unit)).removeprefix("_")
