"""Cuts PromQL into words, and tells where each call and aggregation stands.

The parser library gives no positions; annotations of Prometheus carry `line:column` of an
argument, so the words are read here as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from tocsin.promql.errors import ParseError

# The library recurses on its own stack and dies with the process when that ends (seen at 20,000).
MAX_DEPTH = 200
MAX_OPERATORS = 1000

AGGREGATORS = frozenset(
    (
        *("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk"),
        *("count_values", "quantile", "limitk", "limit_ratio"),
    )
)
KEYWORDS = frozenset(
    (
        *("and", "or", "unless", "atan2", "bool", "by", "without", "on", "ignoring"),
        *("group_left", "group_right", "offset", "fill", "fill_left", "fill_right"),
    )
)
_NUMBER = (
    r"0[xX][0-9a-fA-F](?:_?[0-9a-fA-F])*(?![\w.])"
    r"|(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?(?![\w.])"
)


def _pattern(word: str) -> re.Pattern[str]:
    return re.compile(
        r"(?P<space>(?:\s+|\#[^\n]*)+)"
        r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"
        r"|(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.]))"
        rf"|(?P<number>{_NUMBER})"
        rf"|(?P<word>{word})"
        r"|(?P<sign>=~|!~|==|!=|<=|>=|.)",
        re.ASCII | re.DOTALL,
    )


_WORDS = _pattern(r"[A-Za-z_:][\w:]*")
_IN_BRACKETS = _pattern(r"[A-Za-z_]\w*")  # there a colon parts range and step


class Kind(StrEnum):
    """What a word is."""

    STRING = "string"
    DURATION = "duration"
    NUMBER = "number"
    WORD = "word"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it begins, in characters from 0."""

    kind: Kind
    text: str
    at: int

    @property
    def end(self) -> int:
        """Return where the word has ended."""
        return self.at + len(self.text)

    @property
    def keyword(self) -> str:
        """Return the word in lower case when it can be a keyword, else ""."""
        return self.text.lower() if self.kind is Kind.WORD else ""

    def opens(self) -> bool:
        """Tell whether this is an opening bracket of any kind."""
        return self.kind is Kind.SIGN and self.text in "([{"

    def closes(self) -> bool:
        """Tell whether this is a closing bracket of any kind."""
        return self.kind is Kind.SIGN and self.text in ")]}"


def words(text: str) -> list[Word]:
    """Return the words of `text` without white space and comments. Raises ParseError."""
    found: list[Word] = []
    at = brackets = 0
    while at < len(text):
        hit = (_IN_BRACKETS if brackets else _WORDS).match(text, at)
        if hit is None:  # pragma: no cover - the last alternative matches any character
            raise error_at(text, at, "unexpected character")
        if hit.lastgroup != "space":
            found.append(Word(Kind(str(hit.lastgroup)), hit[0], at))
            brackets += (hit[0] == "[") - (hit[0] == "]" and brackets > 0)
        at = hit.end()
    _check_size(text, found)
    return found


def _check_size(text: str, found: Iterable[Word]) -> None:
    depth = operators = 0
    for word in found:
        depth += word.opens() - word.closes()
        operators += word.kind is Kind.SIGN and word.text not in "()[]{},:"
        operators += word.keyword in ("and", "or", "unless", "atan2")
        if depth > MAX_DEPTH or operators > MAX_OPERATORS:
            raise error_at(text, word.at, "expression is nested too deeply or too long")


def position(text: str, at: int) -> tuple[int, int]:
    """Return line and column, both from 1, of character `at`."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def error_at(text: str, at: int, reason: str) -> ParseError:
    """Return a ParseError that points at character `at` of `text`."""
    line, column = position(text, at)
    return ParseError(reason, line=line, column=column)


@dataclass(slots=True)
class Site:
    """Where a call or aggregation stands: its name, and the first character of each argument."""

    name: str
    at: int
    arguments: list[int] = field(default_factory=list)


class SiteReader:
    """Collects the sites of a text: `calls` and `aggregations`, each in the order written."""

    def __init__(self, found: list[Word]) -> None:
        self.calls: list[Site] = []
        self.aggregations: list[Site] = []
        self._open: list[Site | None] = []
        self._pending: Site | None = None  # its arguments begin at the next parenthesis
        self._grouping: Site | None = None  # an aggregation whose by (…) is being read
        self._argument_next = False
        for word, after in itertools.zip_longest(found, found[1:]):
            self._read(word, after)

    def _read(self, word: Word, after: Word | None) -> None:
        site = self._open[-1] if self._open else None
        if self._argument_next and site is not None and word.text != ")":
            site.arguments.append(word.at)
        self._argument_next = word.text == ","
        if word.opens():
            self._enter(word)
        elif word.closes():
            self._leave(word)
        elif word.kind is Kind.WORD:
            self._name(word, after)

    def _enter(self, word: Word) -> None:
        self._open.append(self._pending if word.text == "(" else None)
        self._argument_next = True
        self._pending = None

    def _leave(self, word: Word) -> None:
        if self._open and self._open.pop() is None and word.text == ")":
            self._pending, self._grouping = self._grouping, None

    def _name(self, word: Word, after: Word | None) -> None:
        if word.keyword in ("by", "without") and self._pending is not None:
            self._pending, self._grouping = None, self._pending
        elif after is not None and word.keyword not in KEYWORDS:
            aggregates = word.keyword in AGGREGATORS
            if after.text == "(" or (aggregates and after.keyword in ("by", "without")):
                self._pending = Site(word.text, word.at)
                (self.aggregations if aggregates else self.calls).append(self._pending)
