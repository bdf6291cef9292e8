"""Rules over rings give what an ad-hoc query gives, round after round, from every source."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from tocsin.model.labels import Labels
from tocsin.model.sample import STALE
from tocsin.model.series import Layout
from tocsin.model.tenant import tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemoryRings, MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.parser import Mode
from tocsin.promql.plans.plans import Plans
from tocsin.promql.ports import RingSource, SeriesSource
from tocsin.promql.result import Result, Scalar, Vector
from tocsin.timeseries.store import MetricStore

Page: TypeAlias = list[tuple[Labels, float]]
Source: TypeAlias = tuple[SeriesSource, RingSource, Callable[[str, int, Page], None]]

ACME = tenant_id("acme")
STEP_MS = 15_000

RULES = (
    'sum by (service)(rate(http_total{code=~"5.."}[5m]))'
    " / sum by (service)(rate(http_total[5m])) > 0.05",
    "histogram_quantile(0.99, sum by (le,service)(rate(lat_bucket[5m]))) > 0.2",
    "up == 0",
    "avg_over_time(load[20m]) > 1",
    "predict_linear(disk[25m], 4*3600) < 0",
    'absent(up{job="nope"})',
    "absent(up)",
    "sum by (service)(rate(http_total[5m])) * on(service) group_left(team) service_info > 0",
    "max_over_time(load[10m]) > 2",
    "min_over_time(load[10m])",
    'increase(http_total{code="500"}[10m]) > 3',
    "sum by (service)(up) / count by (service)(up) < 0.99",
    "changes(up[15m]) > 0",
    "resets(http_total[15m]) > 0",
    "quantile by (service)(0.95, load) > 0.3",
    "irate(http_total[2m])",
    "idelta(load[2m])",
    "delta(load[5m])",
    "deriv(disk[10m])",
    "sum_over_time(load[7m])",
    "count_over_time(load[7m])",
    "present_over_time(load[1m])",
    "last_over_time(load[3m])",
    "first_over_time(load[3m])",
    "stddev_over_time(load[5m])",
    "quantile_over_time(0.5, load[5m])",
    "load offset 2m",
    "rate(http_total[5m] offset 1m)",
    "max_over_time(rate(http_total[1m])[5m:30s])",
    "topk(2, load)",
    "bottomk by (service)(1, load)",
    "count_values('v', up)",
    "label_replace(up, 'x', '$1', 'instance', 'i(.*)')",
    "sum(label_join(rate(http_total[5m]), 'x', '-', 'code', 'service')) by (x)",
    "up and on(instance) load > 0.5",
    "up or load",
    "up unless on(instance) (load > 1)",
    "-load + 2 * load",
    "abs(load - 1)",
    "sum(load)",
    "avg without (instance)(load)",
    "count by (__name__)(load)",
    "timestamp(up)",
    "scalar(sum(up)) + 1",
    "load @ 900",
    '{__name__=~"up|load"}',
    "vector(1) unless on() up",
    "sum by (service)(load) > bool 1",
    "group by (service)(up)",
    "sort_desc(load)",
    "time() - max(timestamp(load))",
    "clamp_max(load, 1)",
    "stddev by (service)(load)",
)


@dataclass
class World:
    """Targets that come and go, counters that fall, gauges that jump: from a seed."""

    seed: int
    source: Source
    mode: Mode
    now_ms: int = 1_000_000
    _values: dict[Labels, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311  # a world that can be had again
        series, rings, self.row = self.source
        self.engine = Engine(series, options=Options(mode=self.mode))
        self.plans = Plans(self.engine, series, rings)
        self.alive = {f"i{n}": n % 3 for n in range(6)}

    def tick(self) -> None:
        """One round of scrapes."""
        self.now_ms += STEP_MS
        for instance, service in list(self.alive.items()):
            chance = self.random.random()
            if chance < 0.03:
                continue  # a scrape that is missing
            phase = int(instance[1:]) * 700 + self.random.randrange(300)
            at_ms = self.now_ms - 12_000 + phase
            self.row(instance, at_ms, self._page(instance, service))
        info = [
            (self._labels("service_info", service=f"s{s}", team=f"t{s}"), 1.0) for s in range(3)
        ]
        self.row("info", self.now_ms - 12_500, info)
        if self.random.random() < 0.05:
            number = len(self.alive)
            self.alive[f"i{number}"] = number % 3

    def _page(self, instance: str, service: int) -> list[tuple[Labels, float]]:
        base = {"instance": instance, "service": f"s{service}"}
        up = self.random.random() > 0.05
        page = [(self._labels("up", **base), float(up))]
        codes, bounds = ("200", "404", "500"), ("0.1", "0.5", "+Inf")
        page += [self._counter("http_total", up=up, code=code, **base) for code in codes]
        page += [self._counter("lat_bucket", up=up, le=le, **base) for le in bounds]
        for name in ("load", "disk"):
            labels = self._labels(name, **base)
            page.append((labels, self._gauge(labels, up=up)))
        return page

    def _labels(self, name: str, **labels: str) -> Labels:
        return Labels({"__name__": name, **labels}.items())

    def _counter(self, name: str, *, up: bool, **labels: str) -> tuple[Labels, float]:
        found = self._labels(name, **labels)
        if not up:
            return found, STALE
        old = self._values.get(found, 0.0)
        new = 1.0 if self.random.random() < 0.02 else old + self.random.randrange(5)
        self._values[found] = new
        return found, new

    def _gauge(self, labels: Labels, *, up: bool) -> float:
        chance = self.random.random()
        if not up:
            return STALE
        if chance < 0.004:
            return float("nan")
        if chance < 0.006:
            return float("inf")
        steady = labels.value("instance") == "i1"
        return 2.5 if steady else round(self.random.random() * 3, 3)

    def both(self, expr: str, at_ms: int) -> tuple[Result | str, Result | str]:
        """Return what the plans and the engine say."""
        return (
            _said(lambda: self.plans.instant(ACME, expr, at_ms=at_ms)),
            _said(lambda: self.engine.instant(ACME, expr, at_ms=at_ms)),
        )


def _said(ask: Callable[[], Result]) -> Result | str:
    try:
        return ask()
    except ExecutionError as error:
        return str(error)


def same(got: Result | str, wanted: Result | str) -> None:
    if isinstance(got, str) or isinstance(wanted, str):
        assert got == wanted
        return
    assert got.infos == wanted.infos
    assert got.warnings == wanted.warnings
    if isinstance(got.value, Scalar) and isinstance(wanted.value, Scalar):
        np.testing.assert_allclose(got.value.value, wanted.value.value, rtol=1e-9)
        return
    assert isinstance(got.value, Vector)
    assert isinstance(wanted.value, Vector)
    if wanted.value.ordered:
        assert got.value.labels == wanted.value.labels
    mine, theirs = (dict(zip(v.labels, v.values, strict=True)) for v in (got.value, wanted.value))
    assert mine.keys() == theirs.keys()
    for labels, value in theirs.items():
        np.testing.assert_allclose(mine[labels], value, rtol=1e-9, atol=1e-12, err_msg=str(labels))


MODES: tuple[Mode, ...] = ("3", "2.42")


def in_memory(_: Path) -> Source:
    series = MemorySeries()
    rings = MemoryRings(series)

    def row(clock: str, ts_ms: int, samples: Page) -> None:
        rings.row(ACME, clock, ts_ms, samples)

    return series, rings, row


def metric_store(path: Path) -> Source:
    store, layouts = MetricStore(path), dict[str, Layout]()

    def row(clock: str, ts_ms: int, samples: Page) -> None:
        labels = tuple(each for each, _ in samples)
        layout = layouts.get(clock)
        if layout is None or layout.labels != labels:
            layout = layouts[clock] = Layout(clock, labels)
        stored = store.append(ACME, layout, ts_ms, np.array([value for _, value in samples]))
        assert stored.stored == len(samples)

    return store, store, row


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("source", [in_memory, metric_store])
def test_rules_over_rings_give_what_a_query_gives(
    seed: int, mode: Mode, source: Callable[[Path], Source], tmp_path: Path
) -> None:
    world = World(seed, source(tmp_path), mode)
    looked_at = (1, 2, 3, 7, 20, 21, 60, 61, 62, 100, 118, 119, 120)
    for round_ in range(121):
        world.tick()
        for expr in RULES if round_ in looked_at else ():
            got, wanted = world.both(expr, world.now_ms)
            try:
                same(got, wanted)
            except AssertionError as error:
                raise AssertionError(f"round {round_}: {expr}\n{error}") from error
