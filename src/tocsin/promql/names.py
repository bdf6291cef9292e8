"""Which metrics an expression reads, for those who check that they are there."""

from __future__ import annotations

from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import MatchOp
from tocsin.promql.ast import Expr, VectorSelector, walk


def metric_names(tree: Expr) -> list[str]:
    """Return the metrics that selectors name, sorted, each once; one that matches many names none.

    >>> from tocsin.promql.parser import parse
    >>> metric_names(parse('rate(b[5m]) / on () a{x="y"} + {__name__=~"c.*"}'))
    ['a', 'b']
    """
    return sorted(
        {
            matcher.value
            for node in walk(tree)
            if isinstance(node, VectorSelector)
            for matcher in node.matchers
            if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL
        }
    )
