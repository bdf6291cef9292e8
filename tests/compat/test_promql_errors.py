"""A real Prometheus refuses what we refuse, in the same words, and prints what it takes alike."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from odd_promql import ODD
from prometheus_peer import Peer, prometheus

from tocsin.promql.errors import ParseError
from tocsin.promql.parser import parse
from tocsin.promql.printer import pretty

_WORDS = (
    *("x", 'y{a="b"}', "rate(x[5m])", "1", "-1", "2.5", "sum(x)", "sum by (a,b) (x)", "(x)"),
    *("topk(2,x)", '"s"', "x[5m]", "x[5m:1m]", "x @ 10", "x offset 5m", "time()", "vector(1)"),
    *("abs(x)", "x @ end() offset -1m", 'count_values("a",x)', "-x", "+y", "by", "offset"),
    *('{a=~"b|c",d!="e"}', "x[5m] @ 5", "max without(a)(y)", "scalar(x)", "x[5m] offset 1h"),
)
_OPERATORS = (
    *("+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless"),
    *("atan2", "== bool", "+ on(a)", "* on(a) group_left(b)", "/ ignoring(c) group_right"),
    *("and on(z)", "> bool ignoring(a)"),
)
_SUFFIXES = ("[5m:1m]", "[10m:]", " offset 1m", " @ 3", "[1m]")
# What 3.x reads and 2.42 does not: a number for a duration and a duration for a number, names in
# quotes, `_` in numbers, functions in durations. Then the words differ too, also for what is wrong.
_NEWER = frozenset(
    (
        *("x[", "x[5]", "x[a]", "x[-5m]", 'x["5m"]', "x[:5m]", "x[5m:5", "x[5m:a]", "x @ 5m"),
        *("x offset", "x offset 5", "x offset -", "5m", "1e", "0x", "1_000", "start()"),
        *('{"foo"}', 'a + ignoring ("x") c', '{a=~"("}'),
    )
)
_PRINTED_OTHERWISE = frozenset(("99999999999999999999",))  # 1e+20 there
_ITEM = re.compile('"<Item [0-9]+>" ')  # a token without a name in 2.42


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, "global: {scrape_interval: 1h}\n") as peer:
        yield peer


def written(chance: random.Random, depth: int) -> str:
    """Return an expression, often a wrong one."""
    share = chance.random()
    if depth == 0 or share < 0.25:
        return chance.choice(_WORDS)
    if share < 0.75:
        parts = written(chance, depth - 1), chance.choice(_OPERATORS), written(chance, depth - 1)
        return " ".join(parts)
    if share < 0.85:
        return f"({written(chance, depth - 1)})"
    if share < 0.9:
        return f"-{written(chance, depth - 1)}"
    if share < 0.95:
        return f"sum by (a) ({written(chance, depth - 1)})"
    return written(chance, depth - 1) + chance.choice(_SUFFIXES)


def here(expr: str) -> str:
    try:
        return pretty(parse(expr))
    except ParseError as error:
        return str(error)


def there(peer: Peer, expr: str) -> str:
    answer = peer.post("/format_query", [("query", expr)]).json()
    if answer["status"] == "success":
        return str(answer["data"])
    error = str(answer["error"]).removeprefix('invalid parameter "query": ')
    return _ITEM.sub("", error)


def test_odd_expressions_have_the_verdict_of_prometheus(peer: Peer) -> None:
    differing = {expr for expr in ODD if here(expr) != there(peer, expr)}
    assert differing == _NEWER | _PRINTED_OTHERWISE


def test_random_expressions_have_the_verdict_of_prometheus(peer: Peer) -> None:
    chance = random.Random(7)  # noqa: S311  # expressions that can be had again
    asked = sorted({written(chance, chance.randint(1, 4)) for _ in range(800)})
    found = [(expr, here(expr), there(peer, expr)) for expr in asked]
    assert [each for each in found if each[1] != each[2]] == []
    refused = sum("parse error: " in text for _, text, _ in found)
    assert len(found) / 4 < refused < len(found) * 3 / 4  # both kinds are among them
