"""The metrics an expression reads."""

import pytest

from tocsin.rule_engine.reads import metrics_read


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ("a", {"a"}),
        ("sum(rate(a[5m])) / on (x) b:c", {"a", "b:c"}),
        ("max_over_time(sum(a)[1h:1m]) unless b", {"a", "b"}),
        ('{__name__="a", x="y"}', {"a"}),
        ("vector(1) + time()", set()),
    ],
)
def test_an_expression_reads_the_metrics_it_names(expr: str, names: set[str]) -> None:
    assert metrics_read(expr) == frozenset(names)


@pytest.mark.parametrize("expr", ['{x="y"}', 'a or {__name__=~"b.*"}', "no sentence("])
def test_an_expression_may_read_any_metric(expr: str) -> None:
    assert metrics_read(expr) is None
