"""What `tocsin tsdb export` writes: promtool makes blocks of it, a Prometheus answers alike."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from house import Process, free_port, program, running, wait_ready

from tocsin.cli.main import main
from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE, Sample
from tocsin.model.series import Layout
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.options import Options
from tocsin.promql.result import Matrix
from tocsin.timeseries.store import MetricStore

A = TenantId("acme")
MINUTE, HOUR = 60_000, 3_600_000
T0 = 1_700_006_400_123  # times with odd milliseconds
END = T0 + 5 * HOUR
QUERIES = [
    "up",
    "rate(requests_total[10m])",
    "sum by (code) (increase(requests_total[1h]))",
    "temperature",
    "max_over_time(temperature[30m])",
    "count_over_time(pushed[1h])",
    "odd",
    "strange",
    "count({__name__=~'.+'})",
]


def fill(store: MetricStore) -> None:
    """Write counters with resets, decimals, odd values, pushed samples: some hours of them."""
    rng = np.random.default_rng(3)
    labels = [Labels.of({"__name__": "up", "job": "a"})]
    labels += [Labels.of({"__name__": "requests_total", "code": code}) for code in ("200", "500")]
    labels += [Labels.of({"__name__": "temperature", "room": 'a "b"\\\nc é', "x": "{}"})]
    labels += [Labels.of({"__name__": "odd"}), Labels.of({"__name__": "strange"})]
    target, counts = Layout("t", tuple(labels)), np.zeros(2)
    for k, ts in enumerate(range(T0, END, 15_000)):
        counts = counts + rng.poisson(7, 2) if k % 400 else np.zeros(2)
        values = [1, *counts, round(rng.normal(20, 3), 3), [np.inf, np.nan, -0.0, 1e-300][k % 4]]
        store.append(A, target, ts, np.array([*values, rng.random() * 10 ** int(k % 40)]))
        if k % 9 == 0:
            store.append_samples(A, [Sample(Labels.of({"__name__": "pushed"}), ts + 777, k / 7)])
    ended = Layout("gone", (Labels.of({"__name__": "gone"}),))
    store.append(A, ended, T0, np.array([1.0]))
    store.append(A, ended, T0 + MINUTE, np.array([STALE]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MetricStore, Path]]:
    """Give a store, half of it sealed, and what was exported of it."""
    folder = tmp_path_factory.mktemp("tsdb")
    store = MetricStore(folder / "metrics")
    fill(store)
    store.expire(A, T0 + 4 * HOUR)
    target = folder / "samples.om"
    done = CliRunner().invoke(
        main, ["tsdb", "export", "--data-dir", str(folder), "--to", str(target)]
    )
    assert done.exit_code == 0, done.output
    yield store, target
    store.close()


@pytest.fixture(scope="module")
def prometheus(exported: tuple[MetricStore, Path]) -> Iterator[str]:
    """Give the address of a Prometheus on blocks that promtool made of the export."""
    text = exported[1]
    data = text.parent / "prometheus"
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q"]
    subprocess.run([*command, str(text), str(data)], check=True, timeout=120)
    port = free_port()
    config = text.parent / "prometheus.yml"
    config.write_text("global: {}\n")
    arguments = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    server = Process(arguments, text.parent / "prometheus.log").start()
    address = f"http://127.0.0.1:{port}"
    with running(server):
        wait_ready(server, f"{address}/-/ready")
        yield address


def asked(address: str, path: str, **params: str) -> Any:
    url = f"{address}/api/v1/{path}?{urllib.parse.urlencode(params)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())["data"]


def test_promtool_finds_every_sample_at_its_millisecond(
    exported: tuple[MetricStore, Path], prometheus: str
) -> None:
    store, _ = exported
    for name in ("requests_total", "pushed", "strange", "odd", "temperature"):
        expression = f"{name}[{(END - T0) // 1000 + 1}s]"
        found = asked(prometheus, "query", query=expression, time=str(END / 1000))["result"]
        ours = store.select(A, [matcher("__name__", "=", name)], start_ms=T0 - 1, end_ms=END)
        assert len(found) == len(ours) > 0
        by_labels = {Labels.of(series["metric"]): series["values"] for series in found}
        for each in ours:
            theirs = by_labels[each.labels]
            assert [round(at * 1000) for at, _ in theirs] == each.times.tolist()
            values = np.array([float(value) for _, value in theirs])
            same = (values == each.values) | (np.isnan(values) & np.isnan(each.values))
            assert same.all()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_has_the_same_answer(
    exported: tuple[MetricStore, Path], prometheus: str, query: str
) -> None:
    store, _ = exported
    engine = Engine(store, options=Options(mode="2.42"))
    start, step = T0 + 2 * HOUR, 5 * MINUTE
    found = asked(
        prometheus, "query_range", query=query,
        start=str(start / 1000), end=str(END / 1000), step=str(step / 1000),
    )["result"]  # fmt: skip
    theirs = {Labels.of(series["metric"]): series["values"] for series in found}
    result = engine.range(A, query, start_ms=start, end_ms=END, step_ms=step).value
    assert isinstance(result, Matrix)
    ours = {
        each.labels: dict(zip(each.times.tolist(), each.values.tolist(), strict=True))
        for each in result.series
    }
    assert set(ours) == set(theirs)
    for labels, values in theirs.items():
        expected = {round(at * 1000): float(value) for at, value in values}
        assert set(ours[labels]) == set(expected)
        for at, value in expected.items():
            assert ours[labels][at] == pytest.approx(value, rel=1e-9, nan_ok=True)
