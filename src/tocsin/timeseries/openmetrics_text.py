"""Samples as OpenMetrics text with times, as `promtool tsdb create-blocks-from` reads it.

Families are of unknown type, so that any name is allowed. A time is written so that a reader
that cuts seconds to whole milliseconds and one that rounds get the same. Staleness markers
cannot be said in the format and are left out; so are series without a metric name.

Source: the OpenMetrics specification 1.0; Prometheus' `textparse` for what it reads.
"""

from __future__ import annotations

import re

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import STALE_BITS
from tocsin.model.series import Series, Times, Values

END = "# EOF\n"

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ODD = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
_MS = 1000.0


def lines(series: Series) -> str:
    """Return the lines of one series, oldest sample first; "" when there is nothing to say."""
    if not series.labels.value(METRIC_NAME):
        return ""
    said = series.values.view(np.uint64) != STALE_BITS
    head = series_name(series.labels)
    pairs = zip(_numbers(series.values[said]), seconds(series.times[said]), strict=True)
    return "".join([f"{head} {value} {time}\n" for value, time in pairs])


def series_name(labels: Labels) -> str:
    """Return a label set as a line begins with it.

    >>> series_name(Labels.of({"__name__": "up", "job": "a"}))
    'up{job="a"}'
    """
    name = labels.value(METRIC_NAME)
    inner = [
        f"{key if _LABEL.fullmatch(key) else _quoted(key)}={_quoted(value)}"
        for key, value in labels.pairs
        if key != METRIC_NAME
    ]
    if _METRIC.fullmatch(name):
        return f"{name}{{{','.join(inner)}}}" if inner else name
    return f"{{{','.join((_quoted(name), *inner))}}}"


def seconds(times: Times) -> list[str]:
    """Return times as seconds, decimal."""
    found = times / _MS
    short = np.trunc(found * _MS) != times
    found[short] = np.nextafter(found[short], np.copysign(np.inf, found[short]))
    return [repr(each) for each in found.tolist()]


def _numbers(values: Values) -> list[str]:
    texts = [repr(value) for value in values.tolist()]
    return [_ODD.get(text, text.removesuffix(".0")) for text in texts]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'
