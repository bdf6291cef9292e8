"""`tocsin check config|rules FILE…`: every fault with its place, before a server sees the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tocsin.cli.main import EXIT_ERROR
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.kind import is_alertmanager_file
from tocsin.config_loader.load import load, load_alertmanager
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rules import read_rule_file
from tocsin.model.errors import ConfigError, Problem

_FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False)
)
_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="github: annotations of a workflow.",
)


@click.group()
def check() -> None:
    """Check configuration and rule files."""


@check.command("config")
@_FILES
@_FORMAT
def check_config(files: Sequence[Path], form: str) -> None:
    """Check tocsin.yaml, its short form, or an alertmanager.yml; exit 1 when one is refused."""
    _check(files, form, _config_problems)


@check.command("rules")
@_FILES
@_FORMAT
def check_rules(files: Sequence[Path], form: str) -> None:
    """Check Prometheus rule files; exit 1 when one is refused."""
    _check(files, form, _rule_problems)


def _check(
    files: Sequence[Path], form: str, check_one: Callable[[Path], tuple[Problem, ...]]
) -> None:
    problems = {path: check_one(path) for path in files}
    found = [problem for of_file in problems.values() for problem in of_file]
    if form == "json":
        rows = [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message}
            for p in found
        ]
        click.echo(json.dumps({"version": 1, "problems": rows}))
    elif form == "github":
        for p in found:
            click.echo(_annotation(p))
    else:
        _say(problems)
    sys.exit(EXIT_ERROR if found else 0)


def _say(problems: dict[Path, tuple[Problem, ...]]) -> None:
    for path, of_file in problems.items():
        if of_file:
            click.echo(f"{path}: {len(of_file)} problem{'s' * (len(of_file) > 1)}", err=True)
            for problem in of_file:
                click.echo(f"  {problem}", err=True)
        else:
            click.echo(f"{path}: ok")


def _annotation(problem: Problem) -> str:
    """Return a workflow command; what would end it early is escaped, as GitHub asks."""
    file = _escaped(problem.file).replace(":", "%3A").replace(",", "%2C")
    place = f"file={file},line={problem.line},col={problem.column}"
    return f"::error {place}::{_escaped(problem.message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _config_problems(path: Path) -> tuple[Problem, ...]:
    try:
        loaded = load_alertmanager(path) if is_alertmanager_file(path) else load(path)
    except ConfigError as error:
        return error.problems
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    return ()


def _rule_problems(path: Path) -> tuple[Problem, ...]:
    report = Report()
    try:
        read_rule_file(path, report=report)
    except Unreadable as error:
        return (Problem(str(error)),)
    return in_file_order(report.problems)
