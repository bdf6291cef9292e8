"""`tocsin rules backfill`: recording rules over the past, so that their history begins earlier.

Rules are asked as range queries in pieces of two hours, rule after rule, and what is not there
yet is written by remote write, or all of it into a file. What is there is not written again,
so that a run that was interrupted is simply begun anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from tocsin.cli.backfill_peers import (
    Api,
    RemoteWriter,
    Stopped,
    Tally,
    TextWriter,
    Unanswered,
    Writer,
)
from tocsin.cli.client import Client, client
from tocsin.cli.main import EXIT_ERROR, EXIT_UNREACHABLE
from tocsin.cli.remote import at_tenant, headers_of, remote, time_ms
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rules import read_rule_file
from tocsin.model.errors import InvalidInput, Problem
from tocsin.model.settings import Duration
from tocsin.rule_engine.backfill import Recording, dependent, pieces, recordings

_ROOT = "/prometheus"
_Work = list[tuple[Recording, range]]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--start", required=True, help="Unix seconds or RFC 3339.")
@click.option("--end", default="", help="Unix seconds or RFC 3339; default now.")
@click.option(
    "--eval-interval",
    "interval",
    default="60s",
    show_default=True,
    help="How often rules are evaluated whose group does not say.",
)
@remote
@click.option("--source", default="", help="Ask this Prometheus-compatible API in place of --url.")
@click.option("--write-url", default="", help="Remote-write there in place of --url.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="Sent to --source and --write-url; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write OpenMetrics text to this file, and nothing to a server.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be asked, and ask nothing.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def backfill(
    *,
    files: Sequence[Path],
    start: str,
    end: str,
    interval: str,
    url: str,
    token_file: Path | None,
    tenant: str,
    source: str,
    write_url: str,
    headers: Sequence[str],
    output: Path | None,
    dry_run: bool,
    form: str,
) -> None:
    """Evaluate recording rules from START to END and write their results.

    Rules are taken in the order of their files, each over the whole time before the next, so
    that one may read what another gave. Alerting rules are left out.
    """
    first_ms, last_ms = time_ms(start, "--start"), time_ms(end, "--end")
    if last_ms < first_ms:
        raise click.BadParameter("the end lies before the start", param_hint="--end")
    rules = _rules(files, interval)
    work = [(rule, times) for rule in rules for times in pieces(first_ms, last_ms, rule.interval)]
    if dry_run:
        _announce(rules, work)
        return
    ends = _Ends(at_tenant(url, token_file, tenant), source, write_url, headers_of(headers))
    _check_order(rules, ends, to_file=output is not None)
    _finish(_done(work, rules, ends, output), form)


@dataclass(frozen=True, slots=True)
class _Ends:
    """What is asked, and where results go when not into a file."""

    ours: Client
    source: str
    write_url: str
    headers: tuple[tuple[str, str], ...]

    @property
    def are_one(self) -> bool:
        """Tell whether what is written can be read where rules are asked."""
        return bool(self.source) == bool(self.write_url)

    def asked(self) -> Api:
        """Return the API that is asked."""
        return Api(self._at(self.source), "") if self.source else Api(self.ours, _ROOT)

    def writer(self) -> Writer:
        """Return what writes to a server."""
        if not self.write_url:
            return RemoteWriter(self.ours, f"{_ROOT}/api/v1/write", Api(self.ours, _ROOT))
        present = self.asked() if self.source else None
        return RemoteWriter(self._at(self.write_url), "", present)

    def _at(self, url: str) -> Client:
        return replace(client(url, None), headers=self.headers)


def _done(work: _Work, rules: list[Recording], ends: _Ends, output: Path | None) -> list[Tally]:
    """Ask and write everything; what was reached is told also when it could not go on."""
    tallies = {id(rule): Tally(rule.rule.name, rule.group) for rule in rules}
    bar = click.progressbar(
        work, label="back-filling", file=sys.stderr, item_show_func=_current, show_pos=True
    )
    asked = ends.asked()
    try:
        with _written_to(output, ends) as writer, bar as steps:
            for rule, times in steps:
                results = rule.results(asked.values_at(rule.rule.expr, times))
                writer.write(rule, results, times, tallies[id(rule)])
    except (Stopped, InvalidInput, OSError) as error:
        click.echo(f"stopped: {error}", err=True)
        click.echo("what was written stays; run it again to go on", err=True)
        sys.exit(EXIT_UNREACHABLE if isinstance(error, Unanswered) else EXIT_ERROR)
    return list(tallies.values())


@contextmanager
def _written_to(output: Path | None, ends: _Ends) -> Iterator[Writer]:
    """Give where results go; a file is there as a whole, or not at all."""
    if output is None:
        yield ends.writer()
        return
    part = output.with_name(output.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        writer = TextWriter(out)
        yield writer
        writer.end()
    part.replace(output)


def _check_order(rules: list[Recording], ends: _Ends, *, to_file: bool) -> None:
    """End the program when a rule would have to read what cannot be read where it is asked."""
    if ends.are_one and not to_file:
        return
    for rule, earlier in dependent(rules):
        message = f"{rule} reads {earlier}, whose results are not written where rules are asked"
        click.echo(f"{message}: give --source and --write-url of one server, or neither", err=True)
        sys.exit(EXIT_ERROR)


def _finish(tallies: list[Tally], form: str) -> None:
    if form == "json":
        click.echo(json.dumps({"version": 1, "rules": [asdict(tally) for tally in tallies]}))
    for tally in tallies if form == "text" else ():
        shown = f"{tally.written} samples written, {tally.present} were there"
        click.echo(f"{tally.rule} ({tally.group}): {shown}")
    refused = [tally for tally in tallies if tally.refused]
    for tally in refused:
        click.echo(f"{tally.rule} ({tally.group}): {tally.refused}", err=True)
    sys.exit(EXIT_ERROR if refused else 0)


def _announce(rules: list[Recording], work: _Work) -> None:
    for rule in rules:
        mine = [times for each, times in work if each is rule]
        times = sum(map(len, mine))
        click.echo(f"{rule}: {times} evaluations in {len(mine)} range queries")


def _current(item: tuple[Recording, range] | None) -> str:
    return str(item[0]) if item else ""


def _rules(files: Sequence[Path], interval: str) -> list[Recording]:
    """Return the recording rules of files, or end the program telling every fault."""
    report, read = Report(), {}
    for path in files:
        try:
            found = read_rule_file(path, report=report)
        except Unreadable as error:
            report.broken([Problem(str(error))])
            continue
        if found is not None:
            read[str(path)] = found
    if report.problems:
        for problem in in_file_order(report.problems):
            click.echo(str(problem), err=True)
        sys.exit(EXIT_ERROR)
    try:
        every = Duration.parse(interval)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint="--eval-interval") from error
    if not every:
        raise click.BadParameter("an interval is longer than nothing", param_hint="--eval-interval")
    return recordings(read, interval=every)
