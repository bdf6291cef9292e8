"""Rewrites PromQL where the parser library (promql-parser 0.12) reads it differently.

The library refuses `1_000` and `offset 0s`, cuts `[1.5]` to whole seconds, reads `@ -5` as `@ 0`,
checks patterns with another engine and decodes `\\xff` as a character. So durations, times and
patterns are taken out, numbered, and put back by `parser`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import Kind, SiteReader, Word, error_at, words
from tocsin.promql.literals import duration_ms, number, quote, unquote

_HUGE_MS = 2.0**63  # timestamps are int64 milliseconds


@dataclass(slots=True)
class Normalised:
    """Text for the library, and what was taken out of it.

    `durations` is indexed by the milliseconds that stand in the text minus one, `times` by the
    seconds after `@`, `patterns` by the digits of the placeholder.
    """

    text: str = ""
    durations: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    sites: SiteReader = field(default_factory=lambda: SiteReader([]))


def normalise(text: str, *, renamed: dict[str, str]) -> Normalised:
    """Return `text` made fit for the library. `renamed` maps function names. Raises ParseError."""
    return _Rewriter(text, renamed).run()


class _Rewriter:
    """Walks over the words once, copying or replacing."""

    def __init__(self, text: str, renamed: dict[str, str]) -> None:
        self._source = text
        self._words = words(text)
        self._renamed = renamed
        self._at = 0
        self._out: list[str] = []
        self._result = Normalised(sites=SiteReader(self._words))
        self._special: dict[str, Callable[[], bool]] = {
            "[": self._range,
            "offset": self._offset,
            "@": self._time,
            "=~": self._pattern,
            "!~": self._pattern,
        }

    def run(self) -> Normalised:
        while self._at < len(self._words):
            word = self._words[self._at]
            rewrite = self._special.get(word.keyword or word.text)
            if rewrite is None or word.kind is Kind.STRING or not rewrite():
                self._out.append(self._plain(word))
                self._at += 1
        self._result.text = " ".join(self._out)
        return self._result

    def _plain(self, word: Word) -> str:
        if word.kind is Kind.NUMBER and "_" in word.text:
            return word.text.replace("_", "")
        if word.kind is Kind.STRING and "\\" in word.text:
            return quote(self._unquote(word))
        if word.kind is Kind.WORD and self._peek(1).text == "(":
            return self._renamed.get(word.text, word.text)
        return word.text

    def _unquote(self, word: Word) -> str:
        try:
            return unquote(word.text)
        except ParseError as error:
            raise error_at(self._source, word.at, error.reason) from error

    def _peek(self, ahead: int = 0) -> Word:
        at = self._at + ahead
        end = len(self._source)
        return self._words[at] if at < len(self._words) else Word(Kind.SIGN, "", end)

    def _pattern(self) -> bool:
        value = self._peek(1)
        if value.kind is not Kind.STRING:
            return False
        self._out += [self._peek().text, f'"p{len(self._result.patterns)}"']
        self._result.patterns.append(self._unquote(value))
        self._at += 2
        return True

    def _range(self) -> bool:
        self._at += 1
        self._out += ["[", self._duration(positive=True)]
        if self._peek().text == ":":
            self._out.append(":")
            self._at += 1
            if self._peek().text != "]":
                self._out.append(self._duration(positive=True))
        return True

    def _offset(self) -> bool:
        following = self._peek(1)
        begins = following.kind in (Kind.NUMBER, Kind.DURATION) or following.text in "+-("
        if not begins or not following.text:
            return False
        self._at += 1
        self._out += ["offset", self._duration(positive=False)]
        return True

    def _duration(self, *, positive: bool) -> str:
        start = self._peek()
        ms = self._sum() if positive else self._unary()
        if positive and ms <= 0:
            raise error_at(self._source, start.at, "duration must be greater than 0")
        self._result.durations.append(ms)
        return f"{len(self._result.durations)}ms"

    def _sum(self) -> int:
        total = self._unary()
        while (sign := self._peek().text) in ("+", "-") and sign:
            self._at += 1
            total += self._unary() if sign == "+" else -self._unary()
        return total

    def _unary(self) -> int:
        word = self._peek()
        self._at += 1
        if word.text in ("+", "-"):
            return self._unary() * (-1 if word.text == "-" else 1)
        if word.text == "(":
            return self._parenthesis()
        if word.kind not in (Kind.NUMBER, Kind.DURATION):
            shown = word.text or "end of input"
            raise error_at(self._source, word.at, f"unexpected {shown!r}, expected duration")
        try:
            return duration_ms(word.text)
        except ParseError as error:
            raise error_at(self._source, word.at, error.reason) from error

    def _parenthesis(self) -> int:
        total = self._sum()
        if self._peek().text != ")":
            raise error_at(self._source, self._peek().at, "unclosed left parenthesis")
        self._at += 1
        return total

    def _time(self) -> bool:
        ahead, sign = 1, 1.0
        while self._peek(ahead).text in ("+", "-") and self._peek(ahead).text:
            sign = -sign if self._peek(ahead).text == "-" else sign
            ahead += 1
        word = self._peek(ahead)
        if word.kind is Kind.WORD and word.keyword in ("inf", "nan"):
            raise error_at(self._source, word.at, _out_of_bounds(sign, word.text))
        if word.kind is not Kind.NUMBER:
            return False
        ms = sign * number(word.text) * 1000
        if not math.isfinite(ms) or abs(ms) >= _HUGE_MS:
            raise error_at(self._source, word.at, _out_of_bounds(sign, word.text))
        self._out.append(f"@ {len(self._result.times)}")
        self._result.times.append(round(ms))
        self._at += ahead + 1
        return True


def _out_of_bounds(sign: float, text: str) -> str:
    shown = "-" if sign < 0 else ""
    return f"timestamp out of bounds for @ modifier: {shown}{text}"
