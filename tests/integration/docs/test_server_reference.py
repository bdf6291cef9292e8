"""The references of routes, metrics and files, compared with a server that runs.

Run this file as a program to write the table of metrics anew, and what the metric catalogue has
of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from tocsin.api.http import Door
from tocsin.api.service import Service
from tocsin.app.lifecycle import Runtime
from tocsin.app.overrides import Overrides
from tocsin.cli.home import Home
from tocsin.cli.init import write_first_configuration
from tocsin.config_loader.load import load
from tocsin.config_loader.uploaded_rules import UploadedFile, UploadedRules
from tocsin.metrics_collector.catalogue import catalogue
from tocsin.model.catalogue import Unit
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.tenant import TenantId

PROJECT = Path(__file__).resolve().parents[3]
REFERENCE = PROJECT / "docs" / "reference"
CATALOGUE = PROJECT / "src/tocsin/metrics_collector/known_metrics/tocsin.yml"
ROUTES = REFERENCE / "http-api.md"
METRICS = REFERENCE / "metrics.md"
FILES = REFERENCE / "files.md"
MARK = "<!-- Written by tests/integration/docs/test_server_reference.py; do not edit below. -->"
CONFIG = "tenant: docs\nserver: {auth: none, listen: ['127.0.0.1:0']}\n"

CATALOGUE_HEAD = """\
# What Tocsin says of itself at /metrics, and to tenants with `self_metrics`. Written by
# tests/integration/docs/test_server_reference.py; do not edit. The label `tenant` goes without
# saying.
source: Tocsin
metrics:
"""
UNITS = (
    ("_timestamp_seconds", Unit.TIMESTAMP),
    ("_seconds", Unit.SECONDS),
    ("_bytes", Unit.BYTES),
    ("_ratio", Unit.RATIO),
    ("_info", Unit.BOOLEAN),
    ("_successful", Unit.BOOLEAN),
)
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"

Route = tuple[str, str, str]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with running(tmp_path) as runtime:
        yield runtime.desk.door


async def test_every_route_is_in_the_reference_with_its_permission(door: Door) -> None:
    documented = set(documented_routes())
    served = set(served_routes(door))
    assert served - documented == set(), "served, not documented"
    assert documented - served == set(), "documented, not served"


async def test_every_metric_is_in_the_reference(door: Door) -> None:
    by_hand, mark, generated = METRICS.read_text().partition(MARK)
    assert mark, "the mark that divides the page is gone"
    again = "write it anew: python tests/integration/docs/test_server_reference.py"
    assert generated == rendered(door), again
    known = set(re.findall(r"^\| `([a-z_]+)` \|", generated, re.MULTILINE))
    assert named_in(by_hand) <= known, "the words above the table name a metric that is gone"


async def test_every_metric_of_ours_is_in_the_catalogue_as_it_is(door: Door) -> None:
    again = "write it anew: python tests/integration/docs/test_server_reference.py"
    assert CATALOGUE.read_text() == catalogued(door), again
    known = catalogue()
    for name, kind, labels, _ in families(door):
        entry = known.find(name) or known.find(f"{name}_count")
        assert entry is not None or name == "python_info", f"{name} is not in the catalogue"
        assert entry is None or entry.type == kind, f"{name} is a {kind}"
        assert entry is None or {f"`{label}`" for label in entry.labels} <= set(labels.split(", "))


async def test_every_file_of_a_data_directory_is_in_the_reference(tmp_path: Path) -> None:
    async with running(tmp_path) as runtime:
        keep_samples(runtime, round(time.time() * 1000))
        uploads = UploadedRules(tmp_path / "data" / "rules")
        uploads.put(TenantId("docs"), UploadedFile("web", ""))
        found = set(files_below(tmp_path / "data"))
    database = sqlite3.connect(tmp_path / "data" / "tocsin.db")
    with contextlib.closing(database):
        tables = {str(name) for (name,) in database.execute(TABLES)}
    assert found == named_in_table("## A data directory")
    assert tables == named_in_table("Tables of")


def test_every_file_of_a_deployment_is_in_the_reference(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_first_configuration(tmp_path, ("docs",), port=9093)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    made |= {home.pid_file.name, home.log_file.name}
    documented = {name.replace("<tenant>", "docs") for name in named_in_table("## A deployment")}
    assert made == {name for name in documented if not name.endswith("/")}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Runtime]:
    """Run a whole server on a free port, its data in `folder`."""
    path = folder / "tocsin.yaml"
    path.write_text(CONFIG)
    runtime = Runtime(lambda: load(path), Overrides())
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


def served_routes(door: Door) -> Iterator[Route]:
    """Yield (method, path, permission) of every route behind the Door."""
    for dialect in door.dialects:
        for endpoint in dialect.endpoints:
            for method in endpoint.methods:
                yield method, dialect.prefix + endpoint.path, endpoint.permission.value


def documented_routes() -> Iterator[Route]:
    """Yield the same from the tables of the page."""
    row = re.compile(r"^\| ([A-Z, ]+) \| `(/[^`]*)` \| ([a-z-]+) \|", re.MULTILINE)
    for methods, path, permission in row.findall(ROUTES.read_text()):
        for method in methods.split(", "):
            yield method, path, permission


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files of a data directory in the spelling of the page."""
    for path in folder.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(folder)).replace("/docs/", "/<tenant>/")
            name = re.sub(r"\d{8}\.wal", "00000000.wal", name)
            yield re.sub(r"\d+-\d+-[0-9A-Z]{26}\.blk", "<mint>-<maxt>-<ulid>.blk", name)


def keep_samples(runtime: Runtime, now_ms: int) -> None:
    """Let there be a log, a block and a deletion."""
    series, tenant = runtime.desk.series, TenantId("docs")
    for ts_ms in (now_ms - 6 * 3_600_000, now_ms):
        series.append_samples(tenant, [Sample(Labels.of({"__name__": "up"}), ts_ms, 1.0)])
        series.expire(tenant, now_ms)
    series.delete_series(tenant, [], end_ms=now_ms - 1, now_ms=now_ms)


def named_in_table(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading of the page of files."""
    table = FILES.read_text().partition(heading)[2].partition("|---")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def rendered(door: Door) -> str:
    """Return the generated part of the page of metrics."""
    found = sorted(families(door))
    rows = [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in found]
    return "\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def families(door: Door) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, label names and help of what /metrics can show."""
    endpoints = (endpoint for dialect in door.dialects for endpoint in dialect.endpoints)
    owners = (getattr(endpoint.handle, "__self__", None) for endpoint in endpoints)
    service = next(owner for owner in owners if isinstance(owner, Service))
    for collector in service.registry.collectors._collector_to_names:
        names = getattr(collector, "_labelnames", None)
        for metric in collector.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            labels = (
                names
                if names is not None
                else getattr(metric, "_labelnames", ()) or of_samples(metric)
            )
            yield name, metric.type, ", ".join(f"`{each}`" for each in labels), metric.documentation


def catalogued(door: Door) -> str:
    """Return the catalogue's file of our own metrics."""
    own = [f for f in sorted(families(door)) if f[0].startswith(("tocsin_", "alertmanager_"))]
    return CATALOGUE_HEAD + "".join(map(as_entry, own))


def as_entry(family: tuple[str, str, str, str]) -> str:
    """Return the entry of one family; the label `tenant` goes without saying."""
    name, kind, labels, text = family
    names = [label.strip("`") for label in labels.split(", ") if label not in ("", "`tenant`")]
    listed = f"    labels: [{', '.join(names)}]\n" if names else ""
    return (
        f"  - name: {name}\n    type: {kind}\n    unit: {unit_of(name, kind)}\n"
        f"{listed}    help: {json.dumps(text)}\n"
    )


def unit_of(name: str, kind: str) -> Unit:
    """Return the unit that the name of a metric says."""
    for ending, unit in UNITS:
        if name.endswith(ending):
            return unit
    return Unit.EVENTS if kind == "counter" else Unit.COUNT


def of_samples(metric: Metric) -> tuple[str, ...]:
    """Return the label names that the samples of a family bear."""
    return tuple(sorted({name for sample in metric.samples for name in sample.labels}))


def named_in(text: str) -> set[str]:
    """Return the metrics that a text names."""
    return set(re.findall(r"\b(?:tocsin|alertmanager|process)_[a-z_]+[a-z]\b", text))


async def write() -> None:
    """Write the generated part of the page of metrics."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as runtime:
            by_hand = METRICS.read_text().partition(MARK)[0]
            METRICS.write_text(by_hand + MARK + rendered(runtime.desk.door))
            CATALOGUE.write_text(catalogued(runtime.desk.door))


if __name__ == "__main__":
    asyncio.run(write())
