"""The figures of the machine the tests run on."""

import time

from tocsin.metrics_collector.catalogue import catalogue
from tocsin.metrics_collector.config import SystemMetricsConfig
from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.instruments import MetricInstruments
from tocsin.metrics_collector.process import flattened
from tocsin.metrics_collector.sources import HostSource, Store
from tocsin.metrics_collector.system import PsutilHost, host_name, read_host
from tocsin.model.slots import from_ms
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ALWAYS = {
    "node_cpu_seconds_total",
    "node_memory_MemTotal_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemFree_bytes",
    "node_memory_SwapTotal_bytes",
    "node_load1",
    "node_load5",
    "node_load15",
    "node_filesystem_size_bytes",
    "node_filesystem_free_bytes",
    "node_filesystem_avail_bytes",
    "node_filesystem_readonly",
    "node_filefd_allocated",
    "node_filefd_maximum",
    "node_network_receive_bytes_total",
    "node_network_transmit_drop_total",
    "node_boot_time_seconds",
    "node_time_seconds",
    "node_uname_info",
}


def test_the_figures_stand_under_the_names_of_node_exporter() -> None:
    families = {family.name: family for family in read_host()}
    assert families.keys() >= ALWAYS
    assert all(family.samples for name, family in families.items() if name in ALWAYS)
    assert families["node_cpu_seconds_total"].metadata.type == "counter"
    assert families["node_load1"].metadata.type == "gauge"


def test_the_figures_are_plausible() -> None:
    labels, values = flattened(read_host())
    found = dict(zip(labels, values, strict=True))
    assert len(found) == len(labels)
    by_name = {each["__name__"]: value for each, value in found.items()}
    assert 0 < by_name["node_memory_MemAvailable_bytes"] <= by_name["node_memory_MemTotal_bytes"]
    assert abs(by_name["node_time_seconds"] - time.time()) < 60
    assert 0 < by_name["node_boot_time_seconds"] <= by_name["node_time_seconds"]
    assert all(value >= 0 for value in values)


def test_every_figure_is_in_the_catalogue_or_a_field_of_the_memory() -> None:
    known = catalogue()
    for found in read_host():
        entry = known.find(found.name)
        assert entry or found.name.startswith("node_memory_"), found.name
        assert entry is None or entry.type == found.metadata.type
        bears = {name for labels, _ in found.samples for name in labels} - {"__name__"}
        assert entry is None or not bears or set(entry.labels) <= bears


def test_the_root_file_system_is_there_even_in_a_container() -> None:
    families = {family.name: family for family in read_host()}
    mounts = [labels["mountpoint"] for labels, _ in families["node_filesystem_size_bytes"].samples]
    assert "/" in mounts
    assert len(set(mounts)) == len(mounts)


async def test_the_host_is_stored_under_job_and_instance() -> None:
    sink, acme = FakeSampleSink(), tenant_id("acme")
    store = Store(acme, sink, MetricInstruments(Registry(version="0")))
    source = HostSource(SystemMetricsConfig(), store, PsutilHost())
    await source.collect(from_ms(0), from_ms(0))
    assert len(sink.points(acme, "node_load1", job="node", instance=host_name())) == 1
