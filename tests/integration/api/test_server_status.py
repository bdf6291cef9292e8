"""What the server tells of itself under `/prometheus` is what its configuration says, now."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi import ask

from tocsin.app.lifecycle import Runtime
from tocsin.config_loader.load import load

CONFIG = """\
tenant: acme
server: {{ listen: ["127.0.0.1:0"], auth: none }}
storage: {{ path: data, retention: 10d }}
reload: {{ watch: false }}
system_metrics: {{ enabled: false }}
tsdb: {tsdb}
query: {query}
"""


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Undo the logging that a server sets up: its stream is gone after the test."""
    root, ours = logging.getLogger(), logging.getLogger("tocsin")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


class House:
    """A server and its file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.write()
        self.runtime = Runtime(lambda: load(file))

    def write(self, *, tsdb: str = "{}", query: str = "{}") -> None:
        self.file.write_text(CONFIG.format(tsdb=tsdb, query=query))

    async def data(self, path: str) -> Any:
        got = await ask(self.runtime.desk.door, "GET", f"/prometheus/api/v1{path}")
        assert got.status == 200, got.body
        return got.json()["data"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "tocsin.yaml")
    await house.runtime.start()
    yield house
    await house.runtime.stop()


async def test_flags_are_those_of_the_tenant(house: House) -> None:
    assert await house.data("/status/flags") == {
        "enable-feature": "",
        "query.lookback-delta": "5m",
        "query.max-concurrency": "3",
        "query.max-samples": "50000000",
        "query.timeout": "2m",
        "storage.tsdb.retention.size": "0B",
        "storage.tsdb.retention.time": "10d",
        "web.enable-admin-api": "false",
        "web.enable-remote-write-receiver": "true",
    }
    house.write(
        tsdb="{retention: 90d, retention_size: 20GB}",
        query="{timeout: 30s, max_samples: 1000, experimental: true}",
    )
    await house.runtime.reload()
    flags = await house.data("/status/flags")
    assert flags["enable-feature"] == "promql-experimental-functions"
    assert (flags["query.timeout"], flags["query.max-samples"]) == ("30s", "1000")
    assert flags["storage.tsdb.retention.time"] == "90d"
    assert flags["storage.tsdb.retention.size"] == "20GiB"


async def test_how_long_samples_are_kept_is_told(house: House) -> None:
    assert (await house.data("/status/runtimeinfo"))["storageRetention"] == "10d"
    house.write(tsdb="{retention_size: 1GB}")
    await house.runtime.reload()
    found = await house.data("/status/runtimeinfo")
    assert found["storageRetention"] == "10d or 1GiB"
    assert found["reloadConfigSuccess"] is True
    assert found["corruptionCount"] == 0


async def test_the_tenant_sees_its_own_configuration(house: House) -> None:
    assert "scrape_interval: 1m" in (await house.data("/status/config"))["yaml"]
