"""label_replace, label_join and the sorts by label: functions that look at labels only."""

from __future__ import annotations

import functools
import re

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.pattern import Pattern, pattern
from tocsin.promql.ast import Call, Expr
from tocsin.promql.errors import ExecutionError
from tocsin.promql.grid import Grid
from tocsin.promql.literals import is_utf8, printable
from tocsin.promql.scope import Scope, text

# Go's regexp.Expand: $1, $name, ${1}, ${name}, $$; a name is as long as it can be.
_REFERENCE = re.compile(r"\$(?:\$|(?P<bare>\w+)|\{(?P<braced>\w+)\})", re.ASCII)


def label_replace(scope: Scope, call: Call) -> Grid:
    """Set a label from the captures of a pattern on another; no match leaves the element alone."""
    target, replacement, source, expression = (text(arg) for arg in call.args[1:5])
    try:
        compiled = pattern(expression)
    except InvalidInput as error:
        reason = f"invalid regular expression in label_replace(): {expression}"
        raise ExecutionError(reason) from error
    _check_name(target, "invalid destination label name in label_replace()")
    grid = scope.vector(call.args[0])
    replaced = functools.cache(lambda value: _replaced(compiled, value, replacement))
    found = [replaced(labels.value(source)) for labels in grid.labels]
    labels = [
        old if new is None else old.merged({target: new})
        for old, new in zip(grid.labels, found, strict=True)
    ]
    drop = grid.drop_name
    if target == METRIC_NAME:
        drop = drop & np.array([new is None for new in found], dtype=np.bool_)
    return grid.relabelled(labels, drop).merged()


def _replaced(compiled: Pattern, value: str, replacement: str) -> str | None:
    groups = compiled.groups(value)
    if groups is None:
        return None

    def expand(hit: re.Match[str]) -> str:
        name = hit["bare"] or hit["braced"]
        return "$" if name is None else groups.get(name, "")

    return _REFERENCE.sub(expand, replacement)


def label_join(scope: Scope, call: Call) -> Grid:
    """Set a label to the values of others, joined."""
    target, separator, *sources = (text(arg) for arg in call.args[1:])
    for source in sources:
        _check_name(source, "invalid source label name in label_join()")
    _check_name(target, "invalid destination label name in label_join()")
    grid = scope.vector(call.args[0])
    labels = [
        old.merged({target: separator.join(old.value(source) for source in sources)})
        for old in grid.labels
    ]
    drop = grid.drop_name & (target != METRIC_NAME)
    return grid.relabelled(labels, drop).merged()


def _check_name(name: str, reason: str) -> None:
    if not name or not is_utf8(name):
        raise ExecutionError(f"{reason}: {printable(name)}")


def sort_by_label(scope: Scope, call: Call) -> Grid:
    """Order elements by labels, digits as numbers."""
    return _sorted(scope.vector(call.args[0]), call.args[1:])


def sort_by_label_desc(scope: Scope, call: Call) -> Grid:
    """Order elements by labels, digits as numbers, greatest first."""
    return _sorted(scope.vector(call.args[0]), call.args[1:], reverse=True)


def _sorted(grid: Grid, by: tuple[Expr, ...], *, reverse: bool = False) -> Grid:
    names = [text(arg) for arg in by]

    def key(row: int) -> tuple[object, ...]:
        labels: Labels = grid.labels[row]
        return (*(_natural(labels.value(name)) for name in names), labels.pairs)

    order = sorted(range(len(grid.labels)), key=key, reverse=reverse)
    rows = grid.rows(np.array(order, dtype=np.int64))
    return Grid(rows.labels, rows.values, rows.present, rows.drop_name, ordered=True)


def _natural(value: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.findall(r"\d+|\D+", value, re.ASCII)
    return tuple((0, int(p), p) if p[0].isdigit() else (1, 0, p) for p in parts)
