"""A real node_exporter: scraped, and compared with what we call the same figures."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from scrape_targets import targets_of

from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig
from tocsin.metrics_collector.discovery_config import StaticConfig
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.sources import Store, TargetSource
from tocsin.metrics_collector.system import read_host
from tocsin.metrics_collector.views import TargetHealth
from tocsin.model.errors import Unreachable
from tocsin.model.labels import METRIC_NAME
from tocsin.model.sample import is_stale
from tocsin.model.slots import from_ms
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

EXPORTER = shutil.which("prometheus-node-exporter")
pytestmark = pytest.mark.skipif(EXPORTER is None, reason="node_exporter is not installed")
ACME = tenant_id("acme")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    exporter = await asyncio.create_subprocess_exec(
        str(EXPORTER),
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    fetch = AiohttpFetch()
    try:
        async with asyncio.timeout(20):
            await _answers(fetch, address)
        yield address
    finally:
        await fetch.close()
        exporter.kill()
        await exporter.wait()


async def _answers(fetch: AiohttpFetch, address: str) -> None:
    while True:
        try:
            await fetch.get(f"http://{address}/", headers={}, timeout_s=1, limit=1 << 20)
        except Unreachable:
            await asyncio.sleep(0.05)  # it opens no event we could wait for
        else:
            return


@pytest.fixture
async def source(address: str) -> AsyncIterator[TargetSource]:
    static = StaticConfig(targets=[address])
    config = MetricsConfig(scrape_configs=[ScrapeConfig(job_name="node", static_configs=[static])])
    [target] = targets_of(config).values()
    fetch = AiohttpFetch()
    store = Store(ACME, FakeSampleSink(), MetricInstruments(Registry(version="0")))
    yield TargetSource(target, store, fetch)
    await fetch.close()


async def scrape(source: TargetSource, times: int) -> FakeSampleSink:
    for n in range(times):
        at = from_ms(0) + n * timedelta(seconds=15)
        await source.collect(at, at)
    assert source.view().health is TargetHealth.UP, source.view().last_error
    sink = source.store.sink
    assert isinstance(sink, FakeSampleSink)
    return sink


async def test_a_real_exporter_is_scraped_again_and_again(source: TargetSource) -> None:
    sink = await scrape(source, 3)
    labels = {"job": "node", "instance": source.target.labels["instance"]}
    assert sink.values(ACME, "up", **labels) == [1, 1, 1]
    assert len(sink.values(ACME, "node_load1", **labels)) == 3
    assert sink.metadata[ACME, "node_cpu_seconds_total"].type == "counter"
    scraped = sink.values(ACME, "scrape_samples_scraped", **labels)
    assert min(scraped) > 100
    kept = [points for each in sink.series.values() for points in each.values()]
    assert sum(any(is_stale(value) for _, value in points) for points in kept) < 20


async def test_our_own_figures_bear_the_names_and_labels_of_node_exporter(
    source: TargetSource,
) -> None:
    sink = await scrape(source, 1)
    theirs = {
        (labels[METRIC_NAME], frozenset(labels) - {"job", "instance"})
        for labels in sink.series[ACME]
    }
    known = {name for name, _ in theirs}
    ours = [labels for family in read_host() for labels, _ in family.samples]
    shared = {(each[METRIC_NAME], frozenset(each)) for each in ours if each[METRIC_NAME] in known}
    assert {name for name, _ in shared} >= {
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_network_receive_bytes_total",
        "node_network_transmit_drop_total",
        "node_boot_time_seconds",
        "node_context_switches_total",
        "node_forks_total",
        "node_procs_running",
        "node_uname_info",
    }
    assert shared <= theirs
    assert {each[METRIC_NAME] for each in ours} - known <= {
        name
        for name in {e[METRIC_NAME] for e in ours}
        if name.startswith(("node_filesystem_", "node_disk_"))
    }
