"""A tree as text again: on one line, or as `promtool` and `/format_query` write a long one.

Source of the spacing: Prometheus `promql/parser/printer.go` and `prettier.go`.
"""

from __future__ import annotations

import re
from datetime import timedelta

from tocsin.model.duration import format_duration
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matcher, MatchOp
from tocsin.promql import ast
from tocsin.promql.durations import Duration
from tocsin.promql.durations import text_of as duration_text
from tocsin.promql.format import format_plain
from tocsin.promql.literals import go_quoted

_LONGEST = 100  # bytes of a line; what is longer is split
_INDENT = "  "
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def text_of(expr: ast.Expr) -> str:  # noqa: PLR0911  # one return per node
    """Return `expr` on one line."""
    match expr:
        case ast.VectorSelector():
            return _selector(expr) + _moved(expr)
        case ast.MatrixSelector(selector=selector):
            return f"{_selector(selector)}[{_span(expr)}]{_moved(selector)}"
        case ast.Subquery():
            return text_of(expr.expr) + _subquery_suffix(expr)
        case ast.Binary():
            return f"{text_of(expr.left)} {_operator(expr)} {text_of(expr.right)}"
        case ast.Aggregate():
            param = "" if expr.param is None else f"{text_of(expr.param)}, "
            return f"{_aggregation(expr)}({param}{text_of(expr.expr)})"
        case ast.Call():
            return f"{expr.func}({', '.join(text_of(arg) for arg in expr.args)})"
    return _small(expr)


def pretty(expr: ast.Expr, level: int = 0) -> str:  # noqa: PLR0911  # one return per node
    """Return `expr` with every part of it that is too long for a line split over several."""
    indent, inner = _INDENT * level, level + 1
    whole = text_of(expr)
    if len(whole.encode(errors="surrogatepass")) <= _LONGEST and not _signed(expr):
        return whole if isinstance(expr, ast.Subquery) else indent + whole
    match expr:
        case ast.Aggregate():
            param = "" if expr.param is None else f"{pretty(expr.param, inner)},\n"
            body = f"{param}{pretty(expr.expr, inner)}"
            return f"{indent}{_aggregation(expr)}(\n{body}\n{indent})"
        case ast.Binary():
            sides = pretty(expr.left, inner), pretty(expr.right, inner)
            return f"{sides[0]}\n{indent}{_operator(expr)}\n{sides[1]}"
        case ast.Call() if expr.args:
            arguments = ",\n".join(pretty(arg, inner) for arg in expr.args)
            return f"{indent}{expr.func}(\n{arguments}\n{indent})"
        case ast.Paren(plus=False):
            return f"{indent}(\n{pretty(expr.expr, inner)}\n{indent})"
        case ast.Subquery():
            return pretty(expr.expr, level) + _subquery_suffix(expr)
        case ast.Paren() | ast.Negation():
            sign = "+" if isinstance(expr, ast.Paren) else "-"
            return f"{indent}{sign}{pretty(expr.expr, level).strip()}"
    return indent + whole


def _signed(expr: ast.Expr) -> bool:
    return isinstance(expr, ast.Negation) or (isinstance(expr, ast.Paren) and expr.plus)


def _small(expr: ast.Expr) -> str:
    match expr:
        case ast.NumberLiteral(value=value, duration=True):
            sign = "-" if value < 0 else ""
            return sign + format_duration(timedelta(seconds=abs(value)))
        case ast.NumberLiteral(value=value):
            return format_plain(value)
        case ast.StringLiteral(value=text):
            return go_quoted(text)
        case ast.Negation(expr=inner):
            return f"-{text_of(inner)}"
        case ast.Paren(expr=inner):
            return f"+{text_of(inner)}" if expr.plus else f"({text_of(inner)})"
    raise TypeError(f"{type(expr).__name__} is printed by text_of")


def _selector(expr: ast.VectorSelector) -> str:
    """Return name and matchers, without what moves them in time."""
    shown = sorted(_matcher(each) for each in expr.matchers if not _is_name(each, expr.name))
    return f"{expr.name}{{{','.join(shown)}}}" if shown else expr.name


def _is_name(each: Matcher, name: str) -> bool:
    return bool(name) and (each.name, each.op, each.value) == (METRIC_NAME, MatchOp.EQUAL, name)


def _matcher(each: Matcher) -> str:
    return f"{_label(each.name)}{each.op}{go_quoted(each.value)}"


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else go_quoted(name)


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(name if _NAME.fullmatch(name) else go_quoted(name) for name in names)


def _moved(expr: ast.VectorSelector | ast.Subquery) -> str:
    return _at(expr.at) + _offset(expr.offset_ms, expr.offset_expr)


def _at(at: ast.At | None) -> str:
    if at is None:
        return ""
    if at.kind is not ast.AtKind.TIME:
        return f" @ {at.kind}()"
    sign, (whole, rest) = "-" if at.ms < 0 else "", divmod(abs(at.ms), 1000)
    return f" @ {sign}{whole}.{rest:03d}"


def _offset(ms: int, expr: Duration | None) -> str:
    if expr is not None:
        return f" offset {duration_text(expr)}"
    return f" offset {_ms(ms)}" if ms else ""


def _ms(ms: int) -> str:
    return format_duration(timedelta(milliseconds=ms))


def _span(expr: ast.MatrixSelector | ast.Subquery) -> str:
    return _ms(expr.range_ms) if expr.range_expr is None else duration_text(expr.range_expr)


def _subquery_suffix(expr: ast.Subquery) -> str:
    if expr.step_expr is not None:
        step = duration_text(expr.step_expr)
    else:
        step = _ms(expr.step_ms) if expr.step_ms else ""
    return f"[{_span(expr)}:{step}]{_moved(expr)}"


def _aggregation(expr: ast.Aggregate) -> str:
    if expr.without:
        return f"{expr.op} without ({_labels(expr.labels)}) "
    return f"{expr.op} by ({_labels(expr.labels)}) " if expr.labels else expr.op


def _operator(expr: ast.Binary) -> str:
    shown = f"{expr.op} bool" if expr.return_bool else str(expr.op)
    return shown + _matching(expr.matching)


def _matching(matching: ast.Matching) -> str:
    shown = ""
    if matching.on or matching.labels:
        shown = f" {'on' if matching.on else 'ignoring'} ({_labels(matching.labels)})"
    side = _SIDES.get(matching.cardinality)
    if shown and side:
        shown += f" {side} ({_labels(matching.include)})"
    left, right = matching.fill_left, matching.fill_right
    if left is not None and left == right:
        return f"{shown} fill ({format_plain(left)})"
    shown += "" if left is None else f" fill_left ({format_plain(left)})"
    return shown + ("" if right is None else f" fill_right ({format_plain(right)})")


_SIDES = {
    ast.Cardinality.MANY_TO_ONE: "group_left",
    ast.Cardinality.ONE_TO_MANY: "group_right",
}
