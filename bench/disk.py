"""Bytes per sample on disk, ours and Prometheus', on the same samples.

    python bench/disk.py [--targets 100] [--hours 4] [--exporter-s 60]

Two data sets, both with 15 s between rows:

* a fleet as in the contract of the metric engine (section 9), from a fixed seed: each target
  has its own phase, and its scrapes come up to 2 ms off;
* a real node_exporter, if there is one on PATH: scraped four times a second for `--exporter-s`
  seconds and put down as if 15 s had passed each time, so counters move less than they would.

Ours: appended row by row, sealed by `upkeep`, then merged. Prometheus': `promtool tsdb
create-blocks-from openmetrics`, all files of its blocks. Both have blocks of two hours. The last
line is one JSON object; beside the bytes it has how fast blocks were coded (CPU), how long one
step of the upkeep held the thread of the store (CPU), and how long it takes to read from blocks.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from memory import BEGIN_MS, STEP_MS, TENANT, Targets
from peer import free_port, machine, prometheus_version, say

from tocsin.metrics_collector.exposition import PageParser
from tocsin.model.matchers import Matcher, matcher
from tocsin.model.series import Layout, Values
from tocsin.timeseries.openmetrics_text import END, lines
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.work import Kind

HOUR_MS = 3_600_000
_EXPORTERS = ("node_exporter", "prometheus-node-exporter")
_SCRAPES_PER_S = 4


@dataclass(frozen=True, slots=True)
class Row:
    """What one target gave at one time."""

    layout: Layout
    ts_ms: int
    values: Values


@dataclass(slots=True)
class Report:
    """What was measured on one data set."""

    series: int = 0
    samples: int = 0
    tocsin: float = 0.0
    merged: float = 0.0
    log: float = 0.0
    prometheus: float = 0.0
    code_per_s: float = 0.0
    held_ms: float = 0.0
    select_ms: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """Measure, print, and end in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--hours", type=int, default=4)
    parser.add_argument("--exporter-s", type=int, default=60)
    asked = parser.parse_args()
    version = prometheus_version()
    found = {"fleet": measured(list(fleet(asked.targets, asked.hours * HOUR_MS // STEP_MS)))}
    exporter = next(filter(None, map(shutil.which, _EXPORTERS)), None)
    if exporter is not None and asked.exporter_s:
        rows = list(exporter_rows(exporter, asked.exporter_s * _SCRAPES_PER_S))
        found["node_exporter"] = measured(rows)
    for name, report in found.items():
        told(name, report, version)
    summary = {
        "machine": machine(),
        "prometheus_version": version,
        **{name: fields(report) for name, report in found.items()},
    }
    print(json.dumps(summary))


def told(name: str, report: Report, version: str) -> None:
    """Print a report for people."""
    print(f"{name}: {report.series} series, {report.samples} samples")
    print(f"  bytes per sample: tocsin {report.tocsin:.3f}, merged {report.merged:.3f}, "
          f"log {report.log:.3f}; prometheus {version} {report.prometheus:.3f}")  # fmt: skip
    print(f"  coded {report.code_per_s / 1e6:.1f} M samples per CPU second; "
          f"the loop was held {report.held_ms:.1f} ms at most")  # fmt: skip
    for what, ms in report.select_ms.items():
        print(f"  {what}: {ms:.1f} ms")


def fields(report: Report) -> dict[str, object]:
    """Return a report for programs."""
    return {name: getattr(report, name) for name in Report.__slots__}


def fleet(targets: int, rows: int) -> Iterator[Row]:
    """Yield the rows of a fleet, oldest first."""
    made, random = Targets(targets), np.random.default_rng(7)
    phases = random.integers(0, STEP_MS - 10, targets)
    for number in range(rows):
        values = made.next()
        jitter = random.integers(0, 3, targets)
        for target in range(targets):
            ts_ms = BEGIN_MS + number * STEP_MS + int(phases[target] + jitter[target])
            yield Row(made.layout(target), ts_ms, values[target].copy())


def exporter_rows(program: str, count: int) -> Iterator[Row]:
    """Yield rows of a real node_exporter, as if 15 s had passed between two of them."""
    with running(program) as port:
        parser, layout, numbers = PageParser(), Layout("node", ()), list[int]()
        for number in range(count):
            begun = time.monotonic()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                page = parser.parse(answer.read())
            if page.numbers != numbers:
                numbers = list(page.numbers)
                target = {"instance": "host:9100", "job": "node"}
                layout = Layout("node", tuple(parser.series[n].merged(target) for n in numbers))
            yield Row(layout, BEGIN_MS + number * STEP_MS, np.asarray(page.values, np.float64))
            time.sleep(max(0.0, begun + 1 / _SCRAPES_PER_S - time.monotonic()))


@contextmanager
def running(program: str) -> Iterator[int]:
    """Run a node_exporter; give its port once it answers."""
    port = free_port()
    command = [program, f"--web.listen-address=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def measured(rows: list[Row]) -> Report:
    """Return what both sides make of the rows."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tocsin-disk-") as name:
        folder = Path(name)
        store = MetricStore(folder / "metrics")
        say(f"{len(rows)} rows into our store")
        for row in rows:
            store.append(TENANT, row.layout, row.ts_ms, row.values)
        report.log = store.stats(TENANT).wal_bytes / store.stats(TENANT).samples
        write_text(store, folder / "samples.om")
        seal(store, rows[-1].ts_ms + 4 * HOUR_MS, report)
        report.select_ms = selects(store, rows)
        for work in store.upkeep(TENANT, rows[-1].ts_ms + 60 * HOUR_MS):
            work.run()
        stats = store.stats(TENANT)
        report.merged = stats.block_bytes / stats.block_samples
        store.close()
        say("promtool makes blocks")
        report.prometheus = promtool_bytes(folder) / report.samples
    return report


def seal(store: MetricStore, now_ms: int, report: Report) -> None:
    """Seal everything, and note what that took."""
    cpu, held, begun = 0.0, 0.0, time.thread_time()
    for work in store.upkeep(TENANT, now_ms):
        held = max(held, time.thread_time() - begun)
        before = time.process_time()
        work.run()
        if work.kind is Kind.SEAL:
            cpu += time.process_time() - before
        begun = time.thread_time()
    stats = store.stats(TENANT)
    report.series = len(store.series(TENANT, []))
    report.samples = stats.block_samples
    report.tocsin = stats.block_bytes / stats.block_samples
    report.code_per_s = stats.block_samples / cpu
    report.held_ms = 1e3 * held


def selects(store: MetricStore, rows: list[Row]) -> dict[str, float]:
    """Return how long reading from blocks takes, the index at hand."""
    labels = rows[0].layout.labels[0]
    one = [matcher(name, "=", value) for name, value in labels.pairs]
    asked = {
        "one series, all of its time": one,
        "all series of one metric, all of their time": one[:1],
    }
    first, last = rows[0].ts_ms, rows[-1].ts_ms
    times = {what: _fastest(store, matchers, first, last) for what, matchers in asked.items()}
    times["all series of one metric, 5 minutes"] = _fastest(store, one[:1], last - 300_000, last)
    return times


def _fastest(store: MetricStore, matchers: list[Matcher], first: int, last: int) -> float:
    """Return the milliseconds of the fastest of some reads."""
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        found = store.select(TENANT, matchers, start_ms=first, end_ms=last)
        taken.append(time.perf_counter() - begun)
        if not found:
            sys.exit("nothing was found where samples are")
    return 1e3 * min(taken)


def write_text(store: MetricStore, path: Path) -> None:
    """Write everything a store has as OpenMetrics text."""
    with path.open("w", encoding="utf-8") as out:
        for each in store.select(TENANT, [], start_ms=0, end_ms=2**62):
            out.write(lines(each))
        out.write(END)


def promtool_bytes(folder: Path) -> int:
    """Return the bytes of the blocks promtool makes of the text."""
    target = folder / "prometheus"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q"]
    subprocess.run([*command, str(folder / "samples.om"), str(target)], check=True)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
