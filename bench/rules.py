"""Twelve rules over many series: CPU and memory of Tocsin and of a real Prometheus.

    python bench/rules.py [--series N] [--rounds 20] [--kind regular|irregular|both]

Both hold the same samples of the same fleet (`bench/fleet.py`), each on one core. A cycle is
one evaluation of the twelve rules at the next scrape:

    Tocsin       one round of a rule group as the server runs it: new rows have been stored,
                 then the queries, the state of every alert, ALERTS written to the store and
                 its log, and due alerts handed on. CPU is the process' own count.
    Prometheus   twelve instant queries over HTTP, one connection; alert state is not
                 included, which is in its favour. CPU is that of its process.

The answers of both are compared, value by value, and so are the alerts that follow from them:
when they differ the exit status is 1. `cpu_ratio` is Prometheus' CPU seconds per cycle over
Tocsin's, medians; `rss_ratio` likewise for the memory after the last cycle. Storing the rows
is not part of a cycle on either side; what it costs Tocsin is `store_ms_per_cycle`.

The last line is one JSON object: that of the largest fleet, `cases` has them all. Without
--series there are two fleets, of 10,000 and of 100,000 series.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from fleet import HISTORY, RULES, STEP_MS, Fleet, Row
from peer import cpu_seconds, machine, prometheus, prometheus_version, rss_bytes, say

from tocsin.app.queries import EmbeddedQueries
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.series import Columns
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.model.version import VERSION
from tocsin.promql.engine import Engine
from tocsin.promql.options import Options as QueryOptions
from tocsin.promql.plans.plans import Plans
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import Answer, Queries
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Limits, Options
from tocsin.timeseries.store import MetricStore

TENANT = tenant_id("bench")
WARM = 5  # cycles before the first that counts
BATCH_ROWS = 20
BATCH_SERIES = 2_000
TOLERANCE = 1e-9

Found = dict[str, dict[Labels, float]]  # by rule: elements and values


@dataclass
class Cycle:
    """One evaluation: what came out, the alerts that are active, and what it cost (s)."""

    found: Found
    alerts: set[Labels]
    cpu_s: float


@dataclass
class Outcome:
    """Everything one side has to say."""

    cycles: list[Cycle] = field(default_factory=list)
    rss: int = 0
    store_cpu_s: float = 0.0
    bind_cpu_s: float = 0.0
    query_cpu_s: float = 0.0

    def mean_s(self) -> float:
        """Return the CPU seconds of a cycle, the mean of those that count."""
        return statistics.fmean(cycle.cpu_s for cycle in self.cycles[WARM:])


@dataclass(frozen=True)
class Case:
    """A fleet to be measured."""

    series: int
    rounds: int
    irregular: bool
    start_ms: int

    def fleet(self) -> Fleet:
        """Return the fleet; each call gives the same samples again."""
        return Fleet(self.series, self.start_ms, self.rounds + WARM, self.irregular)


# -- Tocsin --------------------------------------------------------------------------------------


class Heard(Queries):
    """Passes queries on, and remembers the answers and what they cost."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self.names = {expr: name for name, expr in RULES.items()}
        self.answers: dict[str, Answer] = {}
        self.cpu_s = 0.0

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Ask, and note the answer."""
        began = time.process_time()
        answer = await self._queries.instant(tenant, expr, at_ms=at_ms)
        self.cpu_s += time.process_time() - began
        self.answers[self.names[expr]] = answer
        return answer


class Rows:
    """Stores rows of a fleet as a remote write receiver does: by refs, one call a row."""

    def __init__(self, store: MetricStore, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._refs: dict[str, Any] = {}
        self._info = store.resolve(TENANT, fleet.info)

    def store(self, number: int, row: Row) -> None:
        """Store one row of every target that was scraped."""
        refs, times, values = [], [], []
        for metric, block in row.values.items():
            if metric not in self._refs:
                flat = [each for target in self._fleet.labels[metric] for each in target]
                self._refs[metric] = self._store.resolve(TENANT, flat)
            kept = np.repeat(row.scraped, block.shape[1])
            exists = self._fleet.exists(metric, number)
            if exists is not None:
                kept = kept & exists.ravel()
            refs.append(self._refs[metric].refs[kept])
            times.append(np.repeat(row.times, block.shape[1])[kept])
            values.append(block.ravel()[kept])
        if number >= -HISTORY["up"]:
            count = len(self._fleet.info)
            refs.append(self._info.refs)
            times.append(np.full(count, self._fleet.start_ms + number * STEP_MS))
            values.append(np.ones(count))
        columns = Columns(np.concatenate(refs), np.concatenate(times), np.concatenate(values))
        done = self._store.append_refs(TENANT, self._info.epoch, columns)
        if done is None or done.refused:
            sys.exit(f"samples were refused: {done}")


async def nobody(_tenant: TenantId, _alerts: Sequence[Alert]) -> None:
    """Be told of alerts."""


def group_run(store: MetricStore, queries: Queries) -> GroupRun:
    """Return the twelve rules as a group."""
    rules = [{"alert": name, "expr": expr} for name, expr in RULES.items()]
    raw = {"groups": [{"name": "fleet", "interval": "15s", "rules": rules}]}
    file = msgspec.convert(raw, RuleFile, dec_hook=from_scalar)
    [group] = groups_of({"fleet.yml": file}, RuleSettings())
    near = Neighbours(queries, store, nobody, RuleInstruments(Registry(version=VERSION)))
    return GroupRun(GroupSpec(TENANT, group, RuleSettings(), "http://tocsin"), near)


async def ours(case: Case, folder: Path) -> Outcome:
    """Evaluate the rules with Tocsin."""
    fleet, outcome = case.fleet(), Outcome()
    limits = Limits(active_series=2 * case.series + 10_000)
    store = MetricStore(folder, Options(limits=limits, ring_bytes=4 << 30))
    engine = Engine(store, options=QueryOptions(mode="2.42"))
    heard = Heard(EmbeddedQueries(Plans(engine, store, store)))
    run, rows = group_run(store, heard), Rows(store, fleet)
    for number, row in fleet.rows():
        began = time.process_time()
        rows.store(number, row)
        if number < 0:
            continue
        stored = time.process_time() - began
        at_ms = fleet.evaluated_at(number)
        heard.cpu_s = 0.0
        began = time.process_time()
        await run.evaluate(datetime.fromtimestamp(at_ms / 1000, UTC))
        took = time.process_time() - began
        outcome.cycles.append(Cycle(_found(heard.answers), _alerts(run), took))
        if number == 0:
            outcome.bind_cpu_s = took
        elif number >= WARM:
            outcome.store_cpu_s += stored / case.rounds
            outcome.query_cpu_s += heard.cpu_s / case.rounds
    outcome.rss = rss_bytes(os.getpid())
    store.close()
    return outcome


def _found(answers: dict[str, Answer]) -> Found:
    return {
        name: dict(zip(answer.labels, answer.values.tolist(), strict=True))
        for name, answer in answers.items()
    }


def _alerts(run: GroupRun) -> set[Labels]:
    return {alert.labels for rule in run.view().rules for alert in rule.alerts}


def in_a_process(case: Case, core: int) -> Outcome:
    """Run `ours` in a process of its own, on one core."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "outcome.pickle"
        given = [str(case.series), str(case.rounds), str(int(case.irregular)), str(case.start_ms)]
        command = [sys.executable, __file__, "--child", *given, str(core), str(result)]
        subprocess.run(command, check=True)
        return pickle.loads(result.read_bytes())  # noqa: S301  # our own child wrote it


def child(given: Sequence[str]) -> None:
    """Be that process."""
    series, rounds, irregular, start_ms, core = map(int, given[:5])
    os.sched_setaffinity(0, {core})
    case = Case(series, rounds, bool(irregular), start_ms)
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(ours(case, Path(folder)))
    Path(given[5]).write_bytes(pickle.dumps(outcome))


# -- Prometheus ----------------------------------------------------------------------------------


def theirs(case: Case, folder: Path, core: int) -> Outcome:
    """Evaluate the rules with Prometheus."""
    fleet, outcome = case.fleet(), Outcome()
    with prometheus(folder, core=core) as peer:
        for body in requests(fleet):
            peer.write(body)
        peer.settle()
        for number in range(case.rounds + WARM):
            at_ms = fleet.evaluated_at(number)
            began = cpu_seconds(peer.pid)
            answers = {name: peer.query(expr, at_ms) for name, expr in RULES.items()}
            took = cpu_seconds(peer.pid) - began
            found = {name: _read(answer) for name, answer in answers.items()}
            outcome.cycles.append(Cycle(found, _implied(found), took))
        outcome.rss = rss_bytes(peer.pid)
    return outcome


def _read(answer: list[dict[str, Any]]) -> dict[Labels, float]:
    return {Labels.of(each["metric"]): float(each["value"][1]) for each in answer}


def _implied(found: Found) -> set[Labels]:
    """Return the alerts that rules without `for` make of these elements."""
    return {
        labels.merged({"__name__": "", "alertname": name})
        for name, elements in found.items()
        for labels in elements
    }


def requests(fleet: Fleet) -> Iterator[bytes]:
    """Yield every sample of a fleet as remote write requests, a few minutes at a time."""
    batch: list[tuple[int, Row]] = []
    known = Encoded(fleet)
    for numbered in fleet.rows():
        batch.append(numbered)
        if len(batch) == BATCH_ROWS or numbered[0] == fleet.rounds - 1:
            yield from known.requests(batch)
            batch = []


class Encoded:
    """Encodes rows as remote write 1.0; the label sets only once."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._labels = {
            metric: [encode_labels(each) for target in targets for each in target]
            for metric, targets in fleet.labels.items()
        }
        self._info = [encode_labels(each) for each in fleet.info]

    def requests(self, batch: list[tuple[int, Row]]) -> Iterator[bytes]:
        """Yield requests with the samples of some rows."""
        parts: list[bytes] = []
        for series in self._series(batch):
            parts.append(b"\x0a" + varint(len(series)) + series)
            if len(parts) == BATCH_SERIES:
                yield b"".join(parts)
                parts = []
        if parts:
            yield b"".join(parts)

    def _series(self, batch: list[tuple[int, Row]]) -> Iterator[bytes]:
        for metric, encoded in self._labels.items():
            rows = [(number, row) for number, row in batch if metric in row.values]
            if rows:
                yield from self._metric(metric, encoded, rows)
        times = [self._fleet.start_ms + n * STEP_MS for n, _ in batch if n >= -HISTORY["up"]]
        if times:
            samples = encode_samples(np.array([times]), np.ones((1, len(times))))[0].tobytes()
            yield from (labels + samples for labels in self._info)

    def _metric(
        self, metric: str, encoded: list[bytes], rows: list[tuple[int, Row]]
    ) -> Iterator[bytes]:
        each = len(encoded) // self._fleet.targets
        values = np.stack([row.values[metric].ravel() for _, row in rows], axis=1)
        times = np.repeat(np.stack([row.times for _, row in rows], axis=1), each, axis=0)
        kept = np.repeat(np.stack([row.scraped for _, row in rows], axis=1), each, axis=0)
        for place, (number, _) in enumerate(rows):
            exists = self._fleet.exists(metric, number)
            if exists is not None:
                kept[:, place] &= exists.ravel()
        samples, whole = encode_samples(times, values), kept.all(axis=1)
        for i, labels in enumerate(encoded):
            held = samples[i] if whole[i] else samples[i][kept[i]]
            if len(held):
                yield labels + held.tobytes()


def varint(number: int) -> bytes:
    """Return a protobuf varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_labels(labels: Labels) -> bytes:
    """Return the labels of a TimeSeries message."""
    out = b""
    for pair in labels.pairs:
        texts = [text.encode() for text in pair]
        label = b"".join(bytes([0x0A + 8 * i, len(t)]) + t for i, t in enumerate(texts))
        out += b"\x0a" + varint(len(label)) + label
    return out


def encode_samples(times: Any, values: Any) -> Any:
    """Return the samples (series, rows) as bytes (series, rows, 18): tag, value, time."""
    out = np.empty((*times.shape, 18), np.uint8)
    out[..., 0], out[..., 1], out[..., 2], out[..., 11] = 0x12, 16, 0x09, 0x10
    out[..., 3:11] = np.ascontiguousarray(values, "<f8").view(np.uint8).reshape(*times.shape, 8)
    for i in range(6):
        out[..., 12 + i] = (times >> (7 * i)) & 0x7F | (0x80 if i < 5 else 0)
    return out


# -- both ----------------------------------------------------------------------------------------


def largest_error(one: Outcome, other: Outcome) -> float:
    """Return the largest relative difference; infinite when elements or alerts differ."""
    worst = 0.0
    for mine, peers in zip(one.cycles, other.cycles, strict=True):
        if mine.alerts != peers.alerts:
            say(f"alerts differ: {list(mine.alerts ^ peers.alerts)[:3]}")
            return float("inf")
        for name in RULES:
            worst = max(worst, _difference(name, mine.found[name], peers.found[name]))
    return worst


def _difference(name: str, mine: dict[Labels, float], peers: dict[Labels, float]) -> float:
    if mine.keys() != peers.keys():
        say(f"{name}: elements differ: {list(mine.keys() ^ peers.keys())[:3]}")
        return float("inf")
    gaps = (
        abs(value - peers[k]) / max(abs(value), abs(peers[k]), 1e-300) for k, value in mine.items()
    )
    return max(gaps, default=0.0)


def measured(case: Case) -> dict[str, Any]:
    """Run both sides on one fleet and compare them."""
    kind = "irregular" if case.irregular else "regular"
    core = max(os.sched_getaffinity(0))
    say(f"{case.series:,} series, {kind}: Tocsin …")
    mine = in_a_process(case, core)
    say(f"{case.series:,} series, {kind}: Prometheus … (loading takes a while)")
    with tempfile.TemporaryDirectory() as folder:
        peers = theirs(case, Path(folder), core)
    error = largest_error(mine, peers)
    found = {
        "series": case.series,
        "kind": kind,
        "cpu_ratio": round(peers.mean_s() / mine.mean_s(), 1),
        "rss_ratio": round(peers.rss / mine.rss, 2),
        "max_rel_error": error,
        "alerts": len(mine.cycles[-1].alerts),
        "tocsin_ms_per_cycle": round(mine.mean_s() * 1e3, 3),
        "prometheus_ms_per_cycle": round(peers.mean_s() * 1e3, 1),
        "query_ms_per_cycle": round(mine.query_cpu_s * 1e3, 3),
        "store_ms_per_cycle": round(mine.store_cpu_s * 1e3, 1),
        "first_cycle_ms": round(mine.bind_cpu_s * 1e3, 1),
        "tocsin_rss_mb": round(mine.rss / 1e6, 1),
        "prometheus_rss_mb": round(peers.rss / 1e6, 1),
    }
    print(json.dumps(found), flush=True)
    return found


def main(args: Sequence[str]) -> int:
    """Measure; return 1 when the answers differ."""
    if args[:1] == ["--child"]:
        child(args[1:])
        return 0
    parser = argparse.ArgumentParser(description="Rules: Tocsin beside Prometheus.")
    parser.add_argument("--series", type=int, help="size of the one fleet to measure")
    parser.add_argument("--rounds", type=int, default=20, help="cycles that count")
    parser.add_argument("--kind", choices=["regular", "irregular", "both"], default="both")
    given = parser.parse_args(args)
    version = prometheus_version()
    print(f"tocsin {VERSION}, prometheus {version}, {machine()}, one core each", flush=True)
    kinds = {"regular": [False], "irregular": [True], "both": [True, False]}[given.kind]
    sizes = [given.series] if given.series else [10_000, 100_000]
    # the newest row lies near now: a Prometheus takes nothing that is hours old or ahead
    span = timedelta(milliseconds=STEP_MS * (given.rounds + WARM + 4))
    start_ms = int((datetime.now(UTC) - span).timestamp() * 1000) // STEP_MS * STEP_MS
    cases = [
        measured(Case(size, given.rounds, irregular, start_ms))
        for size in sizes
        for irregular in kinds
    ]
    wrong = [case for case in cases if not case["max_rel_error"] <= TOLERANCE]
    last = {k: v for k, v in cases[-1].items() if k != "kind"}
    worst = max(case["max_rel_error"] for case in cases)
    told = {"bench": "rules", **last, "max_rel_error": worst, "prometheus_version": version}
    told |= {"tocsin_version": VERSION, "machine": machine(), "equal": not wrong, "cases": cases}
    print(json.dumps(told))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
