"""Memory per series of the metric store: targets scraped every 15 s, rules' rings kept.

    python bench/memory.py [--targets 5000] [--minutes 60] [--ring-minutes 10]

Each target has 20 series as in the contract of the metric engine (section 9): 8 counters, 9
buckets of a histogram, `up`, a load and the free bytes of a disk. The last line is one JSON
object: resident bytes before the first sample and after the last, in all and per series, and
what a `select` over the last hour of one metric costs per series. Only the store is measured;
whoever scrapes keeps the layouts, as here.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.timeseries.store import MetricStore

Rows = npt.NDArray[np.float64]

TENANT = TenantId("bench")
STEP_MS = 15_000
BEGIN_MS = 1_767_225_600_000
CODES, METHODS = ("200", "404", "500", "503"), ("GET", "POST")
BOUNDS = ("0.005", "0.01", "0.05", "0.1", "0.5", "1.0", "2.5", "5.0", "+Inf")
METRICS = (
    "http_requests_total",
    "http_request_duration_seconds_bucket",
    "up",
    "node_load1",
    "disk_free_bytes",
)


class Targets:
    """Targets and what they expose, from a fixed seed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.layouts: list[Layout] = []
        self._random = np.random.default_rng(20260101)
        self._rates = self._random.choice([0.02, 0.5, 3.0, 20.0, 150.0], (count, 8)) * 15
        self._latencies = np.sort(self._random.random((count, 9)), axis=1)
        self._state = np.zeros((count, 20))
        self._state[:, :17] = self._random.integers(0, 10**6, (count, 17))
        self._state[:, 8:17].sort(axis=1)
        self._state[:, 19] = 4096.0 * self._random.integers(10**6, 10**8, count)

    def layout(self, number: int) -> Layout:
        """Return the layout of a target, made when it is first asked for, as by a scrape."""
        if number == len(self.layouts):
            self.layouts.append(_layout(number, max(1, self.count // 50)))
        return self.layouts[number]

    def next(self) -> Rows:
        """Return the next row of every target."""
        random, state, count = self._random, self._state, self.count
        state[:, :8] += random.poisson(self._rates)
        requests = random.poisson(self._rates[:, 2])
        state[:, 8:17] += np.round(requests[:, None] * self._latencies)
        resets = random.random(count) < 0.02 / 240
        state[resets, :17] = 0
        state[:, 17] = random.random(count) > 0.01
        state[:, 18] = np.round(np.abs(random.normal(2, 0.5, count)), 2)
        state[:, 19] = np.abs(state[:, 19] - 4096 * random.integers(0, 1 << 10, count))
        return state.copy()


def _layout(number: int, services: int) -> Layout:
    common = {"instance": f"10.0.{number >> 8}.{number & 255}:9100", "job": "node"}
    common["service"] = f"service-{number % services}"

    def series(name: str, **labels: str) -> Labels:
        return Labels(list({"__name__": name, **labels, **common}.items()))

    found = [series(METRICS[0], code=code, method=method) for code in CODES for method in METHODS]
    found += [series(METRICS[1], le=bound) for bound in BOUNDS]
    found += [series(name) for name in METRICS[2:]]
    return Layout(f"scrape/node/{common['instance']}", tuple(found))


def resident() -> int:
    """Return the resident bytes of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def fill(store: MetricStore, targets: Targets, rows: int, ring_ms: int) -> Iterator[float]:
    """Append rows to every target and ask for rings as rules do; yield seconds per round."""
    phases = np.random.default_rng(7).integers(0, STEP_MS, targets.count).tolist()
    for number in range(rows):
        values = targets.next()
        now = BEGIN_MS + number * STEP_MS
        began = time.process_time()
        for at in range(targets.count):
            store.append(TENANT, targets.layout(at), now + phases[at], values[at])
        yield time.process_time() - began
        for metric in METRICS if ring_ms else ():
            store.ring(TENANT, metric, depth_ms=ring_ms)


def select_cost(store: MetricStore, end_ms: int) -> dict[str, float]:
    """Return microseconds per series of a `select` over one hour, by metric."""
    found = {}
    for metric in METRICS:
        began = time.process_time()
        series = store.select(
            TENANT, [matcher("__name__", "=", metric)], start_ms=end_ms - 3_600_000, end_ms=end_ms
        )
        found[metric] = round((time.process_time() - began) / max(1, len(series)) * 1e6, 2)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=5000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--ring-minutes", type=int, default=10)
    options = parser.parse_args()
    rows = options.minutes * 60_000 // STEP_MS
    ring_ms = options.ring_minutes * 60_000
    with tempfile.TemporaryDirectory() as root:
        store = MetricStore(Path(root))
        targets = Targets(options.targets)
        before = resident()
        took = list(fill(store, targets, rows, ring_ms))
        after = resident()
        series = store.stats(TENANT).series
        report = {
            "bench": "memory",
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "series": series,
            "rows": rows,
            "ring_window_s": timedelta(milliseconds=ring_ms).total_seconds(),
            "rss_start_bytes": before,
            "rss_end_bytes": after,
            "rss_bytes_per_series": round(after / series),
            "store_bytes_per_series": round((after - before) / series),
            "append_us_per_row": round(float(np.median(took)) / options.targets * 1e6, 1),
            "wal_bytes_per_sample": round(store.stats(TENANT).wal_bytes / (series * rows), 2),
            "select_1h_us_per_series": select_cost(store, BEGIN_MS + rows * STEP_MS),
        }
        store.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
