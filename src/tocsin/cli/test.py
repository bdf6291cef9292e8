"""`tocsin test rules FILE…`: the unit tests that `promtool test rules` runs, with its verdicts."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from tocsin.app.rule_tests import FileVerdict, run_test_file
from tocsin.cli.main import EXIT_ERROR
from tocsin.model.errors import InvalidInput
from tocsin.model.pattern import Pattern
from tocsin.promql.parser import Mode
from tocsin.telemetry.logs import Level, set_up

PROMQL_MODE = click.option(
    "--promql-mode",
    "mode",
    type=click.Choice(["3", "2.42"]),
    default="3",
    help="The Prometheus whose PromQL and promtool to agree with.",
)


@click.group()
def test() -> None:
    """Test rules before they are in force."""


@test.command("rules")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--run", "only", multiple=True, help="Only tests whose name matches; repeatable.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@PROMQL_MODE
def test_rules(files: Sequence[Path], only: Sequence[str], form: str, mode: str) -> None:
    """Run unit tests in promtool's file format; exit 1 when one fails."""
    set_up(level=Level.ERROR)
    chosen = _pattern(only)
    verdicts = []
    for path in files:
        if form == "text":
            click.echo(f"Unit Testing:  {path}")
        verdict = asyncio.run(run_test_file(path, mode=cast("Mode", mode), only=chosen))
        verdicts.append(verdict)
        if form == "text":
            say(verdict)
    if form == "json":
        rows = [_row(verdict) for verdict in verdicts]
        click.echo(json.dumps({"version": 1, "files": rows}, ensure_ascii=False))
    sys.exit(0 if all(verdict.passed for verdict in verdicts) else EXIT_ERROR)


def _pattern(only: Sequence[str]) -> Pattern | None:
    """Return what a name must match: any of the expressions, anywhere."""
    if not only:
        return None
    try:
        return Pattern(f".*(?:{'|'.join(only)}).*")
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint="--run") from error


def say(verdict: FileVerdict) -> None:
    """Say how the tests of a file went, in promtool's words."""
    for entry in verdict.unmatched:
        click.echo(f"  WARNING: no file match pattern {entry}", err=True)
    if verdict.passed:
        click.echo("  SUCCESS\n")
        return
    click.echo("  FAILED:", err=True)
    failures = [failure for one in verdict.tests for failure in one.failures]
    for line in (*verdict.problems, *failures):
        click.echo(f"{line}\n", err=True)


def _row(verdict: FileVerdict) -> dict[str, object]:
    return {
        "file": str(verdict.path),
        "passed": verdict.passed,
        "problems": list(verdict.problems),
        "unmatched": list(verdict.unmatched),
        "tests": [
            {"name": one.name, "passed": not one.failures, "failures": list(one.failures)}
            for one in verdict.tests
        ],
    }
