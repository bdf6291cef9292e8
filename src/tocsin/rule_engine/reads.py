"""Which metrics an expression reads, as far as its text tells."""

from __future__ import annotations

import functools

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import MatchOp
from tocsin.promql.ast import Call, VectorSelector, walk
from tocsin.promql.parser import parse


@functools.lru_cache(maxsize=4096)
def metrics_read(expr: str) -> frozenset[str] | None:
    """Return the names of the metrics an expression reads, None when it may read any.

    >>> sorted(metrics_read("a / on (x) b:c or rate({__name__='d'}[5m])"))
    ['a', 'b:c', 'd']
    """
    try:
        nodes = list(walk(parse(expr)))
    except InvalidInput:
        return None
    if any(isinstance(node, Call) and node.func == "info" for node in nodes):
        return None  # joins with series that it does not name
    names = [_name(node) for node in nodes if isinstance(node, VectorSelector)]
    return None if None in names else frozenset(name for name in names if name)


def _name(selector: VectorSelector) -> str | None:
    for each in selector.matchers:
        if each.name == METRIC_NAME and each.op is MatchOp.EQUAL:
            return each.value
    return None
