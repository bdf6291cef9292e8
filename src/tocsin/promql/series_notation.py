"""Series as test files write them: `up{job="a"}` and its values, `0+1x3 _ 5 stale`.

A value is a number, `stale` (the series ends) or `_` (no sample). `axn` is a and n times a more,
`a+bxn` counts up from a in n steps of b, `a-bxn` down, `_xn` leaves n samples out. Native
histograms, `{{…}}`, are told apart and not read. Source: Prometheus, "Unit testing for rules".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tocsin.model.labels import METRIC_NAME, Labels, Pairs
from tocsin.model.sample import STALE
from tocsin.promql.errors import ParseError
from tocsin.promql.reader import Grammar, Reader
from tocsin.promql.selector_syntax import label_set

MAX_POINTS = 1_000_000  # of one series: two years of minutes


class Point(Enum):
    """A point that is no float."""

    GAP = "_"
    NATIVE = "{{…}}"


@dataclass(frozen=True, slots=True)
class Metric:
    """The labels at the beginning of a text, sorted, and what stands after them."""

    pairs: Pairs
    rest: str

    @property
    def labels(self) -> Labels:
        """Return the label set; labels written without a value are not in it."""
        return Labels(self.pairs)


def read_metric(text: str) -> Metric:
    """Read `name{label="value",…}`, either part optional. Raises ParseError."""
    body = text.strip()
    head = _NAME.match(body)
    pairs = [(METRIC_NAME, head[0])] if head else []
    at = head.end() if head else 0
    if not body.startswith("{", at) or body.startswith("{{", at):
        return Metric(tuple(pairs), body[at:].strip())
    end = _closing(body, at)
    pairs += label_set(Reader(body[at : end + 1], Grammar()))
    return Metric(_unique(pairs), body[end + 1 :].strip())


def read_pairs(text: str) -> Pairs:
    """Read a text that is nothing but a metric, labels without a value too. Raises ParseError."""
    metric = read_metric(text)
    if metric.rest:
        raise ParseError(f"unexpected {metric.rest!r} after the labels of {text!r}")
    return metric.pairs


def read_points(text: str) -> list[float | Point]:
    """Return the values written in `text`, repetitions expanded. Raises ParseError."""
    points: list[float | Point] = []
    for hit in _ITEMS.finditer(text.strip()):
        points += _expanded(hit[0], MAX_POINTS - len(points))
    return points


_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_ITEMS = re.compile(r"(?:\{\{.*?\}\}|[^ \t])+", re.DOTALL)
_GAP = re.compile(r"_(?:x(?P<times>[0-9]+))?")
_NATIVE = re.compile(r"\{\{.*\}\}(?:x(?P<times>[0-9]+))?", re.DOTALL)
_DIGITS = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_WORDED = r"(?:[iI][nN][fF]|[nN][aA][nN])"
_RUN = re.compile(
    rf"(?P<start>[+-]?(?:{_DIGITS}|{_WORDED}(?!x)))"
    rf"(?:(?P<step>[+-](?:{_DIGITS}|{_WORDED}(?!x)))(?=x))?"
    r"(?:x(?P<times>[0-9]+))?"
)


def _expanded(item: str, room: int) -> list[float | Point]:
    """Return the points of one item, at most `room` of them."""
    if item == "stale":
        return [STALE]
    if gap := _GAP.fullmatch(item):
        return [Point.GAP] * _count(gap["times"] or "1", room)
    if native := _NATIVE.fullmatch(item):
        return [Point.NATIVE] * _count(native["times"] or "0", room - 1, more=1)
    run = _RUN.fullmatch(item)
    if run is None:
        raise ParseError(f'unexpected {item!r} in series values, expected number, "_" or "stale"')
    value, step = float(run["start"]), float(run["step"] or "0")
    points: list[float | Point] = []
    for _ in range(_count(run["times"] or "0", room - 1, more=1)):
        points.append(value)
        value += step
    return points


def _count(times: str, room: int, *, more: int = 0) -> int:
    if len(times) > len(str(MAX_POINTS)) or int(times) > room:
        raise ParseError(f"more than {MAX_POINTS:,} values in one series")
    return int(times) + more


def _closing(text: str, at: int) -> int:
    """Return where the brace that opens at `at` closes, past any quoted text."""
    quoted = ""
    while at < len(text):
        char = text[at]
        if quoted and char == "\\" and quoted != "`":
            at += 1
        elif quoted:
            quoted = "" if char == quoted else quoted
        elif char in "\"'`":
            quoted = char
        elif char == "}":
            return at
        at += 1
    raise ParseError(f"unexpected end of input inside braces: {text!r}")


def _unique(pairs: list[tuple[str, str]]) -> Pairs:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ParseError(f'label name "{name}" is not unique')
    return tuple(sorted(pairs))
