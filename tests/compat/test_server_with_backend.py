"""A whole server whose tenant has its metrics at a real Prometheus."""

from __future__ import annotations

import json
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


@dataclass(slots=True)
class Pair:
    """A Prometheus that scrapes itself, and the Tocsin whose tenant asks it."""

    ours: str
    theirs: str
    token: str
    prometheus: Process

    def get(self, path: str) -> Any:
        status, body = answers(self.ours + path, token=self.token)
        assert status == 200, (path, body)
        return json.loads(body)

    def here(self, expr: str) -> list[Any]:
        return result(self.get(f"/t/a/prometheus/api/v1/query?{urlencode({'query': expr})}"))

    def there(self, expr: str) -> list[Any]:
        _, body = answers(f"{self.theirs}/api/v1/query?{urlencode({'query': expr})}")
        return result(json.loads(body))

    def rules(self) -> list[Any]:
        (group,) = self.get("/t/a/prometheus/api/v1/rules")["data"]["groups"]
        found: list[Any] = group["rules"]
        return found

    def health(self) -> set[str]:
        return {rule["health"] for rule in self.rules()}

    def alert(self) -> Any:
        return next((a for rule in self.rules() for a in rule.get("alerts", [])), None)

    def fires(self) -> bool:
        found = self.alert()
        return bool(found) and found["state"] == "firing"


def result(answer: Any) -> list[Any]:
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    ports = free_port(), free_port()
    tocsin, prometheus = (f"127.0.0.1:{port}" for port in ports)
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    (tmp_path / "tocsin.yaml").write_text(ours(minted.sha256, prometheus))
    (tmp_path / "prometheus.yml").write_text(theirs(prometheus))
    peer = Process(
        [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         "--web.enable-remote-write-receiver", f"--web.listen-address={prometheus}"],
        tmp_path / "prometheus.log",
        cwd=tmp_path,
    )  # fmt: skip
    server = Process(
        [sys.executable, "-m", "tocsin", "serve", "--config=tocsin.yaml", "--data-dir=data-tocsin",
         f"--listen={tocsin}"],
        tmp_path / "tocsin.log",
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )  # fmt: skip
    with running(peer.start(), server.start()):
        wait_ready(peer, f"http://{prometheus}/-/ready")
        wait_ready(server, f"http://{tocsin}/-/ready")
        token = minted.plain.reveal()
        yield Pair(f"http://{tocsin}", f"http://{prometheus}", token, peer)


def ours(sha256: str, prometheus: str) -> str:
    return textwrap.dedent(f"""\
        tenants:
          - id: a
            tokens: [{{name: t, sha256: {sha256}}}]
            system_metrics: {{enabled: false}}
            evaluation_interval: 1s
            backend:
              kind: prometheus
              url: http://{prometheus}
              remote_write_url: http://{prometheus}/api/v1/write
              timeout: 1s
            groups:
              - name: g
                rules:
                  - record: job:up:count
                    expr: count by (job) (up)
                  - alert: Up
                    expr: job:up:count == 1
                    for: 2s
        """)


def theirs(prometheus: str) -> str:
    return textwrap.dedent(f"""\
        global: {{scrape_interval: 1s}}
        scrape_configs:
          - job_name: itself
            static_configs: [{{targets: ["{prometheus}"]}}]
        """)


@pytest.mark.timeout(240)
def test_rules_and_queries_of_the_tenant_live_at_its_backend(pair: Pair) -> None:
    eventually(pair.fires, what="the alert fires")
    since = pair.alert()["activeAt"]
    eventually(lambda: pair.there("ALERTS{alertstate='firing'}"), what="ALERTS at Prometheus")
    ((_, value),) = [series["value"] for series in pair.there("job:up:count")]
    assert value == "1"
    (up,) = pair.here("up")
    assert up["metric"]["job"] == "itself"
    assert pair.get("/t/a/prometheus/api/v1/label/job/values")["data"] == ["itself"]
    end = time.time()
    ranged = urlencode({"query": "up", "start": end - 60, "end": end, "step": 1})
    assert result(pair.get(f"/t/a/prometheus/api/v1/query_range?{ranged}"))

    pair.prometheus.kill()
    eventually(lambda: pair.health() == {"err"}, what="the rules cannot be evaluated")
    assert pair.fires()
    error = pair.rules()[0]["lastError"]
    assert error.startswith("backend prometheus at http://127.0.0.1:")
    assert ", tenant a: " in error
    status, _ = answers(f"{pair.ours}/t/a/prometheus/api/v1/query?query=up", token=pair.token)
    assert status == 503
    (alert,) = pair.get("/t/a/api/v2/alerts")
    assert alert["labels"] == {"alertname": "Up", "job": "itself"}

    pair.prometheus.start()
    eventually(lambda: pair.health() == {"ok"}, within=60, what="the rules are evaluated again")
    assert pair.fires()
    assert pair.alert()["activeAt"] == since
