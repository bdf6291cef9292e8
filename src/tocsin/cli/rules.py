"""`tocsin rules …`: rules of a tenant on a running server, and over the past.

`diff` and `sync` end as the program `diff` does: 0 nothing differs, 1 something does, 2 trouble.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from tocsin.cli.client import Client, client
from tocsin.cli.main import EXIT_UNREACHABLE
from tocsin.cli.remote import at_tenant, remote
from tocsin.cli.rulers import (
    LoadedRules,
    MimirRuler,
    NoServer,
    Ruler,
    Stored,
    TocsinRuler,
    Trouble,
    stem,
)
from tocsin.cli.rules_backfill import backfill
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rule_text import (
    Action,
    Difference,
    canonical,
    differences,
    group_yaml,
)
from tocsin.config_loader.rules import read_rule_text
from tocsin.model.errors import Problem
from tocsin.rule_engine.config import RuleFile

EXIT_DIFFERS = 1
EXIT_TROUBLE = 2

_API = click.option(
    "--api",
    type=click.Choice(["tocsin", "mimir", "prometheus"]),
    default="tocsin",
    show_default=True,
    help="tocsin: what was uploaded; mimir: the ruler of a Mimir; prometheus: what is loaded.",
)
_FILES = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False)
)
_ONLY = click.option(
    "--namespaces", "only", default="", help="Look at these alone; separated by commas."
)
_IGNORED = click.option(
    "--ignored-namespaces", "ignored", default="", help="Look at all others; separated by commas."
)
_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")


@click.group()
def rules() -> None:
    """Compare, change and back-fill the rules of a tenant."""


rules.add_command(backfill)


def _asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which server is asked, and for whom."""
    return remote(_API(command))


@rules.command("list")
@_asking
@_OUTPUT
def list_(*, url: str, token_file: Path | None, tenant: str, api: str, output: str) -> None:
    """List namespaces and groups with how many rules they have."""
    with _trouble():
        found = _ruler(api, url, token_file, tenant).stored()
    rows = [
        (namespace, group.name, len(group.rules))
        for namespace, each in sorted(found.items())
        for group in each.rules.groups
    ]
    if output == "json":
        names = ("namespace", "group", "rules")
        shown = [dict(zip(names, row, strict=True)) for row in rows]
        click.echo(json.dumps({"version": 1, "groups": shown}))
        return
    for row in (("NAMESPACE", "GROUP", "RULES"), *rows):
        click.echo("  ".join(str(cell).ljust(20) for cell in row).rstrip())


@rules.command()
@_asking
@click.argument("namespace")
@click.argument("group", default="")
def get(
    *, url: str, token_file: Path | None, tenant: str, api: str, namespace: str, group: str
) -> None:
    """Print the rules of NAMESPACE, or of one GROUP of it."""
    with _trouble():
        found = _ruler(api, url, token_file, tenant).stored().get(namespace)
        if found is None:
            raise Trouble(f"there is no namespace {namespace!r}")
        named = {each.name: each for each in found.rules.groups}
        if group and group not in named:
            raise Trouble(f"namespace {namespace!r} has no group {group!r}")
    click.echo(
        group_yaml(named[group]) if group else found.text or canonical(found.rules), nl=False
    )


@rules.command()
@_FILES
@_asking
@_ONLY
@_IGNORED
@_OUTPUT
def diff(
    *,
    files: Sequence[Path],
    url: str,
    token_file: Path | None,
    tenant: str,
    api: str,
    only: str,
    ignored: str,
    output: str,
) -> None:
    """Compare rule files with what a server has: exit 0 when they are the same, else 1.

    The namespace of a file is its name without ending, or what its line `namespace:` says.
    """
    with _trouble():
        ruler = _ruler(api, url, token_file, tenant)
        plan = _planned(ruler, files, _chosen(only, ignored))
    _show(plan, output)
    sys.exit(EXIT_DIFFERS if plan.differences else 0)


@rules.command()
@_FILES
@_asking
@_ONLY
@_IGNORED
@click.option("--dry-run", is_flag=True, help="Say what would change, and exit as diff does.")
@_OUTPUT
def sync(
    *,
    files: Sequence[Path],
    url: str,
    token_file: Path | None,
    tenant: str,
    api: str,
    only: str,
    ignored: str,
    dry_run: bool,
    output: str,
) -> None:
    """Make a server have the rules of these files and no others; exit 0 when it does.

    Namespaces that no file gives are taken away, but for those left out by --namespaces or
    --ignored-namespaces.
    """
    with _trouble():
        ruler = _ruler(api, url, token_file, tenant)
        plan = _planned(ruler, files, _chosen(only, ignored))
    _show(plan, output)
    if dry_run:
        sys.exit(EXIT_DIFFERS if plan.differences else 0)
    with _trouble():
        for one in plan.differences:
            plan.carry_out(one, ruler)
            click.echo(f"{one.namespace}: {_DONE[one.action]}", err=True)


_DONE = {Action.ADD: "added", Action.CHANGE: "changed", Action.REMOVE: "removed"}


@dataclass(frozen=True, slots=True)
class _Plan:
    """Files here, rules there, and what differs."""

    ours: Mapping[str, Stored]
    theirs: Mapping[str, Stored]
    differences: tuple[Difference, ...]

    def carry_out(self, one: Difference, ruler: Ruler) -> None:
        """Make one namespace there what it is here. Raises Trouble."""
        before = self.theirs.get(one.namespace)
        if one.namespace in self.ours:
            ruler.put(one.namespace, self.ours[one.namespace], before)
        elif before is not None:
            ruler.delete(one.namespace, before)


def _planned(ruler: Ruler, files: Sequence[Path], chosen: Callable[[str], bool]) -> _Plan:
    """Return what differs between files and a server. Raises Trouble."""
    ours = {name: file for name, file in _local(files).items() if chosen(name)}
    theirs = {name: file for name, file in ruler.stored().items() if chosen(name)}
    mine = {name: ruler.comparable(file.rules) for name, file in ours.items()}
    other = {
        name: ruler.aligned(file.rules, mine.get(name, RuleFile())) for name, file in theirs.items()
    }
    return _Plan(ours, theirs, tuple(differences(mine, other)))


def _local(files: Sequence[Path]) -> dict[str, Stored]:
    """Return files by namespace. Raises Trouble with every fault of every file."""
    report, found = Report(), dict[str, Stored]()
    for path in files:
        try:
            text, named = _without_namespace(report.files.text(path))
        except Unreadable as error:
            report.broken([Problem(str(error))])
            continue
        namespace = named or stem(path.name)
        if namespace in found:
            report.broken([Problem(f'a namespace "{namespace}" was given already', str(path))])
        rules = read_rule_text(text, file=str(path), report=report) or RuleFile()
        found[namespace] = Stored(rules, text)
    if report.problems:
        raise Trouble("\n".join(map(str, in_file_order(report.problems))))
    return found


def _without_namespace(text: str) -> tuple[str, str]:
    """Return a text without its line `namespace:` (as mimirtool has it), and what that says."""
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        key, colon, value = line.partition(":")
        if colon and key == "namespace":
            lines[index] = "\n"  # the others keep their numbers
            return "".join(lines), value.partition(" #")[0].strip().strip("\"'")
    return text, ""


def _chosen(only: str, ignored: str) -> Callable[[str], bool]:
    """Return what tells the namespaces to look at."""
    if only and ignored:
        raise click.UsageError("give --namespaces or --ignored-namespaces, not both")
    named = {name.strip() for name in (only or ignored).split(",") if name.strip()}
    return (lambda name: name in named) if only else (lambda name: name not in named)


def _ruler(api: str, url: str, token_file: Path | None, tenant: str) -> Ruler:
    if api == "mimir":
        named = (("X-Scope-OrgID", tenant),) if tenant else ()
        return MimirRuler(replace(client(url, token_file), headers=named))
    asked: Client = at_tenant(url, token_file, tenant)
    return TocsinRuler(asked) if api == "tocsin" else LoadedRules(asked)


@contextmanager
def _trouble() -> Iterator[None]:
    """End the program in trouble, saying which."""
    try:
        yield
    except NoServer as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_UNREACHABLE)
    except Trouble as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_TROUBLE)


def _show(plan: _Plan, output: str) -> None:
    if output == "json":
        rows = [
            {"namespace": one.namespace, "action": one.action, "diff": one.diff}
            for one in plan.differences
        ]
        click.echo(json.dumps({"version": 1, "differences": rows}, ensure_ascii=False))
        return
    for one in plan.differences:
        for line in one.diff.splitlines():
            click.echo(_coloured(line))


def _coloured(line: str) -> str:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    colour = None if "NO_COLOR" in os.environ else colours.get(line[:1])
    return click.style(line, fg=colour) if colour else line
