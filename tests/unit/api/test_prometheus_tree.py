"""The tree of an expression has the shape the UI of Prometheus 3 reads."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.api.prometheus_tree import tree_json
from tocsin.promql.parser import Grammar, parse


def tree(text: str) -> dict[str, Any]:
    return tree_json(parse(text, Grammar(experimental=True)))


def selector(name: str, **changed: Any) -> dict[str, Any]:
    """Return the tree of a bare selector."""
    return {
        "type": "vectorSelector",
        "name": name,
        "offset": 0,
        "matchers": [{"name": "__name__", "value": name, "type": "="}],
        "timestamp": None,
        "startOrEnd": None,
        "anchored": False,
        "smoothed": False,
    } | changed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1e-7", {"type": "numberLiteral", "val": "0.0000001"}),
        ('"a"', {"type": "stringLiteral", "val": "a"}),
        ("x", selector("x")),
        ("(x)", {"type": "parenExpr", "expr": selector("x")}),
        ("-x", {"type": "unaryExpr", "op": "-", "expr": selector("x")}),
        ("+x", {"type": "unaryExpr", "op": "+", "expr": selector("x")}),
        ("x offset -5m @ 1.5", selector("x", offset=-300_000, timestamp=1500)),
        ("x @ end()", selector("x", startOrEnd="end")),
        ("x[5m]", selector("x", type="matrixSelector") | {"range": 300_000}),
    ],
)
def test_a_leaf_shows_what_it_is(text: str, shown: dict[str, Any]) -> None:
    assert tree(text) == shown


def test_the_name_s_matcher_is_the_last_one_and_none_is_made_up() -> None:
    names = [each["name"] for each in tree('x{b="1",a!~"2"}')["matchers"]]
    assert names == ["b", "a", "__name__"]
    assert tree('{__name__="x",a="b"}')["name"] == ""
    assert [each["type"] for each in tree('{__name__="x",a=~"b"}')["matchers"]] == ["=", "=~"]


def test_a_subquery_shows_range_and_step() -> None:
    assert tree("x[1h:1m] @ start() offset 5m") == {
        "type": "subquery",
        "expr": selector("x"),
        "range": 3_600_000,
        "offset": 300_000,
        "step": 60_000,
        "timestamp": None,
        "startOrEnd": "start",
    }


def test_an_aggregation_shows_parameter_and_grouping() -> None:
    shown = tree("topk without (a) (2, x)")
    assert (shown["op"], shown["grouping"], shown["without"]) == ("topk", ["a"], True)
    assert shown["param"] == {"type": "numberLiteral", "val": "2"}
    assert tree("sum(x)")["param"] is None


def test_an_operation_shows_how_its_operands_match() -> None:
    shown = tree("x > bool on (a) group_left (b) fill_left (0) y")
    assert (shown["op"], shown["bool"], shown["lhs"]) == (">", True, selector("x"))
    assert shown["matching"] == {
        "card": "many-to-one",
        "labels": ["a"],
        "on": True,
        "include": ["b"],
        "fillValues": {"lhs": 0.0, "rhs": None},
    }
    assert tree("x and y")["matching"]["card"] == "many-to-many"


@pytest.mark.parametrize("text", ["x + 1", "1 + 1", "time() + (1 * 2)", "x * scalar(y)"])
def test_nothing_matches_a_number(text: str) -> None:
    assert tree(text)["matching"] is None


@pytest.mark.parametrize("text", ["x + -y", "abs(x) + (y)", "(x + 1) * sum(y)"])
def test_vectors_match(text: str) -> None:
    assert tree(text)["matching"]["card"] == "one-to-one"


def test_a_call_shows_the_function_s_signature() -> None:
    shown = tree("label_join(x, 'a', 'b')")
    assert shown["func"] == {
        "name": "label_join",
        "argTypes": ["vector", "string", "string", "string"],
        "variadic": -1,
        "returnType": "vector",
    }
    assert [arg["type"] for arg in shown["args"]] == [
        "vectorSelector",
        "stringLiteral",
        "stringLiteral",
    ]
    assert tree("max_over_time(x[1m])")["func"]["argTypes"] == ["matrix"]
    assert tree("pi()")["func"]["returnType"] == "scalar"


def arithmetic(op: str, left: Any, right: Any, *, wrapped: bool = False) -> dict[str, Any]:
    return {"type": "durationExpr", "op": op, "lhs": left, "rhs": right, "wrapped": wrapped}


def seconds(value: str, *, duration: bool = True) -> dict[str, Any]:
    return {"type": "numberLiteral", "val": value, "duration": duration}


STEP = arithmetic("step", None, None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x[5m+1m]", arithmetic("+", seconds("300"), seconds("60"))),
        ("x[step()]", STEP),
        (
            "x[(range()/2)]",
            arithmetic(
                "/", arithmetic("range", None, None), seconds("2", duration=False), wrapped=True
            ),
        ),
        ("x[max_of(step(),1m)]", arithmetic("max_of", STEP, seconds("60"))),
        ("x[-step()+1m]", arithmetic("+", arithmetic("-", None, STEP), seconds("60"))),
    ],
)
def test_a_range_that_is_an_expression_is_shown_as_such(text: str, shown: Any) -> None:
    found = tree(text)
    assert (found["range"], found["rangeExpr"]) == (0, shown)


def test_an_offset_and_a_step_may_be_expressions_too() -> None:
    found = tree("x[1h:2*1m] offset (5s-8)")
    assert (found["range"], "rangeExpr" in found) == (3_600_000, False)
    assert (found["step"], found["offset"]) == (0, 0)
    two, one = seconds("2", duration=False), seconds("60")
    assert found["stepExpr"] == arithmetic("*", two, one)
    eight = seconds("8", duration=False)
    assert found["offsetExpr"] == arithmetic("-", seconds("5"), eight, wrapped=True)
    moved = tree("x offset -step()")
    assert moved["offsetExpr"] == arithmetic("-", None, STEP)
