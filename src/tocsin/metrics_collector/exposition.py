"""Reads exposition pages: Prometheus text 0.0.4 and OpenMetrics 1.0.

Source: Prometheus documentation, "Exposition formats"; the OpenMetrics specification; for the
corners, Prometheus' `model/textparse`. A target's page is nearly the same at every scrape. As
long as its shape is, only the values are read; else the bytes before a value are looked up as
they stand, and only what is new is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from tocsin.metrics_collector.page_shape import PageShape, shape_of
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, METRIC_NAME, Labels
from tocsin.model.sample import Metadata
from tocsin.model.series import Values

_UNESCAPE = re.compile(r'\\([\\n"])')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(
    r'[ \t]*(?:(?P<bare>[a-zA-Z_][a-zA-Z0-9_]*)|"(?P<quoted>(?:[^"\\]|\\.)*)")[ \t]*'
    r'(?:=[ \t]*"(?P<value>(?:[^"\\]|\\.)*)"[ \t]*)?',
    re.ASCII | re.DOTALL,
)
_PLAIN_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*"'  # no spaces, no escapes
_PLAIN_LABELS = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"', re.ASCII)
_PLAIN_LINE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:{_PLAIN_LABEL},)*{_PLAIN_LABEL},?)?\}})? (\S+)", re.ASCII
)
_REST = re.compile(r"[ \t]+(\S+)(?:[ \t]+(\S+))?[ \t]*", re.ASCII)
_AFTER_BRACE = re.compile(r"[ \t]*(\S+)(?:[ \t]+(\S+))?[ \t]*", re.ASCII)
_COMMENT = re.compile(r"#[ \t]*(HELP|TYPE|UNIT)[ \t]+(\"(?:[^\"\\]|\\.)*\"|\S+)(?:[ \t]+(.*))?")
_EXEMPLAR: Final = b" # {"
_EOF: Final = b"# EOF"
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_MAX_MS = 2**63
_BLANK = b" \t\r"
_SHOWN = 80  # characters of a bad line that an error shows


@dataclass(frozen=True, slots=True)
class Line:
    """One parsed sample line; `ts_ms` is None when the line has no time.

    `prefix` is how many characters stand before the value and its separating space, -1 when
    the line cannot be recognised again by them.
    """

    labels: Labels
    value: float
    ts_ms: int | None
    prefix: int = -1


@dataclass(slots=True)
class PageSamples:
    """What a page held: series by the parser's numbers, in page order, with their values.

    `times` tells for positions in `numbers` the time the target gave, where it gave one.
    `numbers` are the same object as those of the page before as long as the shape is the same.
    """

    numbers: list[int]
    values: Values
    times: dict[int, int] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0


@dataclass(slots=True)
class _Reading:
    """A page while its lines are read."""

    numbers: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: dict[int, int] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0

    def whole(self) -> PageSamples:
        """Return the page when all lines are read."""
        values = np.array(self.values, np.float64)
        return PageSamples(self.numbers, values, self.times, self.metadata, self.exemplars)


_Sample: TypeAlias = tuple[int, float, int | None]  # series by number, value, time in ms


class PageParser:
    """Parses the pages of one target, one after the other; remembers what it has seen.

    `series[n]` is the label set with number n, the metric's name included, until `release` is
    called. Numbers hold until `forget` is called.
    """

    def __init__(self) -> None:
        self.series: list[Labels] = []
        self._numbers: dict[Labels, int] = {}
        self._odd: dict[Labels, int] = {}  # series that are not recognised by a prefix
        self._prefixes: dict[bytes, int] = {}
        self._comments: set[bytes] = set()
        self._metadata: dict[str, Metadata] = {}
        self._before: list[int] = []  # numbers of the page before, when it was read line by line
        self._shape: PageShape | None = None

    def forget(self) -> None:
        """Drop everything remembered; numbers begin anew."""
        self.series = []
        self._numbers = {}
        self._odd = {}
        self._prefixes = {}
        self._comments = set()
        self._metadata = {}
        self._before = []
        self._shape = None

    def release(self) -> None:
        """Drop the label sets, which are the larger part of what is remembered.

        Numbers hold. A series that is written in another way later gets another number.
        """
        self.series = [EMPTY] * len(self.series)
        self._numbers = dict(self._odd)

    def parse(self, body: bytes, *, openmetrics: bool = False) -> PageSamples:
        """Return the samples of a page.

        `metadata` holds what is new since the last page. Raises InvalidInput with the line.
        """
        if openmetrics:
            body = _before_eof(body)
        page = self._same_again(body, openmetrics=openmetrics)
        if page is not None:
            return page
        page = self._lines(body, openmetrics=openmetrics)
        self._learn_shape(body, page)
        return page

    def _learn_shape(self, body: bytes, page: PageSamples) -> None:
        """Remember the shape of a page with the same series as the one before.

        When a shape has just proved wrong, two pages must agree again: a shape costs as much as
        reading the page.
        """
        alike = self._shape is None and page.numbers == self._before
        known = self._prefixes
        self._shape = shape_of(body, page.numbers, page.times, known) if alike else None
        self._before = page.numbers

    def _same_again(self, body: bytes, *, openmetrics: bool) -> PageSamples | None:
        """Return the samples of a page of the same shape as before, None when it has another."""
        shape = self._shape
        found = None if shape is None else shape.figures(body, openmetrics=openmetrics)
        if shape is None or found is None:
            return None
        unlike = _Reading()
        for index, line in zip(shape.lines, found.unlike, strict=True):
            if line.startswith(b"#"):
                return None
            self._other(line, index, unlike, openmetrics=openmetrics)
        places = shape.unlike.tolist()
        if unlike.numbers != [shape.numbers[place] for place in places]:
            return None
        found.values[shape.unlike] = unlike.values
        own = {places[at]: ts_ms for at, ts_ms in unlike.times.items()}
        times = dict(sorted({**found.times, **own}.items())) if own else found.times
        return PageSamples(shape.numbers, found.values, times, exemplars=unlike.exemplars)

    def _lines(self, body: bytes, *, openmetrics: bool) -> PageSamples:
        """Go through the lines; one loop for speed, nearly every line is a known series."""
        page, numbered = _Reading(), self._prefixes
        numbers, values = page.numbers, page.values
        if b"\x0b" in body or b"\x0c" in body:
            numbered = {}  # `float` takes them for spaces
        known = numbered.get
        for index, line in enumerate(body.split(b"\n")):
            prefix, _, last = line.rpartition(b" ")
            number = known(prefix)
            if number is not None and b"_" not in last:  # `float` takes it for nothing
                try:
                    values.append(float(last))
                    numbers.append(number)
                    continue
                except ValueError:
                    pass
            if not line or line.startswith(b"#"):
                if line and line not in self._comments:
                    self._comment(line, index, page, openmetrics=openmetrics)
                continue
            self._other(line, index, page, openmetrics=openmetrics)
        return page.whole()

    def _other(self, line: bytes, index: int, page: _Reading, *, openmetrics: bool) -> None:
        """Take a line that is not a known series followed by its value."""
        if openmetrics and _EXEMPLAR in line:
            line = self._without_exemplar(line, page)
        elif not line.strip(_BLANK):
            return
        try:
            number, value, ts_ms = self._known(line, openmetrics=openmetrics) or self._learn(
                line, openmetrics=openmetrics
            )
        except (InvalidInput, UnicodeDecodeError) as error:
            raise _bad(line, index, str(error)) from error
        if ts_ms is not None:
            page.times[len(page.numbers)] = ts_ms
        page.values.append(value)
        page.numbers.append(number)

    def _known(self, line: bytes, *, openmetrics: bool) -> _Sample | None:
        """Return the sample of a known series as programs write it, None when it is not that."""
        head, _, last = line.rpartition(b" ")
        prefix, _, value = head.rpartition(b" ")
        plain, timed = self._prefixes.get(head), self._prefixes.get(prefix)
        try:
            if plain is not None:
                return plain, _number(last.decode()), None
            if timed is not None:
                ts_ms = _time(last.decode(), openmetrics=openmetrics)
                return timed, _number(value.decode()), ts_ms
        except (InvalidInput, UnicodeDecodeError):
            pass  # whoever reads it anew says what is wrong with it
        return None

    def _learn(self, line: bytes, *, openmetrics: bool) -> _Sample:
        text = line.decode()
        found = parse_line(text, openmetrics=openmetrics)
        number = self._numbers.get(found.labels)
        if number is None:
            number = self._numbers[found.labels] = len(self.series)
            self.series.append(found.labels)
        if found.prefix >= 0:
            self._prefixes[text[: found.prefix].encode()] = number
        else:
            self._odd[found.labels] = number
        return number, found.value, found.ts_ms

    def _without_exemplar(self, line: bytes, page: _Reading) -> bytes:
        """Return the line up to its exemplar; within quotes the same signs are a label value."""
        at = line.find(_EXEMPLAR)
        while at >= 0:
            if _ESCAPED.sub(b"", line[:at]).count(b'"') % 2 == 0:
                page.exemplars += 1
                return line[:at]
            at = line.find(_EXEMPLAR, at + 1)
        return line

    def _comment(self, line: bytes, index: int, page: _Reading, *, openmetrics: bool) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _bad(line, index, "not UTF-8") from error
        found = _COMMENT.match(text)
        if found is None:
            return
        keyword, name, rest = found[1], _unquoted(found[2]), found[3] or ""
        old = self._metadata.get(name, Metadata())
        new = _described(old, keyword, rest, openmetrics=openmetrics)
        self._comments.add(line)
        self._metadata[name] = page.metadata[name] = new


def parse_line(text: str, *, openmetrics: bool = False) -> Line:
    """Return the sample a line holds. Raises InvalidInput when it is not one."""
    return _plain_line(text) or _any_line(text, openmetrics=openmetrics)


def _plain_line(text: str) -> Line | None:
    """Return the sample of a line as programs write it, None when it is not quite that.

    What `_any_line` would return, in a third of its time.
    """
    found = _PLAIN_LINE.fullmatch(text)
    if found is None:
        return None
    pairs = _PLAIN_LABELS.findall(found[2] or "")
    names = {name for name, _ in pairs}
    if len(names) != len(pairs) or METRIC_NAME in names:
        return None
    pairs.append((METRIC_NAME, found[1]))
    return Line(Labels(pairs), _number(found[3]), None, found.start(3) - 1)


def _any_line(text: str, *, openmetrics: bool) -> Line:
    start = len(text) - len(text.lstrip(" \t"))
    pairs, end = _head(text, start)
    form = _AFTER_BRACE if text[end - 1] == "}" else _REST
    rest = form.fullmatch(text, end, len(text.rstrip("\r")))
    if rest is None:
        raise InvalidInput("expected a value, and at most a time, after the series")
    ts_ms = None if rest[2] is None else _time(rest[2], openmetrics=openmetrics)
    labels = Labels(pairs)
    if not labels.value(METRIC_NAME):
        raise InvalidInput("the series has no name")
    same_again = text[end : rest.start(1)] == " " and (
        rest[2] is None or text[rest.end(1) : rest.start(2)] == " "
    )
    clean = same_again and rest.end(2 if rest[2] else 1) == len(text)
    return Line(labels, _number(rest[1]), ts_ms, end if clean else -1)


def unescape(text: str) -> str:
    r"""Return a label value or HELP text without its escapes `\\`, `\"` and `\n`.

    Other backslashes stay, as in Prometheus.
    """
    if "\\" not in text:
        return text
    return _UNESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _head(text: str, start: int) -> tuple[list[tuple[str, str]], int]:
    """Return the label pairs of a line, the name among them, and where the value part begins."""
    pairs: list[tuple[str, str]] = []
    name = _NAME.match(text, start)
    at = start
    if name is not None:
        pairs.append((METRIC_NAME, name[0]))
        at = name.end()
    brace = at + len(text[at:]) - len(text[at:].lstrip(" \t"))
    if text[brace : brace + 1] == "{":
        at = _labels(text, brace + 1, pairs)
    elif name is None:
        raise InvalidInput("expected a metric name")
    names = [pair[0] for pair in pairs]
    if len(set(names)) != len(names):
        raise InvalidInput("a label name stands there twice")
    return pairs, at


def _labels(text: str, at: int, pairs: list[tuple[str, str]]) -> int:
    """Add the pairs between braces to `pairs`; return where the text goes on behind them."""
    for found in _label_matches(text, at):
        at = found.end()
        if found["value"] is not None:
            name = found["bare"] or unescape(found["quoted"])
            if not name or name == METRIC_NAME:
                raise InvalidInput("bad label name")
            pairs.append((name, unescape(found["value"])))
        elif found["quoted"] and found["bare"] is None:
            pairs.append((METRIC_NAME, unescape(found["quoted"])))
        else:
            raise InvalidInput("expected a label value in quotes")
        if text[at : at + 1] != ",":
            break
        at += 1
    at += len(text[at:]) - len(text[at:].lstrip(" \t"))
    if text[at : at + 1] != "}":
        raise InvalidInput("expected a comma or a closing brace after a label")
    return at + 1


def _label_matches(text: str, at: int) -> Iterator[re.Match[str]]:
    while (found := _LABEL.match(text, at)) is not None:
        yield found
        at = found.end() + 1


def _number(text: str) -> float:
    """Return a value as Go's ParseFloat reads it, but for hexadecimal floats."""
    if "_" in text or text.strip() != text or not text.isascii():
        raise InvalidInput(f"not a number: {text[:_SHOWN]!r}")
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"not a number: {text[:_SHOWN]!r}") from error


def _time(text: str, *, openmetrics: bool) -> int:
    """Return a time in Unix milliseconds: written so, but as seconds in OpenMetrics."""
    try:
        at = round(_number(text) * 1000) if openmetrics else int(text.replace("_", "x"))
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"not a time: {text[:_SHOWN]!r}") from error
    if not -_MAX_MS <= at < _MAX_MS:
        raise InvalidInput(f"not a time: {text[:_SHOWN]!r}")
    return at


def _described(old: Metadata, keyword: str, rest: str, *, openmetrics: bool) -> Metadata:
    if keyword == "TYPE":
        kind = rest.strip()
        known = "unknown" if kind == "untyped" else kind
        return Metadata(known, old.help, old.unit)
    if keyword == "UNIT":
        return Metadata(old.type, old.help, rest.strip())
    text = unescape(rest) if openmetrics else _unescape_help(rest)
    return Metadata(old.type, text, old.unit)


def _unescape_help(text: str) -> str:
    r"""Return a HELP text of the text format, where only `\\` and `\n` are escapes."""
    return re.sub(r"\\([\\n])", lambda found: "\n" if found[1] == "n" else "\\", text)


def _unquoted(name: str) -> str:
    return unescape(name[1:-1]) if name.startswith('"') else name


def _before_eof(body: bytes) -> bytes:
    """Return an OpenMetrics page up to its end. Raises InvalidInput when it was cut."""
    whole = body.removesuffix(b"\n")
    if whole != _EOF and not whole.endswith(b"\n" + _EOF):
        raise InvalidInput("the page does not end with # EOF")
    return whole[: -len(_EOF)]


def _bad(line: bytes, index: int, why: str) -> InvalidInput:
    shown = line[:_SHOWN].decode(errors="replace")
    return InvalidInput(f"line {index + 1}: {why}: {shown!r}")
