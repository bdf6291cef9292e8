"""`tocsin packs`: the rule packs that come with Tocsin: what they hold, rendered, tested."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import click

from tocsin.app.rule_tests import FileVerdict, run_test_file
from tocsin.cli.listing import OUTPUT, document, show, table
from tocsin.cli.main import EXIT_ERROR
from tocsin.cli.test import PROMQL_MODE, say
from tocsin.config_loader.masked import rules_yaml
from tocsin.config_loader.packs import (
    alert_rows,
    pack_names,
    pack_tests,
    parameter_rows,
    read_pack,
    render,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.settings import Duration
from tocsin.promql.parser import Mode
from tocsin.rule_engine.pack import RUNBOOKS, Pack, PackChoice
from tocsin.telemetry.logs import Level, set_up

_PARAMETERS = ("name", "value", "unit", "help")
_ALERTS = ("name", "severity", "for", "parameters", "meaning")


@click.group()
def packs() -> None:
    """Look at the rule packs that come with Tocsin."""


@packs.command("list")
@OUTPUT
def list_(output: str) -> None:
    """List the rule packs."""
    rows = [_summary(read_pack(name)) for name in pack_names()]
    show(rows, ("name", "title", "alerts", "recording_rules", "parameters"), output)


@packs.command("show")
@click.argument("name")
@OUTPUT
def show_(name: str, output: str) -> None:
    """Show the parameters and alerts of pack NAME."""
    pack = _pack(name)
    content = {**_summary(pack), "needs": pack.head.needs, "looks_back": str(pack.head.looks_back)}
    parameters, alerts = parameter_rows(pack), alert_rows(pack)
    if output != "table":
        content |= {"parameters": parameters, "alerts": alerts}
        click.echo(document(content, output))
        return
    click.echo(f"{pack.head.title}: {pack.head.about}\nNeeds: {pack.head.needs}\n")
    for rows, columns in ((parameters, _PARAMETERS), (alerts, _ALERTS[:-1])):
        if rows:
            click.echo("\n".join([*table(rows, columns), ""]))


@packs.command("render")
@click.argument("name")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="Another value.")
@click.option("--for", "holds", multiple=True, metavar="ALERT=DURATION", help="Another `for`.")
@click.option("--without", multiple=True, metavar="ALERT", help="Leave an alert out.")
@click.option("--runbooks", default=RUNBOOKS, metavar="URL", help="Where runbooks are.")
def render_(
    *,
    name: str,
    changes: Sequence[str],
    holds: Sequence[str],
    without: Sequence[str],
    runbooks: str,
) -> None:
    """Print pack NAME as a plain Prometheus rule file."""
    try:
        choice = PackChoice(
            name=name,
            set=dict(_pairs(changes)),
            hold={alert: Duration.parse(text) for alert, text in _pairs(holds)},
            without=list(without),
            runbooks=runbooks,
        )
        rendered = render(choice)
    except InvalidInput as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"# Rule pack {name} of Tocsin, rendered by `tocsin packs render`.")
    click.echo(rules_yaml(rendered.file), nl=False)


@packs.command("test")
@click.argument("names", nargs=-1)
@PROMQL_MODE
def test_(names: Sequence[str], mode: str) -> None:
    """Run the unit tests of packs NAMES, of all without a name; exit 1 when one fails."""
    set_up(level=Level.ERROR)
    chosen = [_pack(name) for name in names or pack_names()]
    passed = [_tested(pack, cast("Mode", mode)) for pack in chosen]
    sys.exit(0 if all(passed) else EXIT_ERROR)


def _tested(pack: Pack, mode: Mode) -> bool:
    """Run the tests of a pack as they are shipped, with its defaults; say how they went."""
    with tempfile.TemporaryDirectory(prefix="tocsin-pack-") as folder:
        verdicts = [_run(path, mode) for path in write_pack_tests(pack.name, Path(folder))]
    return all(verdict.passed for verdict in verdicts)


def write_pack_tests(name: str, folder: Path) -> Iterator[Path]:
    """Write a pack, rendered with its defaults, and its unit tests; yield each test file."""
    rules = render(PackChoice(name=name)).file
    (folder / f"{name}.yml").write_text(rules_yaml(rules), encoding="utf-8")
    for file, text in pack_tests(name).items():
        path = folder / file
        path.write_text(text, encoding="utf-8")
        yield path


def _run(path: Path, mode: Mode) -> FileVerdict:
    click.echo(f"Unit Testing:  {path.name}")
    verdict = asyncio.run(run_test_file(path, mode=mode))
    say(verdict)
    return verdict


def _pack(name: str) -> Pack:
    try:
        return read_pack(name)
    except InvalidInput as error:
        raise click.ClickException(str(error)) from error


def _pairs(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidInput(f"write NAME=VALUE, not {text!r}")
        yield name.strip(), value.strip()


def _summary(pack: Pack) -> dict[str, object]:
    alerts = len(pack.alerts)
    recording = sum(1 for rule in pack.rules if rule.record)
    return {
        "name": pack.name,
        "title": pack.head.title,
        "alerts": alerts,
        "recording_rules": recording,
        "parameters": len(pack.head.parameters),
        "about": pack.head.about,
    }
