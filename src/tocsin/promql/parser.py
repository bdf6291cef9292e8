"""PromQL text to our own tree, by way of the promql-parser library.

The library is the grammar and the type check; `normalise` bridges what it reads differently.
Not supported, with an error: duration expressions with `step()` or `range()`, the `anchored` and
`smoothed` modifiers, the native-histogram operators `</` and `>/`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import promql_parser

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matcher, MatchOp, matcher
from tocsin.model.pattern import pattern
from tocsin.promql import ast
from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import KEYWORDS, Kind, Site, position, words
from tocsin.promql.literals import restore
from tocsin.promql.normalise import Normalised, normalise

Mode = Literal["3", "2.42"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """Which PromQL is accepted: the version, and whether experimental functions are."""

    mode: Mode = "3"
    experimental: bool = False


DEFAULT = Grammar()
# Evaluation takes up to 7 Python frames for a call within a call, 3 for an operator; the
# interpreter allows 1,000 in all.
_DEEPEST = 240
_DEPTH_COST: dict[type, int] = {
    promql_parser.Call: 3,
    promql_parser.AggregateExpr: 3,
    promql_parser.SubqueryExpr: 3,
}
_EXPERIMENTAL_AGGREGATORS = frozenset(("limitk", "limit_ratio"))
_SMOOTHING = "double_exponential_smoothing"


@functools.lru_cache(maxsize=4096)
def parse(text: str, grammar: Grammar = DEFAULT) -> ast.Expr:
    """Return the tree of `text`. Raises ParseError (`1:<column>: parse error: …`)."""
    renamed = {"holt_winters": _SMOOTHING} if grammar.mode == "2.42" else {}
    ready = normalise(text, renamed=renamed)
    try:
        tree = promql_parser.parse(ready.text)
    except ValueError as error:
        raise _explained(str(error), text, ready) from error
    return _Converter(text, ready, grammar).expr(tree)


def check(text: str, grammar: Grammar = DEFAULT) -> None:
    """Raise ParseError unless `text` is PromQL."""
    parse(text, grammar)


def _explained(reason: str, text: str, ready: Normalised) -> ParseError:
    """Return the library's complaint with a place where the words tell one."""
    named = re.search(r"function (?:with name )?'(\w+)'", reason)
    if named:
        site = next((s for s in ready.sites.calls if s.name == named[1]), None)
        line, column = position(text, site.at) if site else (1, 1)
        reason = re.sub(r"'(\w+)'", r'"\1"', reason)
        return ParseError(reason, line=line, column=column)
    if reason == "invalid promql query":
        return _unexpected(text)
    return ParseError(reason)


def _unexpected(text: str) -> ParseError:
    """Return the error for text that is no sentence of the grammar, which says no more."""
    found = words(text)
    if not found:
        return ParseError("no expression found in input")
    last = found[-1]
    if last.keyword in KEYWORDS or (last.kind is Kind.SIGN and last.text not in ")]}"):
        line, column = position(text, len(text))
        return ParseError("unexpected end of input", line=line, column=column)
    return ParseError("unexpected input")


class _Converter:
    """Turns library nodes into ours, putting back what `normalise` took out."""

    def __init__(self, text: str, ready: Normalised, grammar: Grammar) -> None:
        self._text = text
        self._ready = ready
        self._grammar = grammar
        self._calls = iter(ready.sites.calls)
        self._aggregations = iter(ready.sites.aggregations)
        self._depth = 0
        self._free: Any = None  # the selector that may match anything: info()'s second operand
        self._kinds: dict[type, Callable[[Any], ast.Expr]] = {
            promql_parser.NumberLiteral: lambda node: ast.NumberLiteral(node.val),
            promql_parser.StringLiteral: lambda node: ast.StringLiteral(restore(node.val)),
            promql_parser.VectorSelector: self._selector,
            promql_parser.MatrixSelector: self._range,
            promql_parser.SubqueryExpr: self._subquery,
            promql_parser.UnaryExpr: lambda node: ast.Negation(self.expr(node.expr)),
            promql_parser.ParenExpr: lambda node: ast.Paren(self.expr(node.expr)),
            promql_parser.BinaryExpr: self._binary,
            promql_parser.AggregateExpr: self._aggregate,
            promql_parser.Call: self._call,
        }

    def expr(self, node: Any) -> ast.Expr:
        cost = _DEPTH_COST.get(type(node), 1)
        self._depth += cost
        if self._depth > _DEEPEST:
            raise ParseError("expression is nested too deeply")
        converted = self._kinds[type(node)](node)
        self._depth -= cost
        return converted

    def _selector(self, node: Any) -> ast.VectorSelector:
        if node.matchers.or_matchers:
            raise ParseError('unexpected "or" in label matching')
        found = [self._matcher(m) for m in node.matchers.matchers]
        if node.name:
            found.insert(0, matcher(METRIC_NAME, MatchOp.EQUAL, restore(node.name)))
        if all(m.matches("") for m in found) and node is not self._free:
            raise ParseError("vector selector must contain at least one non-empty matcher")
        return ast.VectorSelector(tuple(found), self._ms(node.offset), self._at(node.at))

    def _matcher(self, node: Any) -> Matcher:
        name, op = restore(node.name), _OPS[str(node.op)]
        if not op.is_regex:
            return matcher(name, op, restore(node.value))
        text = self._ready.patterns[int(node.value[1:])]
        try:
            found = matcher(name, op, text)
        except InvalidInput as error:
            raise ParseError(str(error)) from error
        if self._grammar.mode == "2.42" and found.pattern and found.pattern.literals is None:
            return replace(found, pattern=pattern(f"(?-s:{text})"))
        return found

    def _range(self, node: Any) -> ast.MatrixSelector:
        return ast.MatrixSelector(self._selector(node.vector_selector), self._ms(node.range))

    def _subquery(self, node: Any) -> ast.Subquery:
        return ast.Subquery(
            self.expr(node.expr),
            range_ms=self._ms(node.range),
            step_ms=self._ms(node.step),
            offset_ms=self._ms(node.offset),
            at=self._at(node.at),
        )

    def _ms(self, value: timedelta | None) -> int:
        if value is None:
            return 0
        return self._ready.durations[value // timedelta(milliseconds=1) - 1]

    def _at(self, node: Any) -> ast.At | None:
        if node is None:
            return None
        kind = ast.AtKind(_AT_KINDS[str(node.type)])
        if kind is not ast.AtKind.TIME:
            return ast.At(kind)
        when: datetime = node.at
        return ast.At(kind, self._ready.times[int(when.timestamp())])

    def _binary(self, node: Any) -> ast.Binary:
        left, right = self.expr(node.lhs), self.expr(node.rhs)
        op, modifier = ast.BinaryOp(str(node.op)), node.modifier
        if modifier is None:
            return ast.Binary(op, left, right)
        return ast.Binary(op, left, right, _matching(modifier), bool(modifier.return_bool))

    def _aggregate(self, node: Any) -> ast.Aggregate:
        op = str(node.op).lower()
        site = next(self._aggregations, None)
        if op in _EXPERIMENTAL_AGGREGATORS and not self._grammar.experimental:
            raise self._error(site, f"{op}() is experimental and not enabled")
        places = self._places(site)
        param = None if node.param is None else self.expr(node.param)
        by = node.modifier
        return ast.Aggregate(
            op,
            self.expr(node.expr),
            param=param,
            labels=tuple(restore(label) for label in by.labels) if by else (),
            without=bool(by) and str(by.type).endswith("Without"),
            place=places[0] if places else "1:1",
        )

    def _call(self, node: Any) -> ast.Call:
        name, site = node.func.name, next(self._calls, None)
        renamed = self._grammar.mode == "2.42" and name == _SMOOTHING
        if node.func.experimental and not self._grammar.experimental and not renamed:
            raise self._error(site, f'function "{name}" is not enabled')
        return ast.Call(name, self._arguments(name, node.args), self._places(site))

    def _arguments(self, name: str, nodes: list[Any]) -> tuple[ast.Expr, ...]:
        found = []
        for i, node in enumerate(nodes):
            self._free = node if name == "info" and i == 1 else None
            found.append(self.expr(node))
        return tuple(found)

    def _places(self, site: Site | None) -> tuple[str, ...]:
        if site is None:
            return ()
        spots = (position(self._text, at) for at in site.arguments)
        return tuple(f"{line}:{column}" for line, column in spots)

    def _error(self, site: Site | None, reason: str) -> ParseError:
        line, column = position(self._text, site.at) if site else (1, 1)
        return ParseError(reason, line=line, column=column)


def _matching(modifier: Any) -> ast.Matching:
    found = modifier.matching
    return ast.Matching(
        cardinality=_CARDINALITIES[str(modifier.card).rpartition(".")[2]],
        on=found is not None and str(found.type).endswith("Include"),
        labels=tuple(restore(label) for label in found.labels) if found else (),
        include=tuple(restore(label) for label in modifier.group_labels or ()),
        fill_left=modifier.fill_values.lhs,
        fill_right=modifier.fill_values.rhs,
    )


_CARDINALITIES = {
    "OneToOne": ast.Cardinality.ONE_TO_ONE,
    "ManyToOne": ast.Cardinality.MANY_TO_ONE,
    "OneToMany": ast.Cardinality.ONE_TO_MANY,
    "ManyToMany": ast.Cardinality.MANY_TO_MANY,
}
_AT_KINDS = {"AtModifierType.Start": "start", "AtModifierType.End": "end"} | {
    "AtModifierType.At": "time"
}
_OPS = {
    "MatchOp.Equal": MatchOp.EQUAL,
    "MatchOp.NotEqual": MatchOp.NOT_EQUAL,
    "MatchOp.Re": MatchOp.REGEX,
    "MatchOp.NotRe": MatchOp.NOT_REGEX,
}
