"""Answers of queries as lines: as promtool prints them, or as a table with a line for each series.

A table of a range shows each series as a line of bars, as high as its values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from tocsin.cli.listing import aligned
from tocsin.promql.format import format_plain, format_value
from tocsin.promql.literals import go_quoted

Point: TypeAlias = tuple[float, str]
Bucketed: TypeAlias = tuple[float, dict[str, Any]]
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_METRIC = "__name__"
WIDTH = 40  # bars of a series
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.-=+*%#"


class Element(msgspec.Struct, frozen=True):
    """One series of an answer; native histograms come from other servers only."""

    metric: dict[str, str] = {}
    value: Point | None = None
    values: list[Point] = []
    histogram: Bucketed | None = None
    histograms: list[Bucketed] = []

    def points(self) -> list[Point]:
        """Return what there is, histograms in a few words, in the order of time."""
        given = [*self.values, *([self.value] if self.value else [])]
        found = [(at, _digits(text)) for at, text in given]
        buckets = [*self.histograms, *([self.histogram] if self.histogram else [])]
        found += [(at, _summary(each)) for at, each in buckets]
        return sorted(found, key=lambda point: point[0])


class Data(msgspec.Struct, frozen=True, rename="camel"):
    """The data of a query's answer: one point for `scalar` and `string`, else elements."""

    result_type: Literal["scalar", "string", "vector", "matrix"]
    result: Any


class Answer(msgspec.Struct, frozen=True):
    """What a query gave: one point, or elements of one type."""

    kind: str
    elements: list[Element] = []
    point: Point | None = None


def promql_lines(answer: Answer) -> Iterator[str]:
    """Yield an answer as promtool prints it."""
    if answer.point is not None:
        at, text = answer.point
        yield f"{answer.kind}: {_at((at, _plain(text)))}"
    for element in answer.elements:
        name = metric_text(element.metric)
        if answer.kind == "matrix":
            yield f"{name} =>"
            yield from (_at(point) for point in element.points())
        else:
            yield from (f"{name} => {_at(point)}" for point in element.points())


def table_lines(answer: Answer, times: range | None, bars: str = BARS) -> list[str]:
    """Return an answer as a table; `times` (ms) are those a range was asked for."""
    if answer.point is not None:
        return aligned([["VALUE"], [_plain(answer.point[1])]])
    names = sorted({name for element in answer.elements for name in element.metric})
    heads = ["metric" if name == _METRIC else _plain(name) for name in names]
    if answer.kind == "matrix" and times is not None:
        cells = [[*heads, "MIN", "MAX", "LAST", "TREND"]]
        cells += [[*_labels(e, names), *_figures(e, times, bars)] for e in answer.elements]
    else:
        cells = [[*heads, "VALUE"]]
        cells += [[*_labels(e, names), value] for e in answer.elements for _, value in e.points()]
    return aligned(cells)


def metric_text(metric: Mapping[str, str]) -> str:
    """Return a label set with its metric name before it, as promtool prints a series."""
    labels = dict(metric)
    name = labels.pop(_METRIC, "")
    if name and not _NAME.fullmatch(name):
        return labels_text(labels, go_quoted(name))
    return name if name and not labels else name + labels_text(labels)


def labels_text(labels: Mapping[str, str], *first: str) -> str:
    """Return a label set in braces."""
    pairs = (
        f"{name if _LABEL.fullmatch(name) else go_quoted(name)}={go_quoted(value)}"
        for name, value in sorted(labels.items())
    )
    return "{" + ", ".join((*first, *pairs)) + "}"


def trend(values: Mapping[int, float], times: range, bars: str = BARS) -> str:
    """Return a line of at most WIDTH bars, a blank where there is no value.

    >>> trend({0: 1.0, 10: 2.0, 30: 5.0}, range(0, 31, 10))
    '▁▃ █'
    """
    each = math.ceil(len(times) / WIDTH) or 1
    slots = [_mean(values, times[i : i + each]) for i in range(0, len(times), each)]
    finite = [value for value in slots if value is not None and math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_bar(value, low, high, bars) for value in slots).rstrip()


def _mean(values: Mapping[int, float], times: range) -> float | None:
    found = [values[at] for at in times if at in values and not math.isnan(values[at])]
    return sum(found) / len(found) if found else None


def _bar(value: float | None, low: float, high: float, bars: str) -> str:
    if value is None or math.isnan(value):
        return " "
    if math.isinf(value):
        return bars[-1] if value > 0 else bars[0]
    span = high / 2 - low / 2  # halves: the whole may be more than a float holds
    height = (value / 2 - low / 2) / span if span else 0.0
    return bars[min(int(height * len(bars)), len(bars) - 1)]


def _figures(element: Element, times: range, bars: str) -> list[str]:
    """Return least, greatest and last value, and the line of bars."""
    points = [(round(at * 1000), _number(value)) for at, value in element.values]
    if not points:
        return ["", "", element.points()[-1][1] if element.points() else "", ""]
    numbers = [value for _, value in points if not math.isnan(value)] or [math.nan]
    shown = [_short(value) for value in (min(numbers), max(numbers), points[-1][1])]
    return [*shown, trend(dict(points), times, bars)]


def _short(value: float) -> str:
    """Return a whole number as it is, another with six digits."""
    whole = math.isfinite(value) and value == round(value)
    return format_value(value if whole else float(f"{value:.6g}"))


def _labels(element: Element, names: Sequence[str]) -> list[str]:
    return [_plain(element.metric.get(name, "")) for name in names]


def _plain(text: str) -> str:
    """Return a text that does nothing to a terminal."""
    return text if text.isprintable() else go_quoted(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _at(point: Point) -> str:
    at, value = point
    return f"{value} @[{format_plain(at)}]"


def _digits(text: str) -> str:
    """Return a number without an exponent; anything else as it is."""
    number = _number(text)
    return format_plain(number) if math.isfinite(number) else _plain(text)


def _summary(buckets: Mapping[str, Any]) -> str:
    return f"{{count:{buckets.get('count')}, sum:{buckets.get('sum')}}}"
