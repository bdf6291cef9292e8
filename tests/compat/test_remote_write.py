"""A real Prometheus writes to us what it scrapes, answers as we do, and scrapes our federation."""

from __future__ import annotations

import json
import math
import secrets
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from house import PROJECT, Process, answers, eventually, free_port, program, running, wait_ready

from tocsin.security.tokens import ENTROPY_BYTES, mint

SCRAPED_S = 18
QUERIES = [
    "{job=~'.+'}",
    "up",
    "node_load1",
    "node_cpu_seconds_total",
    "node_memory_MemTotal_bytes / 1024",
    "sum by (mode) (rate(node_cpu_seconds_total[10s]))",
    "sum without (cpu) (increase(node_cpu_seconds_total[10s]))",
    "irate(node_context_switches_total[10s])",
    "avg_over_time(node_load1[15s])",
    "max_over_time(scrape_samples_scraped[15s])",
    "count by (job) ({__name__=~'.+'})",
    "topk(3, node_filesystem_size_bytes)",
    "histogram_quantile(0.9, rate(prometheus_http_request_duration_seconds_bucket[10s]))",
    "sum(prometheus_tsdb_head_samples_appended_total) by (instance)",
    "quantile(0.5, node_cpu_seconds_total)",
    "up * on (instance) group_left (nodename) node_uname_info",
    "count_over_time(up[10s])",
    "timestamp(up)",
    "absent(nothing_of_this_name)",
    "label_replace(up, 'port', '$1', 'instance', '.*:(.*)')",
    "deriv(node_memory_MemFree_bytes[12s])",
]

Answer = dict[tuple[tuple[str, str], ...], float]


@dataclass(slots=True)
class Pair:
    """A Prometheus that scrapes and writes, and the Tocsin that it writes to."""

    folder: Path
    ours: str
    theirs: str
    token: str
    exporter: Process
    prometheus: Process

    def both(self, query: str, at_s: float) -> tuple[Answer, Answer]:
        return self.here(query, at_s), self.there(query, at_s)

    def here(self, query: str, at_s: float) -> Answer:
        return answer(f"{self.ours}/t/a/prometheus", query, at_s, token=self.token)

    def there(self, query: str, at_s: float) -> Answer:
        return answer(self.theirs, query, at_s)

    def arrived(self, until_s: float) -> bool:
        """Tell whether everything scraped up to a time is here: shards keep the order."""
        jobs = self.here("timestamp(up)", time.time())
        return len(jobs) == 2 and min(jobs.values()) > until_s


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("remote_write")
    names = program("prometheus"), program("prometheus-node-exporter")
    ports = [free_port() for _ in range(3)]
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    (folder / "token").write_text(minted.plain.reveal())
    (folder / "tocsin.yaml").write_text(ours(minted.sha256))
    (folder / "prometheus.yml").write_text(theirs(*ports))
    exporter, prometheus, tocsin = (f"127.0.0.1:{port}" for port in ports)
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
         f"--web.listen-address={prometheus}"],
        folder / "prometheus.log",
        cwd=folder,
    )  # fmt: skip
    with running(node.start(), server.start()):
        wait_ready(server, f"http://{tocsin}/-/ready")
        with running(peer.start()):
            wait_ready(peer, f"http://{prometheus}/-/ready")
            token = minted.plain.reveal()
            yield Pair(folder, f"http://{tocsin}", f"http://{prometheus}", token, node, peer)


def ours(sha256: str) -> str:
    return textwrap.dedent(f"""\
        tenants:
          - id: a
            tokens: [{{name: t, sha256: {sha256}}}]
            system_metrics: {{enabled: false}}
        """)


def theirs(exporter: int, prometheus: int, tocsin: int) -> str:
    return textwrap.dedent(f"""\
        global: {{scrape_interval: 1s}}
        scrape_configs:
          - job_name: node
            static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
          - job_name: prometheus
            static_configs: [{{targets: ["127.0.0.1:{prometheus}"]}}]
        remote_write:
          - url: http://127.0.0.1:{tocsin}/t/a/prometheus/api/v1/write
            authorization: {{credentials_file: token}}
            queue_config: {{max_shards: 1, batch_send_deadline: 100ms}}
            metadata_config: {{send_interval: 1s}}
        """)


def answer(base: str, query: str, at_s: float, *, token: str = "") -> Answer:
    """Return the value of every series in the answer to an instant query."""
    asked = urlencode({"query": query, "time": f"{at_s:.3f}"})
    status, body = answers(f"{base}/api/v1/query?{asked}", token=token)
    assert status == 200, (query, body)
    found = json.loads(body)["data"]["result"]
    return {tuple(sorted(s["metric"].items())): float(s["value"][1]) for s in found}


def data(url: str, *, token: str = "") -> Any:
    status, body = answers(url, token=token)
    assert status == 200, body
    return json.loads(body)["data"]


def test_what_prometheus_scraped_is_answered_alike_here(pair: Pair) -> None:
    began = time.time()
    eventually(lambda: pair.arrived(began + SCRAPED_S), within=50, what="18 s of samples")
    scraped = pair.there("timestamp(up{job='node'})", began + SCRAPED_S)
    at_s = max(scraped.values()) + 0.4  # windows begin and end between two scrapes
    eventually(lambda: pair.arrived(at_s), what="what was scraped before")
    compared = 0
    for query in QUERIES:
        here, there = pair.both(query, at_s)
        assert here.keys() == there.keys(), query
        for key, value in there.items():
            assert equal(here[key], value), (query, key, here[key], value)
        compared += len(there)
    assert compared > 1000


def test_metadata_comes_along(pair: Pair) -> None:
    wanted = data(f"{pair.theirs}/api/v1/metadata?metric=node_load1")
    url = f"{pair.ours}/t/a/prometheus/api/v1/metadata?metric=node_load1"
    eventually(lambda: data(url, token=pair.token) == wanted, what="metadata")


def test_a_real_prometheus_scrapes_our_federation(pair: Pair) -> None:
    eventually(lambda: pair.arrived(0), what="samples to federate")
    folder, port = pair.folder / "above", free_port()
    folder.mkdir()
    (folder / "token").write_text(pair.token)
    (folder / "prometheus.yml").write_text(federating(pair.ours.removeprefix("http://")))
    above = Process(
        [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         f"--web.listen-address=127.0.0.1:{port}"],
        folder / "prometheus.log",
        cwd=folder,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(above.start()):
        wait_ready(above, f"{url}/-/ready")
        query = "{job='node',__name__!~'up|scrape_.*'}"
        eventually(lambda: answer(url, query, time.time()), what="a page of federation")
        eventually(lambda: health(url) == [("up", "")] * 2, what="both pages taken")

        def agree() -> bool:
            """Compare one scrape; a series that comes or goes just then is not in both yet."""
            at_s = next(iter(answer(url, "max(timestamp(node_load1))", time.time()).values()))
            expected = pair.there(query, at_s)
            same = pytest.approx(expected, rel=1e-12, nan_ok=True)
            return len(expected) > 100 and bool(answer(url, query, at_s) == same)

        eventually(agree, what="the same series with the same values in both")


def health(url: str) -> list[tuple[str, str]]:
    targets = data(f"{url}/api/v1/targets")["activeTargets"]
    return [(target["health"], target["lastError"]) for target in targets]


def federating(tocsin: str) -> str:
    """Return the configuration of a Prometheus that scrapes nothing but us, in both formats."""
    return textwrap.dedent(f"""\
        global: {{scrape_interval: 1s}}
        scrape_configs:
          - job_name: federate
            honor_labels: true
            metrics_path: /t/a/prometheus/federate
            params: {{"match[]": ['{{job="node"}}', "prometheus_build_info"]}}
            authorization: {{credentials_file: token}}
            static_configs: [{{targets: ["{tocsin}"]}}]
          - job_name: nothing
            metrics_path: /t/a/prometheus/federate
            authorization: {{credentials_file: token}}
            static_configs: [{{targets: ["{tocsin}"]}}]
        """)


def test_the_end_of_a_target_ends_its_series_here(pair: Pair) -> None:
    eventually(lambda: pair.arrived(0), what="samples")
    pair.exporter.kill()
    down = (("__name__", "up"), ("job", "node"))
    eventually(
        lambda: [v for k, v in pair.here("up == 0", time.time()).items() if set(down) <= set(k)],
        what="the target down",
    )
    assert pair.both("node_load1", time.time()) == ({}, {})
    assert pair.here("last_over_time(node_load1[5m])", time.time())
    pair.exporter.start()


def equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9) or (math.isnan(one) and math.isnan(other))
