"""Our targets beside those of a real Prometheus, from the same prometheus.yml.

Prometheus adds ports up to 2.x, so every address has one; the rest must agree word for word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from house import Process, answers, eventually, free_port, program, wait_ready

from tocsin.api.prometheus_json import dropped_json, target_json
from tocsin.app.clock import SystemClock
from tocsin.config_loader.load import load
from tocsin.metrics_collector.config import MetricsConfig
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.loop import Collector
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
JOBS = r"""
global: {scrape_interval: 2s, scrape_timeout: 2s, external_labels: {region: eu}}
scrape_configs:
  - job_name: plain
    params: {module: [http, tcp], empty: []}
    static_configs:
      - targets: ["127.0.0.1:PORT", "127.0.0.1:PORT"]
        labels: {zone: a, __param_module: icmp, __param_x: "y z", nothing: ""}
  - job_name: blackbox
    metrics_path: "pro be(1)!"
    params: {module: [http_2xx]}
    static_configs: [{targets: ["http://shop.example/", "https://pay.example/a?b=c"]}]
    relabel_configs:
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: "127.0.0.1:PORT"}
  - job_name: actions
    static_configs:
      - targets: ["127.0.0.1:PORT"]
        labels: {role: "Web-FRONT", tier: "Ä1", __meta_a_team: core, __meta_a_owner: ops, a: "1"}
      - {targets: ["127.0.0.1:1"], labels: {role: drop-me}}
      - {targets: ["127.0.0.1:2"], labels: {role: same, other: same}}
      - {targets: ["127.0.0.1:3"], labels: {role: odd, keep: "no"}}
    relabel_configs:
      - {source_labels: [role], regex: "drop-.+", action: drop}
      - {source_labels: [keep], regex: "no", action: DROP}
      - {source_labels: [role], target_label: other, action: dropequal}
      - {source_labels: [role], target_label: lower, action: lowercase}
      - {source_labels: [tier], target_label: upper, action: uppercase}
      - {source_labels: [role, tier], separator: "", target_label: shard, modulus: 7,
         action: hashmod}
      - {regex: "__meta_a_(.+)", action: labelmap}
      - {regex: "__meta_a_(.+)", replacement: "x_${1}_y", action: labelmap}
      - {source_labels: [role, tier], regex: "(.+)-(?P<tail>.+);(.*)", target_label: "to_$1",
         replacement: "$tail/${2}/$3/$4/$$1/$1x"}
      - {regex: "a|zone", action: labeldrop}
      - {target_label: tier, replacement: ""}
      - {source_labels: [__address__], regex: "nothing", target_label: bad, replacement: x}
      - {source_labels: [team], target_label: team, action: keepequal}
  - job_name: kept_names
    static_configs: [{targets: ["127.0.0.1:PORT"], labels: {a: "1", b: "2", c: "3"}}]
    relabel_configs: [{regex: "__.+|a|job", action: labelkeep}]
  - job_name: overridden
    scheme: https
    static_configs: [{targets: ["127.0.0.1:PORT"], labels: {to: "127.0.0.1:PORT"}}]
    relabel_configs:
      - {target_label: __scheme__, replacement: http}
      - {target_label: __metrics_path__, replacement: "/other"}
      - {target_label: __scrape_interval__, replacement: "3s"}
      - {target_label: __scrape_timeout__, replacement: "2s"}
      - {target_label: __tmp_x, replacement: gone}
      - {source_labels: [__tmp_x], target_label: job}
      - {source_labels: [to], target_label: instance}
  - job_name: unusable
    static_configs: [{targets: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:PORT"]}]
    relabel_configs:
      - {source_labels: [__address__], regex: ".*:1", target_label: __address__, replacement: ""}
      - {source_labels: [__address__], regex: ".*:2", target_label: __address__,
         replacement: "a/b"}
      - {source_labels: [__address__], regex: ".*:3", target_label: __scrape_timeout__,
         replacement: "5s"}
  - job_name: too_many
    target_limit: 1
    static_configs: [{targets: ["127.0.0.1:PORT"]}, {targets: ["127.0.0.1:PORT"], labels: {n: "2"}}]
  - job_name: value_limit
    label_value_length_limit: 20
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
  - job_name: sample_limit_after_relabelling
    sample_limit: 1
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
    metric_relabel_configs: [{source_labels: [__name__], regex: "a_.*", action: drop}]
  - job_name: files
    file_sd_configs: [{files: ["lists/*.yml", "lists/*.json"]}]
    relabel_configs:
      - {source_labels: [__meta_filepath], regex: ".*/(.+)", target_label: file}
  - job_name: server
    http_sd_configs: [{url: "http://127.0.0.1:PORT/sd", refresh_interval: 1s}]
    relabel_configs: [{source_labels: [__meta_url], regex: ".*(/sd)", target_label: from}]
"""
YAML_LIST = """
- targets: ["127.0.0.1:PORT"]
  labels: {version: 1.10, on: "yes", flag: no}
- labels: {empty: list}
"""
JSON_LIST = '[{"targets": ["127.0.0.1:PORT"], "labels": {"n": "json"}}]'


DOWN = {"too_many", "value_limit"}  # pools whose limits are broken


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        listed = [{"targets": [self.headers["Host"]], "labels": {"k": "v"}}, {"targets": []}]
        is_list = self.path == "/sd"
        body = json.dumps(listed) if is_list else 'a_metric_with_a_long_name{x="y"} 1\nb 2\n'
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_list else "text/plain")
        with contextlib.suppress(OSError):  # who asked may have gone
            self.end_headers()
            self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield str(server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path, port: str) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "prometheus.yml").write_text(JOBS.replace("PORT", port))
    (tmp_path / "lists" / "one.yml").write_text(YAML_LIST.replace("PORT", port))
    (tmp_path / "lists" / "two.json").write_text(JSON_LIST.replace("PORT", port))
    (tmp_path / "tocsin.yaml").write_text("tenant: acme\nprometheus_file: prometheus.yml\n")
    return tmp_path


@pytest.fixture
def prometheus(folder: Path) -> Iterator[str]:
    listen = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={listen}",
        "--log.level=error",
    ]
    process = Process(command, folder / "prometheus.log").start()
    wait_ready(process, f"http://{listen}/-/ready")
    yield f"http://{listen}"
    process.stop()


def _asked(url: str) -> dict[str, Any]:
    """Return the targets once every one of them has been scraped."""

    def settled() -> dict[str, Any] | None:
        data: dict[str, Any] = json.loads(answers(f"{url}/api/v1/targets")[1])["data"]
        return data if _settled(data["activeTargets"]) else None

    found: dict[str, Any] = eventually(settled, what="every target of Prometheus is scraped")
    return found


def _settled(active: list[dict[str, Any]]) -> bool:
    """Tell whether all were found and scraped; a busy machine may miss a scrape."""
    pools = {target["scrapePool"] for target in active}
    known = all(target["health"] != "unknown" for target in active)
    down = {target["scrapePool"] for target in active if target["health"] == "down"}
    return known and {"files", "server"} <= pools and down == DOWN


async def _ours(config: MetricsConfig) -> dict[str, Any]:
    fetch = AiohttpFetch()
    stage = Collector(FakeSampleSink(), fetch, clock=SystemClock(), registry=Registry(version="0"))
    await stage.start(ACME, config)
    try:
        async with asyncio.timeout(30):
            while True:
                active = [target_json(target) for target in stage.targets(ACME)]
                if _settled(active):
                    dropped = [dropped_json(each) for each in stage.dropped(ACME).shown]
                    return {"activeTargets": active, "droppedTargets": dropped}
                await asyncio.sleep(0.1)
    finally:
        await stage.stop_all()
        await fetch.close()


SAME = ("labels", "scrapePool", "scrapeUrl", "health", "scrapeInterval", "scrapeTimeout")
AS_FOUND = ("discoveredLabels", "scrapePool")
NOT_RELABELLED = ("plain", "too_many", "value_limit")  # 2.42 writes over what it discovered


def _rows(targets: list[dict[str, Any]], keys: tuple[str, ...], *pools: str) -> list[str]:
    shown = [each for each in targets if not pools or each["scrapePool"] in pools]
    return sorted(json.dumps({key: each[key] for key in keys}, sort_keys=True) for each in shown)


def test_targets_are_those_of_prometheus(folder: Path, prometheus: str) -> None:
    loaded = load(folder / "tocsin.yaml", environ={})
    theirs = _asked(prometheus)
    ours = asyncio.run(_ours(loaded.config.tenants[0].metrics))
    us, them = ours["activeTargets"], theirs["activeTargets"]
    assert _rows(us, SAME) == _rows(them, SAME)
    assert len(us) == 14
    assert _rows(us, AS_FOUND, *NOT_RELABELLED) == _rows(them, AS_FOUND, *NOT_RELABELLED)
    here, there = (
        sorted(sorted(each["discoveredLabels"]) for each in side["droppedTargets"])
        for side in (ours, theirs)
    )
    assert here == there
