"""`tocsin tsdb …`: the files of the metric store, looked at, checked, merged, written out and in.

`list`, `analyze`, `verify` and `export` read the files as they lie there, also beside a running
server. `compact` and `import` change them and refuse while a server has them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click

from tocsin.cli.listing import OUTPUT, document, show
from tocsin.cli.main import EXIT_ERROR
from tocsin.cli.tsdb_analysis import analysed, sections
from tocsin.cli.tsdb_files import (
    chosen,
    data_dir,
    metrics_folder,
    only,
    span,
    still,
    taken,
    tenant_option,
    told,
)
from tocsin.cli.tsdb_import import batches
from tocsin.cli.tsdb_reports import BLOCK_COLUMNS, Verified, block_rows, readable, verified
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matcher
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.parser import parse_selector
from tocsin.timeseries.backfill import Backfill
from tocsin.timeseries.openmetrics_text import END, lines
from tocsin.timeseries.retention import HOUR_MS
from tocsin.timeseries.still import StillStore
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.work import Kind

_WINDOW_MS = 2 * HOUR_MS


class _Group(click.Group):
    """A group in which `analyse` is another spelling of `analyze`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        return super().get_command(ctx, "analyze" if cmd_name == "analyse" else cmd_name)


@click.group(cls=_Group)
def tsdb() -> None:
    """Look after the files of the metric store."""


@tsdb.command("list")
@data_dir
@tenant_option
@OUTPUT
def list_(*, folder: Path, tenant: str, output: str) -> None:
    """List blocks with their times, series, samples and bytes; the log comes last."""
    root = metrics_folder(folder)
    with told():
        rows = [row for store in still(root, chosen(root, tenant)) for row in block_rows(store)]
    show([readable(row) for row in rows] if output == "table" else rows, BLOCK_COLUMNS, output)


@tsdb.command()
@data_dir
@tenant_option
@click.option("--block", default="", help="Id of a block, or `log`; default the newest block.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows.")
@OUTPUT
def analyze(*, folder: Path, tenant: str, block: str, limit: int, output: str) -> None:
    """Say what makes a block large: metrics, labels, values and churn. Also spelled analyse."""
    root = metrics_folder(folder)
    with told():
        own = only(root, tenant)
        store = StillStore(own, root / own)
        name, found = analysed(store, block, limit=limit)
    if output != "table":
        click.echo(document({"block": name, **found}, output))
        return
    for line in sections(name, found):
        click.echo(line)


@tsdb.command()
@data_dir
@tenant_option
@OUTPUT
def verify(*, folder: Path, tenant: str, output: str) -> None:
    """Read everything: checksums, order and what tables say; exit 1 when anything is wrong."""
    root, found = metrics_folder(folder), Verified()
    with told():
        for store in still(root, chosen(root, tenant)):
            verified(store, found)
    if output != "table":
        click.echo(document(found.content(), output))
    else:
        for line in found.lines():
            click.echo(line)
    sys.exit(EXIT_ERROR if found.faults else 0)


@tsdb.command()
@data_dir
@tenant_option
def compact(*, folder: Path, tenant: str) -> None:
    """Seal what is due and merge blocks up to a day; needs the server stopped."""
    root = metrics_folder(folder)
    with told(), taken(root) as store:
        for each in chosen(root, tenant):
            before = store.stats(each)
            _compact(store, each)
            after = store.stats(each)
            told_before = f"{before.blocks} blocks, {before.block_bytes} bytes"
            click.echo(f"{each}: {told_before} -> {after.blocks} blocks, {after.block_bytes} bytes")


@tsdb.command()
@data_dir
@tenant_option
@click.option("--match", "selectors", multiple=True, help="Series selector, repeatable; or all.")
@click.option("--start", default="", help="Unix seconds or RFC 3339; default the beginning.")
@click.option("--end", default="", help="Unix seconds or RFC 3339; default the end.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    default=Path("-"),
    show_default=True,
    help="File to write.",
)
def export(
    *, folder: Path, tenant: str, selectors: Sequence[str], start: str, end: str, target: Path
) -> None:
    """Write samples as OpenMetrics text, as `promtool tsdb create-blocks-from` reads it."""
    wanted, limits = _parsed(selectors), span(start, end)
    root = metrics_folder(folder)
    with told():
        own = only(root, tenant)
        store = StillStore(own, root / own)
        series = sorted({each for one in wanted for each in store.series(one, *limits)})
        with click.open_file(str(target), "w", encoding="utf-8", atomic=str(target) != "-") as out:
            for each in store.read(series, *limits):
                out.write(lines(each))
            out.write(END)
    nameless = sum(not each.value(METRIC_NAME) for each in series)
    if nameless:
        click.echo(f"{nameless} series without a metric name were left out", err=True)


@tsdb.command("import")
@data_dir
@click.option("--tenant", default="", help="Whose samples they are.")
@click.argument("file", type=click.File("rb"))
def import_(*, folder: Path, tenant: str, file: IO[bytes]) -> None:
    """Write the samples of an OpenMetrics FILE (- for standard input) into blocks.

    Each needs a time. They may be of any age and come in any order; the server must be stopped.
    """
    root = metrics_folder(folder)
    own = TenantId(tenant) if tenant else only(root, tenant)
    with told(), taken(root):
        tenant_id(own)
        backfill = Backfill(root / own / "blocks", own, span_ms=_WINDOW_MS, now_ms=_now_ms())
        for samples in batches(file):
            backfill.add(samples)
        backfill.flush()
    click.echo(f"{own}: {backfill.samples} samples in {len(backfill.blocks)} blocks")


def _compact(store: MetricStore, tenant: TenantId) -> None:
    """Seal and merge until there is nothing more to do."""
    length = store.stats(tenant).blocks + 1
    with click.progressbar(length=length, label=f"{tenant}", file=sys.stderr) as bar:
        worked = True
        while worked:
            worked = False
            for work in store.compacting(tenant, _now_ms()):
                work.run()
                if work.kind in (Kind.SEAL, Kind.MERGE):
                    worked = True
                    bar.update(1)
        bar.update(max(0, length - bar.pos))


def _parsed(selectors: Sequence[str]) -> list[Sequence[Matcher]]:
    try:
        return [parse_selector(text) for text in selectors] or [()]
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint="--match") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
