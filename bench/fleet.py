"""The data of the rule benchmark: a fleet of targets, from a seed, row by row.

Each target is scraped every 15 s in a phase of its own and exposes 8 request counters, 9
latency buckets, `up`, a load and a free disk; each service has one `service_info`. Counters
fall back on 2 % of the targets, 1 % flap, 3 % serve errors, 2 % run out of disk. `irregular`
moves scrapes by up to 0.4 s, misses 2 % of them, and lets 5 % of the counters begin midway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels

SEED = 20261123
STEP_MS = 15_000
PER_TARGET = 20
CODES = ("200", "404", "500", "503")
METHODS = ("GET", "POST")
BOUNDS = ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "10", "+Inf")

REQUESTS = "http_requests_total"
BUCKET = "http_request_duration_seconds_bucket"
HISTORY = {REQUESTS: 60, BUCKET: 60, "up": 80, "node_load1": 260, "disk_free_bytes": 1460}
"""How many rows of each metric there are before the first evaluation: what the rules look at."""

RULES = {
    "R01": 'sum by (service)(rate(http_requests_total{code=~"5.."}[5m]))'
    " / sum by (service)(rate(http_requests_total[5m])) > 0.05",
    "R02": "histogram_quantile(0.99, sum by (le,service)"
    "(rate(http_request_duration_seconds_bucket[5m]))) > 1",
    "R03": "up == 0",
    "R04": "avg_over_time(node_load1[1h]) > 3",
    "R05": "predict_linear(disk_free_bytes[6h], 4*3600) < 0",
    "R06": 'absent(up{job="nope"})',
    "R07": "sum by (service)(rate(http_requests_total[5m]))"
    " * on(service) group_left(team) service_info > 10",
    "R08": "max_over_time(node_load1[10m]) > 4",
    "R09": 'increase(http_requests_total{code="500"}[10m]) > 100',
    "R10": "sum by (service)(up) / count by (service)(up) < 0.99",
    "R11": "changes(up[15m]) > 3",
    "R12": "quantile by (service)(0.95, node_load1) > 3",
}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class Row:
    """What one round of scrapes brings: a time for each target, values (targets, series)."""

    times: Ints
    scraped: Bools
    values: dict[str, Floats]


@dataclass
class Fleet:
    """All targets. `rows(first, last)` must be read in order, once."""

    series: int
    start_ms: int
    rounds: int
    irregular: bool
    labels: dict[str, list[list[Labels]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.targets = max(1, self.series // PER_TARGET)
        self.services = max(20, self.targets // 50)
        self.random = np.random.default_rng(SEED)
        self._label()
        self._phases = self.random.integers(0, STEP_MS - 1_000, self.targets) + 500
        n = self.targets
        self._bad = self.random.random(n) < 0.03
        self._flapping = self.random.random(n) < 0.01
        self._falling = self.random.random(n) < 0.02
        self._load = np.where(self.random.random(n) < 0.02, 3.6, 1.2)
        self._disk = self.random.uniform(5e9, 5e10, n)
        leak = self.random.random(n) < 0.02
        self._slope = np.where(leak, -self._disk / 1_600, self.random.uniform(-4e4, 4e4, n))
        self._requests = np.zeros((n, len(CODES) * len(METHODS)))
        self._buckets = np.zeros((n, len(BOUNDS)))
        midway = self.random.random(self._requests.shape) < (0.05 if self.irregular else 0.0)
        self.born = {REQUESTS: np.where(midway, HISTORY[REQUESTS] // 2, 0)}

    def _label(self) -> None:
        for metric in HISTORY:
            extra = [dict[str, str]()]
            if metric == REQUESTS:
                extra = [{"code": c, "method": m} for c in CODES for m in METHODS]
            elif metric == BUCKET:
                extra = [{"le": bound} for bound in BOUNDS]
            self.labels[metric] = [
                [self._labels(metric, target, more) for more in extra]
                for target in range(self.targets)
            ]
        self.info = [
            Labels(
                {
                    "__name__": "service_info",
                    "service": f"service-{n}",
                    "team": f"team-{n % 7}",
                    "tier": str(n % 3),
                }.items()
            )
            for n in range(self.services)
        ]

    def _labels(self, metric: str, target: int, more: dict[str, str]) -> Labels:
        own = {
            "__name__": metric,
            "instance": f"host-{target:05d}:9100",
            "job": "api",
            "service": f"service-{target % self.services}",
        }
        return Labels({**own, **more}.items())

    @property
    def oldest(self) -> int:
        """Return the number of the first row; row 0 is that of the first evaluation."""
        return -max(HISTORY.values())

    def evaluated_at(self, number: int) -> int:
        """Return when the rules are evaluated that see row `number` as the newest (ms)."""
        return self.start_ms + (number + 1) * STEP_MS

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield every row with its number, the oldest first."""
        for number in range(self.oldest, self.rounds):
            yield number, self._row(number)

    def _row(self, number: int) -> Row:
        rng, n = self.random, self.targets
        times = self.start_ms + number * STEP_MS + self._phases
        scraped = np.ones(n, dtype=np.bool_)
        if self.irregular:
            times = times + rng.integers(-400, 401, n)
            scraped = rng.random(n) >= 0.02
        made = {
            REQUESTS: self._next_requests,
            BUCKET: self._next_buckets,
            "up": self._next_up,
            "node_load1": self._next_load,
            "disk_free_bytes": self._next_disk,
        }
        values = {m: make() for m, make in made.items() if number >= -HISTORY[m]}
        return Row(times, scraped, values)

    def _next_requests(self) -> Floats:
        self._requests += self._arrivals()
        self._requests[self._falling & (self.random.random(self.targets) < 0.02)] = 0.0
        return self._requests.copy()

    def _next_buckets(self) -> Floats:
        share = [0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.01, 0.01]
        self._buckets += np.cumsum(self.random.multinomial(20, share, self.targets), axis=1)
        self._buckets[self._falling & (self.random.random(self.targets) < 0.02)] = 0.0
        return self._buckets.copy()

    def _next_up(self) -> Floats:
        up = np.ones((self.targets, 1))
        up[self._flapping, 0] = self.random.random(int(self._flapping.sum())) < 0.5
        return up

    def _next_load(self) -> Floats:
        return np.round(np.abs(self.random.normal(self._load, 0.5)), 2)[:, None]

    def _next_disk(self) -> Floats:
        self._disk += self._slope
        return np.round(self._disk)[:, None]

    def _arrivals(self) -> Floats:
        rng, n = self.random, self.targets
        ok = rng.integers(0, 20, (n, 2))
        missing = rng.integers(0, 3, (n, 2))
        most = np.where(self._bad, 12, 2)[:, None]
        broken = rng.integers(0, most, (n, 4))
        return np.concatenate([ok, missing, broken], axis=1).astype(np.float64)

    def exists(self, metric: str, number: int) -> Bools | None:
        """Return which series of a metric have begun by a row, None when all have."""
        born = self.born.get(metric)
        if born is None or not self.irregular:
            return None
        begun: Bools = number >= born - HISTORY[metric]
        return None if begun.all() else begun
