"""Statements are found by the name above them."""

import pytest

from tocsin.storage.named_sql import parse_queries

TWO = """
-- name: first
-- What it is for.
SELECT 1
FROM log;

-- name: second
-- Something else.
DELETE FROM log;
"""


def test_a_statement_is_found_by_its_name_without_its_semicolon() -> None:
    assert parse_queries(TWO, where="x.sql") == {
        "first": "SELECT 1\nFROM log",
        "second": "DELETE FROM log",
    }


def test_an_empty_file_has_no_statements() -> None:
    assert parse_queries("\n", where="x.sql") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT 1;\n" + TWO, "before the first"),
        ("-- name: first\nSELECT 1;\n", "before the first"),
        (TWO + "-- name: third\nSELECT 3;\n", "'second' has no line of purpose"),
        ("-- name: first\n-- Why.\n;\n", "'first' is empty"),
        (TWO + TWO, "'first' is empty or occurs twice"),
    ],
)
def test_a_malformed_file_is_refused_by_name(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"x.sql.*{fault}"):
        parse_queries(text, where="x.sql")
