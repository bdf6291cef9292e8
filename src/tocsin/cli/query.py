"""`tocsin query instant|range|series|labels`: asked and printed as promtool does."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tocsin.cli.query_answer import (
    BARS,
    PLAIN_BARS,
    Answer,
    Data,
    Element,
    labels_text,
    promql_lines,
    table_lines,
)
from tocsin.cli.query_api import PrometheusApi, read
from tocsin.cli.remote import at_tenant, headers_of, remote, time_ms
from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput

_POINTS = 250  # about so many when no step is given, as promtool has it
_SPAN_MS = 300_000
_WHEN = "Unix seconds or RFC 3339"


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add whom to ask, and hand over an API in place of its parts."""

    @wraps(command)
    def asking(
        *,
        url: str,
        token_file: Path | None,
        tenant: str,
        headers: Sequence[str],
        **rest: Any,
    ) -> None:
        asked = replace(at_tenant(url, token_file, tenant), headers=headers_of(headers))
        command(PrometheusApi(asked), **rest)

    header = click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="NAME:VALUE",
        help="Sent with every request; repeatable.",
    )
    return remote(header(asking))


def _output(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(kinds),
        default=kinds[0],
        help="`json` is the data of the answer.",
    )


@click.group()
def query() -> None:
    """Ask a running server, or anybody with Prometheus's API.

    `--url` names a Tocsin, or what has the API at its root or below /prometheus.
    """


@query.command()
@_asking
@click.option("--time", "at", default="", help=f"{_WHEN}; default now.")
@_output("promql", "json", "table")
@click.argument("expr")
def instant(api: PrometheusApi, *, at: str, output: str, expr: str) -> None:
    """Evaluate EXPR at one time."""
    time_ms(at, "--time")
    params = [("query", expr), *([("time", at)] if at else [])]
    _show(api.data("/query", params), output, None)


@query.command("range")
@_asking
@click.option("--start", default="", help=f"{_WHEN}; default five minutes before the end.")
@click.option("--end", default="", help=f"{_WHEN}; default now.")
@click.option("--step", default="", help="Such as 15s; default for about 250 points, at least 1s.")
@_output("promql", "json", "table")
@click.argument("expr")
def range_(api: PrometheusApi, *, start: str, end: str, step: str, output: str, expr: str) -> None:
    """Evaluate EXPR from START to END."""
    end_ms = time_ms(end, "--end")
    start_ms = time_ms(start, "--start") if start else end_ms - _SPAN_MS
    if end_ms < start_ms:
        raise click.BadParameter("the end lies before the start", param_hint="--end")
    step_ms = _step_ms(step, end_ms - start_ms)
    params = {
        "query": expr,
        "start": start or _seconds(start_ms),
        "end": end or _seconds(end_ms),
        "step": step or _seconds(step_ms),
    }
    data = api.data("/query_range", list(params.items()))
    _show(data, output, range(start_ms, end_ms + 1, step_ms))


@query.command()
@_asking
@click.option("--match", "matches", multiple=True, required=True, help="Selector; repeatable.")
@click.option("--start", default="", help=f"{_WHEN}; default the beginning.")
@click.option("--end", default="", help=f"{_WHEN}; default no end.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@_output("promql", "json")
def series(
    api: PrometheusApi,
    *,
    matches: Sequence[str],
    start: str,
    end: str,
    limit: int | None,
    output: str,
) -> None:
    """List the series that a selector finds."""
    data = api.data("/series", _selection(matches, start, end, limit))
    found = read(data, list[dict[str, str]])
    _list(data, [labels_text(labels) for labels in found], output)


@query.command()
@_asking
@click.option("--match", "matches", multiple=True, help="Selector; repeatable.")
@click.option("--start", default="", help=f"{_WHEN}; default the beginning.")
@click.option("--end", default="", help=f"{_WHEN}; default no end.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@_output("promql", "json")
@click.argument("name", default="")
def labels(
    api: PrometheusApi,
    *,
    matches: Sequence[str],
    start: str,
    end: str,
    limit: int | None,
    output: str,
    name: str,
) -> None:
    """List the values of label NAME, or the names of all labels."""
    path = f"/label/{_in_path(name)}/values" if name else "/labels"
    data = api.data(path, _selection(matches, start, end, limit))
    _list(data, read(data, list[str]), output)


def _selection(
    matches: Sequence[str], start: str, end: str, limit: int | None
) -> list[tuple[str, str]]:
    """Return the parameters of what is asked about series."""
    params = [("match[]", match) for match in matches]
    for name, at in (("start", start), ("end", end)):
        time_ms(at, f"--{name}")
        params += [(name, at)] if at else []
    return [*params, *([("limit", str(limit))] if limit else [])]


def _show(data: Any, output: str, times: range | None) -> None:
    if output == "json":
        click.echo(json.dumps(data))
        return
    answer = _answer(read(data, Data))
    lines = table_lines(answer, times, _bars()) if output == "table" else promql_lines(answer)
    for line in lines:
        click.echo(line)


def _answer(data: Data) -> Answer:
    if data.result_type in ("scalar", "string"):
        return Answer(data.result_type, point=read(data.result, tuple[float, str]))
    return Answer(data.result_type, read(data.result, list[Element]))


def _list(data: Any, lines: Sequence[str], output: str) -> None:
    for line in [json.dumps(data)] if output == "json" else lines:
        click.echo(line)


def _step_ms(text: str, span_ms: int) -> int:
    """Return the step in milliseconds; without one, about 250 steps for the whole."""
    if not text:
        return max(span_ms // 1000 // _POINTS, 1) * 1000
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration(text).total_seconds()
        except InvalidInput as error:
            raise click.BadParameter(str(error), param_hint="--step") from error
    if not (math.isfinite(seconds) and seconds >= 0.001):
        raise click.BadParameter("a step is a millisecond or longer", param_hint="--step")
    return int(seconds * 1000)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}".removesuffix(".000")


def _in_path(name: str) -> str:
    """Return a label name for a path; what is not plain is escaped as Prometheus 3 does."""
    if all(char == "_" or (char.isascii() and char.isalnum()) for char in name):
        return name
    return "U__" + "".join(
        "__" if char == "_" else char if char.isascii() and char.isalnum() else f"_{ord(char):x}_"
        for char in name
    )


def _bars() -> str:
    try:
        BARS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN_BARS
    return BARS
