"""Reads what stands in braces and after `by`, `on`, …: matchers of labels, and their names."""

from __future__ import annotations

from dataclasses import replace

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matcher, MatchOp, matcher
from tocsin.model.pattern import pattern
from tocsin.promql.lexer import Kind, Word
from tocsin.promql.literals import is_utf8, unquote
from tocsin.promql.reader import Reader

_OPERATORS = ("=", "!=", "=~", "!~")
_NAMES = (Kind.IDENTIFIER, Kind.METRIC, Kind.KEYWORD, Kind.PREPROCESSOR, Kind.AGGREGATOR)


def braces(reader: Reader) -> list[Matcher]:
    """Read `{a="b", …}`. Raises ParseError."""
    reader.take()
    found: list[Matcher] = []
    while not reader.sees("}"):
        found.append(_matcher(reader))
        if not reader.skip(",") and not reader.sees("}"):
            raise reader.unexpected("label matching", '"," or "}"')
    reader.take()
    return found


def grouping(reader: Reader) -> tuple[str, ...]:
    """Read `(a, b)`, names of labels. Raises ParseError."""
    where = "grouping opts"
    if not reader.skip("("):
        raise reader.unexpected(where, '"("')
    found: list[str] = []
    while not reader.sees(")"):
        found.append(_label(reader, where))
        if not reader.skip(",") and not reader.sees(")"):
            raise reader.unexpected(where, '"," or ")"')
    reader.take()
    return tuple(found)


def label_set(reader: Reader) -> list[tuple[str, str]]:
    """Read `{a="b", …}`, the labels of one series; a string alone is its name."""
    reader.take()
    found: list[tuple[str, str]] = []
    while not reader.sees("}"):
        found.append(_pair(reader))
        if not reader.skip(",") and not reader.sees("}"):
            raise reader.unexpected("label set", '"," or "}"')
    reader.take()
    return found


def _matcher(reader: Reader) -> Matcher:
    where = "label matching"
    word = reader.peek()
    if word.kind not in (Kind.IDENTIFIER, Kind.STRING):
        raise reader.unexpected(where, 'identifier or "}"')
    name = _text(reader.take())
    if not reader.sees(*_OPERATORS):
        if word.kind is Kind.STRING:
            return matcher(METRIC_NAME, MatchOp.EQUAL, name)
        raise reader.unexpected(where, "label matching operator")
    op = MatchOp(reader.take().text)
    if reader.peek().kind is not Kind.STRING:
        raise reader.unexpected(where, "string")
    value = unquote(reader.take().text)
    try:
        return _compiled(matcher(name, op, value), reader)
    except InvalidInput as error:
        raise reader.error(word.at, _pattern_fault(value, str(error))) from error


def _pattern_fault(value: str, reason: str) -> str:
    """Return what RE2 says of a pattern in the words of Go's regexp."""
    said = reason.removeprefix(f"bad regular expression {value!r}: ")
    code, colon, part = said.partition(": ")
    if not colon:
        return reason
    return f"error parsing regexp: {_IN_GO.get(code, code)}: `{part}`"


def _compiled(found: Matcher, reader: Reader) -> Matcher:
    """Return the matcher with a pattern as the version of Prometheus reads it."""
    if reader.grammar.mode == "2.42" and found.pattern and found.pattern.literals is None:
        return replace(found, pattern=pattern(f"(?-s:{found.value})"))
    return found


def _label(reader: Reader, where: str) -> str:
    word = reader.peek()
    known = word.kind in _NAMES or word.lower in _WORDS
    if not known and word.kind is not Kind.STRING:
        raise reader.unexpected(where, "label")
    name = _text(reader.take())
    if not name or not is_utf8(name):
        raise reader.error(word.at, 'invalid label name for grouping: ""')
    return name


def _pair(reader: Reader) -> tuple[str, str]:
    where = "label set"
    word = reader.peek()
    if word.kind not in (Kind.IDENTIFIER, Kind.STRING):
        raise reader.unexpected(where, 'identifier or "}"')
    name = _text(reader.take())
    if not reader.skip("="):
        if word.kind is Kind.STRING:
            return METRIC_NAME, name
        raise reader.unexpected(where, '"="')
    if reader.peek().kind is not Kind.STRING:
        raise reader.unexpected(where, "string")
    return name, unquote(reader.take().text)


def _text(word: Word) -> str:
    return unquote(word.text) if word.kind is Kind.STRING else word.text


_IN_GO = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "trailing \\": "trailing backslash at end of expression",
}
_WORDS = ("and", "or", "unless", "atan2")  # operators that may be names of labels
