"""The words of one text, read one after the other; and what the sentence so far allows.

The complaints are those of Prometheus' parser: what was unexpected, where, and what was
expected in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import Kind, Word, error_at, words

Mode = Literal["3", "2.42"]
_DEEPEST = 100  # nested brackets; reading one takes up to 6 Python frames of 1,000
_MOST_OPERATORS = 1000


@dataclass(frozen=True, slots=True)
class Grammar:
    """Which PromQL is accepted: the version, and whether experimental functions are."""

    mode: Mode = "3"
    experimental: bool = False


class Reader:
    """Where the parser stands in a text."""

    def __init__(self, text: str, grammar: Grammar) -> None:
        """Begin at the first word."""
        self.text = text
        self.grammar = grammar
        self._words = words(text)
        self._at = 0
        self._aggregations = 0
        self._depth = 0
        self._operators = 0

    def peek(self) -> Word:
        """Return the word to be read. Raises ParseError when the lexer could make none of it."""
        word = self._words[self._at]
        if word.kind is Kind.FAULT:
            raise error_at(self.text, word.at, word.text)
        return word

    @property
    def after(self) -> Word:
        """Return the word after the next; the last word where there is none."""
        return self._words[min(self._at + 1, len(self._words) - 1)]

    def take(self) -> Word:
        """Return the next word and go on."""
        word = self.peek()
        self._at += 1
        return word

    def sees(self, *texts: str) -> bool:
        """Tell whether the next word is a sign, an operator or a keyword of these."""
        word = self.peek()
        return word.kind in _FIXED and word.lower in texts

    def skip(self, *texts: str) -> Word | None:
        """Go past the next word if it is one of these, and return it."""
        return self.take() if self.sees(*texts) else None

    def error(self, at: int, reason: str) -> ParseError:
        """Return an error about what begins at character `at`."""
        return error_at(self.text, at, reason)

    def unexpected(self, context: str = "", expected: str = "") -> ParseError:
        """Return an error about the next word; anywhere in an aggregation that is the context."""
        word = self.peek()
        context = context or ("aggregation" if self._aggregations else "")
        reason = f"unexpected {word.described()}"
        reason += f" in {context}" if context else ""
        reason += f", expected {expected}" if expected else ""
        return self.error(word.at, reason)

    def experimental(self, at: int, reason: str) -> None:
        """Raise ParseError with `reason` unless experimental features are admitted."""
        if not self.grammar.experimental:
            raise self.error(at, reason)

    @contextmanager
    def aggregation(self) -> Iterator[None]:
        """Read the body of an aggregation."""
        self._aggregations += 1
        yield
        self._aggregations -= 1

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Read what is nested. Raises ParseError when it is nested too deeply."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(self.peek().at, TOO_DEEP)
        yield
        self._depth -= 1

    def count_operator(self) -> None:
        """Note one operator more. Raises ParseError when there are too many."""
        self._operators += 1
        if self._operators > _MOST_OPERATORS:
            raise self.error(self.peek().at, TOO_DEEP)


TOO_DEEP = "expression is nested too deeply or too long"
_FIXED = (Kind.SIGN, Kind.OPERATOR, Kind.KEYWORD, Kind.PREPROCESSOR)
