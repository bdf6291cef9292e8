"""A real Prometheus remote-writes half an hour of a machine's life; 40 queries agree.

The half hour takes some seconds: a real node_exporter is read 121 times, and each page is given
the next quarter of a minute. Prometheus takes the pages by remote write and passes them on as it
passes on what it scrapes; it forwards nothing older than itself, so the half hour lies ahead.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import cramjam
import pytest
from house import PROJECT, Process, answers, eventually, free_port, program, running, wait_ready
from write_requests import series

from tocsin.security.tokens import ENTROPY_BYTES, mint

STEP_MS = 15_000
PAGES = 121  # both ends of half an hour
LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.ASCII)
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', re.ASCII)

INSTANT = [
    "node_load1",
    "{__name__=~'node_memory_.*'}",
    "count by (__name__) ({job='node'})",
    "sum by (mode) (rate(node_cpu_seconds_total[5m]))",
    "1 - avg by (instance) (rate(node_cpu_seconds_total{mode='idle'}[5m]))",
    "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)",
    "increase(node_context_switches_total[10m])",
    "irate(node_cpu_seconds_total{mode=~'user|system'}[1m])",
    "delta(node_memory_MemFree_bytes[15m])",
    "idelta(node_load1[1m])",
    "deriv(node_memory_MemFree_bytes[20m])",
    "predict_linear(node_filesystem_avail_bytes[25m], 4 * 3600)",
    "avg_over_time(node_load1[30m])",
    "min_over_time(node_memory_MemAvailable_bytes[10m])",
    "max_over_time(node_load1[10m:1m])",
    "stddev_over_time(node_load1[15m])",
    "quantile_over_time(0.9, node_load5[15m])",
    "count_over_time(node_load1[5m])",
    "sum_over_time(node_procs_running[5m])",
    "last_over_time(node_boot_time_seconds[2m])",
    "changes(node_procs_running[20m])",
    "resets(node_context_switches_total[30m])",
    "topk(3, node_filesystem_size_bytes)",
    "bottomk(2, rate(node_cpu_seconds_total[5m]))",
    "quantile(0.5, node_cpu_seconds_total)",
    "stdvar by (mode) (node_cpu_seconds_total)",
    "count_values('load', node_load15)",
    "node_load1 > bool 0.01 and on (instance) node_load5 >= 0",
    "node_load1 * on (instance) group_left (nodename, release) node_uname_info",
    "node_load1 offset 10m - node_load1",
    "label_replace(node_load1, 'port', '$1', 'instance', '.*:(.*)')",
    "label_join(node_load1, 'all', '/', 'job', 'instance')",
    "timestamp(node_load1)",
    "absent(node_load2)",
    "histogram_quantile(0.9, sum by (le) (rate(promhttp_metric_handler_requests_total[5m])))",
    "time() - node_boot_time_seconds > 0",
]
RANGES = [
    "node_load1",
    "sum by (mode) (rate(node_cpu_seconds_total[2m]))",
    "avg_over_time(node_memory_MemFree_bytes[5m])",
    "increase(node_context_switches_total[3m]) > 0",
]

Series = tuple[tuple[str, str], ...]
Points = dict[float, float]


@dataclass(slots=True)
class Pair:
    """A Prometheus that holds the half hour, and the Tocsin it wrote to."""

    ours: str
    theirs: str
    token: str
    ended_s: float

    def both(self, path: str, **asked: str) -> list[dict[Series, Points]]:
        sides = [(self.ours, self.token), (self.theirs, "")]
        return [points(base, path, token, asked) for base, token in sides]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("half_an_hour")
    names = program("prometheus"), program("prometheus-node-exporter")
    exporter, prometheus, tocsin = (f"127.0.0.1:{free_port()}" for _ in range(3))
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    token = minted.plain.reveal()
    (folder / "token").write_text(token)
    (folder / "tocsin.yaml").write_text(ours(minted.sha256))
    (folder / "prometheus.yml").write_text(theirs(tocsin))
    node = Process([names[1], f"--web.listen-address={exporter}"], folder / "exporter.log")
    server = Process(
        [sys.executable, "-m", "tocsin", "serve", "--config=tocsin.yaml", "--data-dir=data-tocsin",
         f"--listen={tocsin}"],
        folder / "tocsin.log",
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )  # fmt: skip
    peer = Process(
        [names[0], "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         f"--web.listen-address={prometheus}", "--web.enable-remote-write-receiver"],
        folder / "prometheus.log",
        cwd=folder,
    )  # fmt: skip
    with running(node.start(), server.start()):
        wait_ready(node, f"http://{exporter}/metrics")
        wait_ready(server, f"http://{tocsin}/-/ready")
        with running(peer.start()):
            wait_ready(peer, f"http://{prometheus}/-/ready")
            last_ms = live(f"http://{exporter}/metrics", f"http://{prometheus}/api/v1/write")
            found = Pair(
                f"http://{tocsin}/t/a/prometheus", f"http://{prometheus}", token, last_ms / 1000
            )
            eventually(lambda: arrived(found), within=90, what="the last page in both")
            yield found


def ours(sha256: str) -> str:
    return textwrap.dedent(f"""\
        tenants:
          - id: a
            tokens: [{{name: t, sha256: {sha256}}}]
            system_metrics: {{enabled: false}}
            max_sample_ahead: 45m
        """)


def theirs(tocsin: str) -> str:
    return textwrap.dedent(f"""\
        remote_write:
          - url: http://{tocsin}/t/a/prometheus/api/v1/write
            authorization: {{credentials_file: token}}
            queue_config: {{batch_send_deadline: 100ms}}
        """)


def live(exporter: str, receiver: str) -> int:
    """Let Prometheus have every page; return the time of the last one."""
    now_ms = int(time.time() * 1000) + 5_000
    for number in range(PAGES):
        with urllib.request.urlopen(exporter, timeout=10) as page:
            body = request(page.read().decode(), now_ms + number * STEP_MS)
        asked = urllib.request.Request(receiver, body, {"Content-Encoding": "snappy"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert answer.status == 204
    return now_ms + (PAGES - 1) * STEP_MS


def request(page: str, ts_ms: int) -> bytes:
    """Return a page of node_exporter as a remote write request."""
    parts = []
    for found in filter(None, map(LINE.match, page.splitlines())):
        labels = {"__name__": found[1], "instance": "machine:9100", "job": "node"}
        labels |= dict(LABEL.findall(found[2] or ""))
        parts.append(series(dict(sorted(labels.items())), (ts_ms, float(found[3]))))
    assert len(parts) > 200
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def arrived(pair: Pair) -> bool:
    at = f"{pair.ended_s:.3f}"
    here, there = pair.both("query", query="count({job='node'})", time=at)
    return bool(there) and here == there


def points(base: str, path: str, token: str, asked: dict[str, str]) -> dict[Series, Points]:
    status, body = answers(f"{base}/api/v1/{path}?{urlencode(asked)}", token=token)
    assert status == 200, (asked, body)
    return {
        tuple(sorted(each["metric"].items())): {
            at: float(value) for at, value in each.get("values") or [each["value"]]
        }
        for each in json.loads(body)["data"]["result"]
    }


def same(one: dict[Series, Points], other: dict[Series, Points]) -> bool:
    return one.keys() == other.keys() and all(
        one[key].keys() == other[key].keys()
        and all(equal(one[key][at], value) for at, value in other[key].items())
        for key in other
    )


def equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (
        math.isnan(one) and math.isnan(other)
    )


@pytest.mark.parametrize("query", INSTANT)
def test_an_instant_query_is_answered_alike(pair: Pair, query: str) -> None:
    here, there = pair.both("query", query=query, time=f"{pair.ended_s + 0.4:.3f}")
    assert same(here, there), (here, there)


@pytest.mark.parametrize("query", RANGES)
def test_a_range_query_is_answered_alike(pair: Pair, query: str) -> None:
    start, end = pair.ended_s - 1500 + 0.4, pair.ended_s + 0.4
    asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": "60"}
    here, there = pair.both("query_range", **asked)
    assert there
    assert same(here, there), (here, there)


def test_the_queries_are_forty_and_see_the_whole_half_hour(pair: Pair) -> None:
    assert len(INSTANT) + len(RANGES) == 40
    [[counts], _] = [
        list(side.values())
        for side in pair.both(
            "query", query="count_over_time(node_load1[31m])", time=f"{pair.ended_s:.3f}"
        )
    ]
    assert list(counts.values()) == [PAGES]
