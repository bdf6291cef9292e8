"""Targets out of real files and from a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tocsin.app.clock import SystemClock
from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig
from tocsin.metrics_collector.discovery_config import FileSdConfig, HttpSdConfig
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.loop import Collector
from tocsin.metrics_collector.sd_file import DiskFiles
from tocsin.model.errors import LimitExceeded, Unreachable
from tocsin.model.settings import Duration
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
SECOND = Duration.parse("1s")


class Inventory:
    """A server that lists targets, and an exporter."""

    def __init__(self) -> None:
        self.base = ""
        self.listed: list[dict[str, object]] = []
        self.status = 200
        self.asked: list[str] = []

    async def targets(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers["X-Prometheus-Refresh-Interval-Seconds"])
        return web.json_response(self.listed, status=self.status)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text="a 1\n")


@pytest.fixture
async def inventory() -> AsyncIterator[Inventory]:
    made = Inventory()
    app = web.Application()
    app.router.add_get("/targets", made.targets)
    app.router.add_get("/metrics", made.metrics)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def stage() -> AsyncIterator[Collector]:
    fetch = AiohttpFetch()
    made = Collector(FakeSampleSink(), fetch, clock=SystemClock(), registry=Registry(version="0"))
    yield made
    await made.stop_all()
    await fetch.close()


def config(*, files: tuple[str, ...] = (), url: str = "") -> MetricsConfig:
    job = ScrapeConfig(
        job_name="x",
        file_sd_configs=[FileSdConfig(files=files, refresh_interval=SECOND)] if files else [],
        http_sd_configs=[HttpSdConfig(url=url, refresh_interval=SECOND)] if url else [],
    )
    return MetricsConfig(scrape_interval=SECOND, scrape_timeout=SECOND, scrape_configs=[job])


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what happens outside gives no event to wait for
            await asyncio.sleep(0.02)


def hosts(stage: Collector) -> list[str]:
    return [view.discovered["__address__"] for view in stage.targets(ACME)]


def replace(path: Path, content: str) -> None:
    new = path.with_name("new.tmp")
    new.write_text(content)
    new.replace(path)


async def test_files_are_noticed_when_they_come_change_break_and_go(
    stage: Collector, tmp_path: Path
) -> None:
    await stage.start(ACME, config(files=(str(tmp_path / "*.json"), str(tmp_path / "b.yml"))))
    assert hosts(stage) == []
    replace(tmp_path / "a.json", '[{"targets": ["127.0.0.1:1"]}]')
    await until(lambda: hosts(stage) == ["127.0.0.1:1"])
    replace(tmp_path / "b.yml", "- {targets: ['127.0.0.1:2'], labels: {v: 1.10}}\n")
    await until(lambda: len(hosts(stage)) == 2)
    assert stage.targets(ACME)[1].labels["v"] == "1.10"
    assert stage.targets(ACME)[1].discovered["__meta_filepath"] == str(tmp_path / "b.yml")
    replace(tmp_path / "a.json", '[{"targets": ')
    replace(tmp_path / "b.yml", "- targets: ['127.0.0.1:3']\n")
    await until(lambda: hosts(stage) == ["127.0.0.1:1", "127.0.0.1:3"])
    (tmp_path / "a.json").unlink()
    await until(lambda: hosts(stage) == ["127.0.0.1:3"])


async def test_a_server_lists_targets_that_are_scraped(
    stage: Collector, inventory: Inventory
) -> None:
    address = inventory.base.removeprefix("http://")
    inventory.listed = [{"targets": [address], "labels": {"zone": "a"}}]
    await stage.start(ACME, config(url=f"{inventory.base}/targets"))
    await until(lambda: [view.health for view in stage.targets(ACME)] == ["up"])
    [view] = stage.targets(ACME)
    assert (view.labels["zone"], view.discovered["__meta_url"]) == (
        "a",
        f"{inventory.base}/targets",
    )
    inventory.status, inventory.listed = 500, []
    asked = len(inventory.asked)
    await until(lambda: len(inventory.asked) >= asked + 2)
    assert hosts(stage) == [address]
    inventory.status = 200
    await until(lambda: hosts(stage) == [])
    assert set(inventory.asked) == {"1"}


async def test_what_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DiskFiles()
    with pytest.raises(Unreachable, match="cannot read: No such file"):
        await files.read(str(tmp_path / "none.json"))
    monkeypatch.setattr("tocsin.metrics_collector.sd_file.MAX_LIST_BYTES", 3)
    (tmp_path / "long.json").write_text(json.dumps([[]]))
    with pytest.raises(LimitExceeded):
        await files.read(str(tmp_path / "long.json"))
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nowhere")
    stamps = await files.stamps([str(tmp_path / "*.json")])
    assert list(stamps) == [str(tmp_path / "long.json")]
