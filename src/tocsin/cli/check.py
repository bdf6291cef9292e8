"""`tocsin check config|rules FILE…`: every fault with its place, before a server sees the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click

from tocsin.cli.main import EXIT_ERROR, EXIT_LINT
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.kind import is_alertmanager_file
from tocsin.config_loader.load import load, load_alertmanager
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rules import read_rule_text
from tocsin.config_loader.tree import MAX_BYTES
from tocsin.model.errors import ConfigError, Problem
from tocsin.promql.parser import Grammar, Mode

_STDIN = Path("-")
_STDIN_NAME = "standard input"
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
    checked = [_Checked(str(path), _config_problems(path)) for path in files]
    _show(checked, form)
    sys.exit(EXIT_ERROR if any(one.problems for one in checked) else 0)


@check.command("rules")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--lint",
    type=click.Choice(["all", "duplicate-rules", "none"]),
    default="duplicate-rules",
    help="What to look for beyond faults.",
)
@click.option("--lint-fatal", is_flag=True, help="Exit 3 when --lint finds something.")
@click.option(
    "--promql-mode",
    "mode",
    type=click.Choice(["3", "2.42"]),
    default="3",
    help="The Prometheus whose PromQL the rules are written in.",
)
@click.option(
    "--ignore-unknown-fields", "ignore", is_flag=True, help="Pass over keys that are not known."
)
@_FORMAT
def check_rules(
    *, files: Sequence[Path], lint: str, lint_fatal: bool, mode: str, ignore: bool, form: str
) -> None:
    """Check Prometheus rule files, or standard input; exit 1 when one is refused."""
    if not files and sys.stdin.isatty():
        raise click.UsageError("name rule files, or give one on standard input")
    reading = _Reading(Grammar(mode=cast("Mode", mode)), ignore, lint != "none")
    checked = [_checked_rules(path, reading) for path in files or [_STDIN]]
    _show(checked, form)
    if any(one.problems for one in checked):
        sys.exit(EXIT_ERROR)
    sys.exit(EXIT_LINT if lint_fatal and any(one.lint for one in checked) else 0)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What came of one file; `summary` says what is good about it."""

    name: str
    problems: tuple[Problem, ...]
    lint: tuple[Problem, ...] = ()
    summary: str = "ok"


def _show(checked: Sequence[_Checked], form: str) -> None:
    if form == "json":
        problems = [_row(p) for one in checked for p in one.problems]
        lint = [_row(p) for one in checked for p in one.lint]
        click.echo(json.dumps({"version": 1, "problems": problems, "lint": lint}))
    elif form == "github":
        for one in checked:
            for line in (*map(_error, one.problems), *map(_warning, one.lint)):
                click.echo(line)
    else:
        for one in checked:
            _say(one)


def _row(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _say(one: _Checked) -> None:
    for kind, found in (("problem", one.problems), ("lint finding", one.lint)):
        if found:
            click.echo(f"{one.name}: {len(found)} {kind}{'s' * (len(found) > 1)}", err=True)
        for problem in found:
            click.echo(f"  {problem}", err=True)
    if not one.problems:
        click.echo(f"{one.name}: {one.summary}")


def _error(problem: Problem) -> str:
    return _annotation("error", problem)


def _warning(problem: Problem) -> str:
    return _annotation("warning", problem)


def _annotation(kind: str, problem: Problem) -> str:
    """Return a workflow command; what would end it early is escaped, as GitHub asks."""
    file = _escaped(problem.file).replace(":", "%3A").replace(",", "%2C")
    place = f"file={file},line={problem.line},col={problem.column}"
    return f"::{kind} {place}::{_escaped(problem.message)}"


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


@dataclass(frozen=True, slots=True)
class _Reading:
    """How rule files are read, and whether lint is told."""

    grammar: Grammar
    ignore_unknown: bool
    lint: bool


def _checked_rules(path: Path, reading: _Reading) -> _Checked:
    """Check one rule file; one that is refused is not looked at any closer."""
    report = Report()
    name = _STDIN_NAME if path == _STDIN else str(path)
    try:
        text = _stdin_text() if path == _STDIN else report.files.text(path)
    except Unreadable as error:
        return _Checked(name, (Problem(str(error)),))
    rules = read_rule_text(
        text,
        file=name,
        report=report,
        grammar=reading.grammar,
        ignore_unknown=reading.ignore_unknown,
    )
    if rules is None or report.problems:
        return _Checked(name, in_file_order(report.problems))
    count = sum(len(group.rules) for group in rules.groups)
    found = in_file_order(report.warnings) if reading.lint else ()
    return _Checked(name, (), found, f"ok, {count} rules found")


def _stdin_text() -> str:
    """Return what stands on standard input. Raises Unreadable."""
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{_STDIN_NAME} is not UTF-8") from error
