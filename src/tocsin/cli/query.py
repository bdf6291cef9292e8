"""`tocsin query instant|range`: PromQL on a running server, printed as Prometheus prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tocsin.cli.remote import at_tenant, remote

_OUTPUT = click.option("-o", "--output", type=click.Choice(["promql", "json"]), default="promql")


@click.group()
def query() -> None:
    """Evaluate PromQL on a running server."""


@query.command()
@remote
@click.option("--time", "at", default="", help="Unix seconds or RFC 3339; default now.")
@_OUTPUT
@click.argument("expr")
def instant(
    *, url: str, token_file: Path | None, tenant: str, at: str, output: str, expr: str
) -> None:
    """Evaluate EXPR at one time."""
    params = {"query": expr} | ({"time": at} if at else {})
    asked = at_tenant(url, token_file, tenant)
    _show(asked.must("GET", "/prometheus/api/v1/query", params=params), output)


@query.command("range")
@remote
@click.option("--start", required=True, help="Unix seconds or RFC 3339.")
@click.option("--end", required=True, help="Unix seconds or RFC 3339.")
@click.option("--step", default="15s", show_default=True)
@_OUTPUT
@click.argument("expr")
def range_(
    *,
    url: str,
    token_file: Path | None,
    tenant: str,
    start: str,
    end: str,
    step: str,
    output: str,
    expr: str,
) -> None:
    """Evaluate EXPR from START to END."""
    params = {"query": expr, "start": start, "end": end, "step": step}
    asked = at_tenant(url, token_file, tenant)
    _show(asked.must("GET", "/prometheus/api/v1/query_range", params=params), output)


def _show(answer: Any, output: str) -> None:
    for note in [*answer.get("warnings", ()), *answer.get("infos", ())]:
        click.echo(note, err=True)
    data = answer["data"]
    if output == "json":
        click.echo(json.dumps(data))
    elif data["resultType"] in ("scalar", "string"):
        at, value = data["result"]
        click.echo(f"{data['resultType']}: {value} @[{at}]")
    else:
        for series in data["result"]:
            click.echo(_series(series))


def _series(series: dict[str, Any]) -> str:
    labels = dict(series["metric"])
    name = labels.pop("__name__", "")
    inner = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
    shown = f"{name}{{{inner}}}" if inner or not name else name
    if "value" in series:
        at, value = series["value"]
        return f"{shown} => {value} @[{at}]"
    return "\n".join([f"{shown} =>", *(f"{value} @[{at}]" for at, value in series["values"])])
