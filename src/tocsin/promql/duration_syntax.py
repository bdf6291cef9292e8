"""Reads durations: after `[`, after the colon of a subquery, and after `offset`.

A number alone is seconds. Arithmetic, `step()`, `range()`, `min_of()` and `max_of()` are
experimental; after `offset` arithmetic needs parentheses, as in Prometheus.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.promql.durations import (
    Duration,
    DurationCall,
    DurationFunction,
    DurationLiteral,
    DurationOp,
    DurationOperation,
)
from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import Kind, Word
from tocsin.promql.literals import go_quoted, number
from tocsin.promql.reader import Reader

WANTED = "number, duration, step(), or range()"
WANTED_OR_CLOSED = 'number, duration, step(), range(), or "]"'
_LONGEST_S = 2**63 / 1e9  # an int64 of nanoseconds, as in Go
_SUM, _PRODUCT, _POWER = 1, 2, 4  # binding; a sign binds between product and power
_BINDING = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT, "^": _POWER}


def number_or_duration(reader: Reader, word: Word) -> float:
    """Return the value of a literal, in seconds where it is a duration. Raises ParseError."""
    try:
        if word.kind is Kind.DURATION:
            return parse_duration(word.text).total_seconds()
        return number(word.text)
    except ParseError as error:
        raise reader.error(word.at, error.reason) from error
    except InvalidInput as error:
        out_of_range = str(error).startswith("duration out of range")
        shown = go_quoted(word.text)
        reason = (
            "duration out of range" if out_of_range else f"not a valid duration string: {shown}"
        )
        raise reader.error(word.at, reason) from error


def positive_duration(reader: Reader, context: str, expected: str = WANTED) -> Duration:
    """Read the range or the step of a selector, above zero where it is known by now."""
    start = reader.peek().at
    found = _expression(reader, _SUM, (context, expected))
    if isinstance(found, DurationLiteral) and not found.seconds > 0:
        raise reader.error(start, "duration must be greater than 0")
    return found


def offset_duration(reader: Reader) -> Duration:
    """Read what stands after `offset`: one literal, one call, or what parentheses hold."""
    where = ("offset", WANTED)
    sign = reader.skip("+", "-")
    found = _operand(reader, where)
    return found if sign is None else _signed(reader, sign, found)


def _expression(reader: Reader, binding: int, where: tuple[str, str]) -> Duration:
    with reader.deeper():
        left = _unary(reader, where)
        while (own := _BINDING.get(reader.peek().text, 0)) >= binding:
            sign = reader.take()
            right = _expression(reader, own if own == _POWER else own + 1, ("", ""))
            left = _operation(reader, sign, left, right)
        return left


def _operation(reader: Reader, sign: Word, left: Duration, right: Duration) -> Duration:
    reader.experimental(left.span[0], _NOT_ENABLED)
    op = DurationOp(sign.text)
    if op in _BY_ZERO and isinstance(right, DurationLiteral) and right.seconds == 0:
        raise reader.error(sign.at, _BY_ZERO[op])
    return DurationOperation(op, left, right, span=(left.span[0], right.span[1]))


def _unary(reader: Reader, where: tuple[str, str]) -> Duration:
    sign = reader.skip("+", "-")
    if sign is None:
        return _operand(reader, where)
    return _signed(reader, sign, _expression(reader, _POWER, where))


def _signed(reader: Reader, sign: Word, found: Duration) -> Duration:
    span = (sign.at, found.span[1])
    if isinstance(found, DurationLiteral):
        value = -found.seconds if sign.text == "-" else found.seconds
        return replace(found, seconds=value, span=span)
    reader.experimental(sign.at, _NOT_ENABLED)
    if sign.text == "+":
        return found
    return DurationOperation(DurationOp.SUB, None, found, span=span)


def _operand(reader: Reader, where: tuple[str, str]) -> Duration:
    word = reader.peek()
    if word.kind in (Kind.NUMBER, Kind.DURATION):
        return _literal(reader, reader.take())
    if word.lower in _CALLS and reader.after.text == "(":
        return _call(reader, reader.take())
    if reader.skip("("):
        inner = _expression(reader, _SUM, ("", ""))
        _closed(reader)
        reader.experimental(inner.span[0], _NOT_ENABLED)
        return inner if isinstance(inner, DurationLiteral) else replace(inner, wrapped=True)
    raise reader.unexpected(*where)


def _literal(reader: Reader, word: Word) -> DurationLiteral:
    seconds = number_or_duration(reader, word)
    if not abs(seconds) <= _LONGEST_S:
        raise reader.error(word.at, "duration out of range")
    return DurationLiteral(seconds, unit=word.kind is Kind.DURATION, span=(word.at, word.end))


def _call(reader: Reader, word: Word) -> Duration:
    reader.take()
    name = _CALLS[word.lower]
    if name in ("step", "range"):
        end = _closed(reader).end
        found: Duration = DurationCall(DurationFunction(name), span=(word.at, end))
    else:
        left = _expression(reader, _SUM, ("", ""))
        if not reader.skip(","):
            raise reader.unexpected()
        right = _expression(reader, _SUM, ("", ""))
        end = _closed(reader).end
        found = DurationOperation(DurationOp(name), left, right, span=(word.at, end))
    reader.experimental(word.at, _NOT_ENABLED)
    return found


def _closed(reader: Reader) -> Word:
    closing = reader.skip(")")
    if closing is None:
        raise reader.unexpected()
    return closing


_CALLS = {name: name for name in ("step", "range", "min_of", "max_of")}
_CALLS |= {"min": "min_of", "max": "max_of"}  # what they were called before
_NOT_ENABLED = "experimental duration expression is not enabled"
_BY_ZERO = {DurationOp.DIV: "division by zero", DurationOp.MOD: "modulo by zero"}
