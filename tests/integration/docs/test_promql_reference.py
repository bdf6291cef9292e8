"""docs/reference/promql.md names every function and aggregation, each where it belongs."""

from __future__ import annotations

import re
from pathlib import Path

from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import AGGREGATORS
from tocsin.promql.parser import check
from tocsin.promql.signatures import SIGNATURES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "promql.md"
NO_FUNCTIONS = {"fill_left", "fill_right", "target_info", "job", "instance"}


def names_in(section: str) -> set[str]:
    _, _, rest = PAGE.read_text().partition(f"\n## {section}\n")
    text = rest.partition("\n## ")[0]
    return set(re.findall(r"`([a-z][a-z0-9_]*)`", text))


def experimental_aggregations() -> set[str]:
    return {name for name in AGGREGATORS if not taken(f"{name}(1, x)") and not taken(f"{name}(x)")}


def taken(expr: str) -> bool:
    try:
        check(expr)
    except ParseError as error:
        return "not enabled" not in str(error)
    return True


def test_every_function_is_in_the_reference() -> None:
    plain = {name for name, signature in SIGNATURES.items() if not signature.experimental}
    assert names_in("Functions") == plain


def test_every_aggregation_is_in_the_reference() -> None:
    assert names_in("Aggregations") == AGGREGATORS - experimental_aggregations()


def test_everything_experimental_is_in_the_reference() -> None:
    functions = {name for name, signature in SIGNATURES.items() if signature.experimental}
    assert names_in("Experimental") - NO_FUNCTIONS == functions | experimental_aggregations()
