"""Rows of a listing as a table for people, or as JSON or YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click
import yaml

OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    help="Form of the listing.",
)
Row = Mapping[str, object]


def show(rows: Sequence[Row], columns: Sequence[str], output: str) -> None:
    """Print rows; a table has only `columns`, in their order."""
    if output == "table":
        for line in table(rows, columns):
            click.echo(line)
    else:
        click.echo(document({"items": [dict(row) for row in rows]}, output))


def document(content: Row, output: str) -> str:
    """Return a document for programs; its form has a version."""
    whole = {"version": 1, **content}
    if output == "json":
        return json.dumps(whole, indent=2, ensure_ascii=False)
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=100).rstrip()


def table(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table with a head; the last column may be long."""
    cells = [[name.upper().replace("_", " ") for name in columns]]
    cells += [[_cell(row.get(name, "")) for name in columns] for row in rows]
    return aligned(cells)


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose cells stand below each other; each line has as many of them."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
