"""PromQL text to a tree, or the complaint of Prometheus' own parser.

A recursive descent over the words: operators climb by how tightly they bind, and what stands
behind an operand (`[5m]`, `offset`, `@`) belongs to it. Types are checked once the whole text
is known to be a sentence (`typecheck`). Source: Prometheus, "Querying basics" and
`promql/parser/generated_parser.y`.

Parsed and refused, since native histograms are not supported: the operators `</` and `>/`.
The modifiers `anchored` and `smoothed` are refused as well.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matchers, MatchOp, matcher
from tocsin.promql import ast
from tocsin.promql.duration_syntax import (
    WANTED_OR_CLOSED,
    number_or_duration,
    offset_duration,
    positive_duration,
)
from tocsin.promql.durations import (
    Duration,
    DurationLiteral,
    QueryTimes,
    depends_on_query,
    milliseconds,
)
from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import SET_OPERATORS, Kind, Word, position
from tocsin.promql.literals import seconds_ms, unquote
from tocsin.promql.reader import Grammar, Mode, Reader
from tocsin.promql.selector_syntax import braces, grouping
from tocsin.promql.signatures import SIGNATURES
from tocsin.promql.typecheck import Places, check_types

__all__ = ["DEFAULT", "Grammar", "Mode", "check", "parse", "parse_selector"]

DEFAULT = Grammar()

_BINDING = (
    {"or": 1, "and": 2, "unless": 2}
    | dict.fromkeys(("==", "!=", "<=", "<", ">=", ">"), 3)
    | dict.fromkeys(("+", "-"), 4)
    | dict.fromkeys(("*", "/", "%", "atan2"), 5)
    | {"^": 7}
)
_LOOSEST, _SIGN, _POWER = 1, 6, 7  # a sign binds as a product does: -x ^ 2 is -(x ^ 2)
_WITH_PARAMETER = frozenset(
    ("topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio")
)
_EXPERIMENTAL = frozenset(("limitk", "limit_ratio"))
_NO_METRIC = frozenset(("bool", "on", "ignoring", "group_left", "group_right"))
_TRIMS = ("</", ">/")
_FILLS = ("fill", "fill_left", "fill_right")
_SMOOTHING = "double_exponential_smoothing"
_FURTHEST_S = 2**63  # what Prometheus allows after `@`
_FURTHEST_MS = 2**63 - 1


@functools.lru_cache(maxsize=4096)
def parse(text: str, grammar: Grammar = DEFAULT) -> ast.Expr:
    """Return the tree of `text`. Raises ParseError (`1:<column>: parse error: …`)."""
    return _Parser(Reader(text, grammar)).whole()


@functools.lru_cache(maxsize=1024)
def parse_selector(text: str, grammar: Grammar = DEFAULT) -> Matchers:
    """Return the matchers of `name{…}` alone, without range or offset. Raises ParseError."""
    return _Parser(Reader(text, grammar)).selector_alone().matchers


def check(text: str, grammar: Grammar = DEFAULT) -> None:
    """Raise ParseError unless `text` is PromQL."""
    parse(text, grammar)


class _Parser:
    """Reads one expression. Each method reads what its name says and returns the node."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._places = Places(reader.text)

    def whole(self) -> ast.Expr:
        reader = self._reader
        if reader.peek().kind is Kind.END:
            raise ParseError("no expression found in input")
        tree = self._expression(_LOOSEST)
        if reader.peek().kind is not Kind.END:
            raise reader.unexpected()
        check_types(tree, self._places)
        return tree

    def selector_alone(self) -> ast.VectorSelector:
        found = self._selector()
        if self._reader.peek().kind is not Kind.END:
            raise self._reader.unexpected()
        return found

    def _expression(self, binding: int) -> ast.Expr:
        reader = self._reader
        with reader.deeper():
            start = reader.peek().at
            left = self._unary()
            while self._binding() >= binding:
                reader.count_operator()
                left = self._placed(self._binary(left, reader.take()), start)
            return left

    def _binding(self) -> int:
        """Return how tightly the operator ahead binds, 0 when there is none."""
        word = self._reader.peek()
        if word.kind is not Kind.OPERATOR:
            return 0
        if word.text in _TRIMS:
            reason = f'operator "{word.text}" trims native histograms, which are not supported'
            raise self._reader.error(word.at, reason)
        return _BINDING.get(word.lower, 0)

    def _binary(self, left: ast.Expr, sign: Word) -> ast.Binary:
        op, own = ast.BinaryOp(sign.lower), _BINDING[sign.lower]
        return_bool = self._reader.skip("bool") is not None
        matching = self._matching(sets=sign.lower in SET_OPERATORS)
        right = self._expression(own if own == _POWER else own + 1)
        node = ast.Binary(op, left, right, matching, return_bool)
        self._places.operator(node, sign.at)
        return node

    def _matching(self, *, sets: bool) -> ast.Matching:
        reader = self._reader
        found = ast.Matching(ast.Cardinality.MANY_TO_MANY if sets else ast.Cardinality.ONE_TO_ONE)
        if how := reader.skip("on", "ignoring"):
            found = replace(found, on=how.lower == "on", labels=grouping(reader))
            if side := reader.skip("group_left", "group_right"):
                left = side.lower == "group_left"
                many = ast.Cardinality.MANY_TO_ONE if left else ast.Cardinality.ONE_TO_MANY
                include = grouping(reader) if reader.sees("(") else ()
                found = replace(found, cardinality=many, include=include)
        return self._filled(found)

    def _filled(self, found: ast.Matching) -> ast.Matching:
        """Read `fill(0)`, or `fill_left(…)` and `fill_right(…)` in either order."""
        reader, seen = self._reader, set[str]()
        while reader.sees(*_FILLS) and reader.after.text == "(":
            word = reader.take()
            reader.experimental(word.at, "binop fill modifiers are experimental and not enabled")
            if word.lower in seen or (seen and "fill" in (*seen, word.lower)):
                raise reader.error(word.at, f"unexpected {word.described()}")
            seen.add(word.lower)
            value = self._fill_value()
            if word.lower != "fill_right":
                found = replace(found, fill_left=value)
            if word.lower != "fill_left":
                found = replace(found, fill_right=value)
        return found

    def _fill_value(self) -> float:
        reader = self._reader
        reader.take()
        value = self._signed_number("fill modifier", "number")
        if not reader.skip(")"):
            raise reader.unexpected("fill modifier", '")"')
        return value

    def _unary(self) -> ast.Expr:
        reader, signs = self._reader, list[Word]()
        while sign := reader.skip("+", "-"):
            reader.count_operator()
            signs.append(sign)
        if not signs:
            return self._operand()
        found = self._expression(_SIGN)
        for sign in reversed(signs):
            found = self._placed(self._signed(sign, found), sign.at)
        return found

    def _signed(self, sign: Word, operand: ast.Expr) -> ast.Expr:
        if isinstance(operand, ast.NumberLiteral):
            return replace(operand, value=-operand.value) if sign.text == "-" else operand
        return ast.Negation(operand) if sign.text == "-" else ast.Paren(operand, plus=True)

    def _operand(self) -> ast.Expr:
        start = self._reader.peek().at
        found = self._placed(self._primary(), start)
        while (changed := self._modified(found)) is not None:
            found = self._placed(changed, start)
        return found

    def _modified(self, found: ast.Expr) -> ast.Expr | None:
        """Return `found` with the modifier behind it, None when there is none."""
        reader = self._reader
        if reader.sees("["):
            return self._bracket(found)
        if reader.skip("offset"):
            return self._offset(found, offset_duration(reader))
        if reader.skip("@"):
            return self._at(found)
        if word := reader.skip("anchored", "smoothed"):
            raise reader.error(self._places.start(found), f"{word.lower} modifier is not supported")
        return None

    def _primary(self) -> ast.Expr:
        reader = self._reader
        word = reader.peek()
        match word.kind:
            case Kind.NUMBER | Kind.DURATION:
                value = number_or_duration(reader, reader.take())
                return ast.NumberLiteral(value, duration=word.kind is Kind.DURATION)
            case Kind.STRING:
                return ast.StringLiteral(unquote(reader.take().text))
            case Kind.AGGREGATOR if self._aggregates():
                return self._aggregation(reader.take())
            case Kind.IDENTIFIER | Kind.PREPROCESSOR if reader.after.text == "(":
                return self._call(reader.take())
        if reader.sees("("):
            return self._parenthesis()
        return self._selector()

    def _parenthesis(self) -> ast.Paren:
        self._reader.take()
        inner = self._expression(_LOOSEST)
        if not self._reader.skip(")"):
            raise self._reader.unexpected()
        return ast.Paren(inner)

    def _selector(self) -> ast.VectorSelector:
        reader, name = self._reader, ""
        if self._names_a_metric(reader.peek()):
            name = reader.take().text
        elif not reader.sees("{"):
            raise reader.unexpected()
        found = braces(reader) if reader.sees("{") else []
        if name:
            found.insert(0, matcher(METRIC_NAME, MatchOp.EQUAL, name))
        return ast.VectorSelector(tuple(found), name=name)

    def _names_a_metric(self, word: Word) -> bool:
        if word.kind is Kind.OPERATOR:
            return word.lower in SET_OPERATORS
        return word.kind in _METRICS and word.lower not in _NO_METRIC

    def _aggregates(self) -> bool:
        """Tell whether the name of an aggregation begins one, and is not a metric's."""
        after = self._reader.after
        return after.text == "(" or after.lower in ("by", "without")

    def _aggregation(self, name: Word) -> ast.Aggregate:
        reader, op = self._reader, name.lower
        by = self._by()
        if not reader.sees("("):
            raise reader.unexpected("aggregation")
        with reader.aggregation():
            arguments, places = self._arguments()
        labels, without = by or self._by() or ((), False)
        if op in _EXPERIMENTAL:
            reader.experimental(name.at, f"{op}() is experimental and not enabled")
        wanted = 2 if op in _WITH_PARAMETER else 1
        if not arguments:
            raise reader.error(name.at, "no arguments for aggregate expression provided")
        if len(arguments) != wanted:
            reason = "wrong number of arguments for aggregate expression provided"
            raise reader.error(name.at, f"{reason}, expected {wanted}, got {len(arguments)}")
        param = arguments[0] if wanted == 2 else None
        return ast.Aggregate(op, arguments[-1], param, labels, without, places[0])

    def _by(self) -> tuple[tuple[str, ...], bool] | None:
        """Read `by (…)` or `without (…)`; None when there is neither."""
        how = self._reader.skip("by", "without")
        return None if how is None else (grouping(self._reader), how.lower == "without")

    def _call(self, word: Word) -> ast.Call:
        reader, name = self._reader, word.text
        old = reader.grammar.mode == "2.42" and name == "holt_winters"
        name = _SMOOTHING if old else name
        arguments, places = self._arguments()
        signature = SIGNATURES.get(name)
        if signature is None:
            raise reader.error(word.at, f'unknown function with name "{word.text}"')
        if signature.experimental and not old:
            reader.experimental(word.at, f'function "{word.text}" is not enabled')
        return ast.Call(name, tuple(arguments), places)

    def _arguments(self) -> tuple[list[ast.Expr], tuple[str, ...]]:
        """Read `(…)`; return the arguments and the `line:column` of each."""
        reader, found, places = self._reader, list[ast.Expr](), list[str]()
        reader.take()
        while not reader.sees(")"):
            line, column = position(reader.text, reader.peek().at)
            places.append(f"{line}:{column}")
            found.append(self._expression(_LOOSEST))
            comma = reader.skip(",")
            if comma is None and not reader.sees(")"):
                raise reader.unexpected()
            if comma is not None and reader.sees(")"):
                raise reader.error(comma.at, "trailing commas not allowed in function call args")
        reader.take()
        return found, tuple(places)

    def _bracket(self, inner: ast.Expr) -> ast.Expr:
        """Read `[range]` or `[range:step]` behind `inner`."""
        reader = self._reader
        opening = reader.take()
        span = positive_duration(reader, "subquery or range selector")
        if reader.skip(":"):
            return self._subquery(inner, span)
        if not reader.skip("]"):
            raise reader.unexpected("subquery or range", '":" or "]"')
        if not isinstance(inner, ast.VectorSelector):
            raise reader.error(opening.at, "ranges only allowed for vector selectors")
        if inner.offset_ms or inner.offset_expr:
            raise reader.error(opening.at, "no offset modifiers allowed before range")
        if inner.at is not None:
            raise reader.error(opening.at, "no @ modifiers allowed before range")
        return ast.MatrixSelector(inner, *_known(span, positive=True))

    def _subquery(self, inner: ast.Expr, span: Duration) -> ast.Subquery:
        reader = self._reader
        step_ms, step_expr = 0, None
        if not reader.sees("]"):
            step = positive_duration(reader, "subquery selector", WANTED_OR_CLOSED)
            step_ms, step_expr = _known(step, positive=True)
        if not reader.skip("]"):
            raise reader.unexpected("subquery selector", '"]"')
        range_ms, range_expr = _known(span, positive=True)
        return ast.Subquery(inner, range_ms, step_ms, range_expr=range_expr, step_expr=step_expr)

    def _offset(self, found: ast.Expr, offset: Duration) -> ast.Expr:
        reader, start = self._reader, self._places.start(found)
        target = found.selector if isinstance(found, ast.MatrixSelector) else found
        if not isinstance(target, ast.VectorSelector | ast.Subquery):
            raise reader.error(start, f"offset modifier {_PRECEDED}")
        if target.offset_ms or target.offset_expr:
            raise reader.error(start, "offset may not be set multiple times")
        ms, expr = _known(offset, positive=False)
        return _inside(found, replace(target, offset_ms=ms, offset_expr=expr))

    def _at(self, found: ast.Expr) -> ast.Expr:
        reader, start = self._reader, self._places.start(found)
        at = self._timestamp(start)
        target = found.selector if isinstance(found, ast.MatrixSelector) else found
        if not isinstance(target, ast.VectorSelector | ast.Subquery):
            raise reader.error(start, f"@ modifier {_PRECEDED}")
        if target.at is not None:
            raise reader.error(start, "@ <timestamp> may not be set multiple times")
        return _inside(found, replace(target, at=at))

    def _timestamp(self, start: int) -> ast.At:
        reader = self._reader
        if bound := reader.skip("start", "end"):
            for sign in ("(", ")"):
                if not reader.skip(sign):
                    raise reader.unexpected("@", "timestamp")
            return ast.At(ast.AtKind(bound.lower))
        seconds = self._signed_number("@", "timestamp")
        if not abs(seconds) < _FURTHEST_S:
            shown = "NaN" if math.isnan(seconds) else _INFINITIES.get(seconds, f"{seconds:f}")
            raise reader.error(start, f"timestamp out of bounds for @ modifier: {shown}")
        ms = math.floor(abs(seconds) * 1000 + 0.5)
        return ast.At(ast.AtKind.TIME, min(ms, _FURTHEST_MS) * (-1 if seconds < 0 else 1))

    def _signed_number(self, context: str, expected: str) -> float:
        reader = self._reader
        sign = reader.skip("+", "-")
        if reader.peek().kind not in (Kind.NUMBER, Kind.DURATION):
            raise reader.unexpected(context, expected)
        value = number_or_duration(reader, reader.take())
        return -value if sign is not None and sign.text == "-" else value

    def _placed(self, node: ast.Expr, start: int) -> ast.Expr:
        self._places.mark(node, start)
        return node


def _known(expr: Duration, *, positive: bool) -> tuple[int, Duration | None]:
    """Return the milliseconds of a duration as far as they are known, and any arithmetic."""
    if isinstance(expr, DurationLiteral):
        return seconds_ms(expr.seconds), None
    if depends_on_query(expr):
        return 0, expr
    try:
        return milliseconds(expr, QueryTimes(), positive=positive), expr
    except InvalidInput:
        return 0, expr  # said when the query is asked, as Prometheus does


def _inside(found: ast.Expr, selector: ast.VectorSelector | ast.Subquery) -> ast.Expr:
    """Return `found` with another selector in it, or in its place."""
    if isinstance(found, ast.MatrixSelector) and isinstance(selector, ast.VectorSelector):
        return replace(found, selector=selector)
    return selector


_PRECEDED = "must be preceded by an instant vector selector or range vector selector or a subquery"
_METRICS = frozenset(
    (Kind.IDENTIFIER, Kind.METRIC, Kind.KEYWORD, Kind.PREPROCESSOR, Kind.AGGREGATOR)
)
_INFINITIES = {math.inf: "+Inf", -math.inf: "-Inf"}
