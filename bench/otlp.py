"""Taking OTLP metrics in: points for a second of CPU, from the bytes of a request to the log.

    python bench/otlp.py [--points 10000] [--rounds 20]

In one process and on one core: the receiver as the server runs it, and the store with its log
on disk. Requests are made beforehand, 15 s apart, every value another one each time.

    steady       one program that sends the same series each time, ten to a metric
    small        the same with two series to a metric
    regrouped    a collector that puts metrics of 20 programs together anew for each request
    histograms   16 buckets each; a point is 18 samples
    deltas       as steady, with delta temporality
    gzip         as steady, packed
    json         as steady, in JSON
    first        as steady, every series new

There is no peer: Prometheus takes OTLP from 2.47 on, which is not at hand. Every sample is
looked for in the store afterwards: else the exit status is 1. The numbers are medians over the
rounds. The last line is one JSON object; its `points_per_s` is that of `steady`.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peer import machine, say

from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.otlp.body import Encoding
from tocsin.metrics_collector.otlp.receiver import OtlpReceiver, Sent
from tocsin.model.clock import Clock
from tocsin.model.tenant import tenant_id
from tocsin.model.version import VERSION
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.store import MetricStore

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "support"))
import otlp_requests as wire  # noqa: E402 - stands beside the tests

TENANT = tenant_id("bench")
STARTED, STEP_S = 1_767_225_600, 15
WARM = 3  # requests before the first that counts: series are new, then their shape is
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 60]
SEED = 20261124


class Ticking(Clock):
    """The time of the request at hand."""

    def __init__(self) -> None:
        self.at_s = STARTED

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(self.at_s, UTC)

    async def sleep_until(self, when: datetime) -> None:
        """Never wait."""
        raise AssertionError(when)


@dataclass(frozen=True)
class Case:
    """One way of sending: the request of a step, and how many samples come of a point."""

    name: str
    request: Callable[[int, int], Sent]
    samples: int = 1
    counted: Callable[[int], range] = lambda rounds: range(WARM, WARM + rounds)


def metrics(points: int, step: int, *, each: int = 10, **more: Any) -> Iterator[bytes]:
    """Yield counters of `each` series, of two kinds of numbers, three attributes to a series."""
    at = STARTED + step * STEP_S
    for first in range(0, points, each):
        found = [_number(index, at, step) for index in range(first, first + each)]
        yield wire.counter(f"http.server.requests.{first}", *found, unit="By", **more)


def _number(index: int, at: int, step: int) -> bytes:
    value = step * 7 + index
    return wire.number(
        value if index % 2 else value / 4,
        at,
        start_s=STARTED,
        route=f"/api/v1/resource/{index}",
        method="GET",
        code=200 + index % 5,
    )


def histograms(points: int, step: int) -> Iterator[bytes]:
    """Yield histograms of ten series, with least and largest values."""
    at = STARTED + step * STEP_S
    for first in range(0, points, 10):
        found = [
            wire.histogram(
                [step + index + b for b in range(16)],
                BOUNDS,
                at,
                total=float(step),
                start_s=STARTED,
                extremes=(0.0, float(step)),
                route=f"/api/v1/resource/{index}",
                method="GET",
            )
            for index in range(first, first + 10)
        ]
        yield wire.histograms(f"http.server.duration.{first}", *found, unit="s")


def regrouped(points: int, step: int) -> bytes:
    """Return what a collector sends: metrics of 20 programs, in another order each time."""
    chance = random.Random(SEED + step)  # noqa: S311 - no secret
    parts = []
    for program in range(20):
        found = list(metrics(points // 20, step))
        chance.shuffle(found)
        resource = {**wire.SHOP, "service.instance.id": f"pod-{program}", "host.name": "h"}
        parts.append(wire.request(*found, resource=resource))
    chance.shuffle(parts)
    return b"".join(parts)


def as_json(points: int, step: int) -> bytes:
    """Return the counters of `metrics` in JSON."""
    at, began = f"{STARTED + step * STEP_S}000000000", f"{STARTED}000000000"
    written = []
    for first in range(0, points, 10):
        found = [
            {
                "attributes": [
                    {"key": "route", "value": {"stringValue": f"/api/v1/resource/{index}"}},
                    {"key": "method", "value": {"stringValue": "GET"}},
                    {"key": "code", "value": {"intValue": str(200 + index % 5)}},
                ],
                "startTimeUnixNano": began,
                "timeUnixNano": at,
                "asInt": str(step * 7 + index),
            }
            for index in range(first, first + 10)
        ]
        told = {"dataPoints": found, "aggregationTemporality": 2, "isMonotonic": True}
        written.append({"name": f"http.server.requests.{first}", "unit": "By", "sum": told})
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": written}]}]}).encode()


def _steady(points: int, step: int, **more: Any) -> Sent:
    return Sent(wire.request(*metrics(points, step, **more)))


def _anew(points: int, step: int) -> Sent:
    """Return a request none of whose series came before."""
    resource = {**wire.SHOP, "service.instance.id": f"run-{step}"}
    return Sent(wire.request(*metrics(points, step), resource=resource))


CASES = (
    Case("steady", _steady),
    Case("small", lambda points, step: _steady(points, step, each=2)),
    Case("regrouped", lambda points, step: Sent(regrouped(points, step))),
    Case("histograms", lambda n, step: Sent(wire.request(*histograms(n // 10, step))), samples=18),
    Case("deltas", lambda points, step: _steady(points, step, temporality=wire.DELTA)),
    Case("gzip", lambda n, step: Sent(gzip.compress(_steady(n, step).body, 6), gzip=True)),
    Case("json", lambda points, step: Sent(as_json(points, step), Encoding.JSON)),
    Case("first", _anew, counted=lambda rounds: range(min(rounds, 5))),
)


async def measured(case: Case, points: int, rounds: int, folder: Path) -> dict[str, float]:
    """Return points and samples for a second of CPU. Exits when something was not stored."""
    clock, store = Ticking(), MetricStore(folder)
    receiver = OtlpReceiver(store, clock=clock, instruments=MetricInstruments(Registry(version="")))
    counted, took, stored = case.counted(rounds), [], 0
    for step in range(counted.stop):
        clock.at_s = STARTED + step * STEP_S
        sent = case.request(points, step)
        began = time.process_time()
        exported = await receiver.receive(TENANT, sent)
        if step in counted:
            took.append(time.process_time() - began)
        if not exported.complete:
            sys.exit(f"{case.name}: {exported.rejected}")
        stored += exported.samples
    found = store.select(TENANT, [], start_ms=0, end_ms=clock.at_s * 1000)
    store.close()
    if sum(len(series.times) for series in found) != stored:
        sys.exit(f"{case.name}: {stored} samples were stored, and others are there")
    each = stored / counted.stop / case.samples
    per_s = each / statistics.median(took)
    return {"points_per_s": round(per_s), "samples_per_s": round(per_s * case.samples)}


def main() -> None:
    """Measure every case, tell, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    say(f"Tocsin {VERSION}, Python {sys.version.split()[0]}, {machine()}")
    results: dict[str, dict[str, float]] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = measured(case, given.points, given.rounds, Path(folder))
            results[case.name] = asyncio.run(found)
        told = results[case.name]
        points, samples = told["points_per_s"], told["samples_per_s"]
        say(f"{case.name:11} {points:>10,} points/s {samples:>10,} samples/s")
    whole = {
        "bench": "otlp",
        "version": VERSION,
        "machine": machine(),
        "points_per_request": given.points,
        "rounds": given.rounds,
        "peer": None,
        "points_per_s": results["steady"]["points_per_s"],
        "cases": results,
    }
    print(json.dumps(whole))


if __name__ == "__main__":
    main()
