"""Own metrics render for Prometheus and for OpenMetrics."""

from __future__ import annotations

import pytest

from tocsin.model.tenant import TenantId
from tocsin.telemetry.metrics import Registry

ACME, OTHER = TenantId("acme"), TenantId("other")


def page(registry: Registry, accept: str = "", tenant: TenantId | None = None) -> str:
    return registry.render(accept, tenant=tenant)[0].decode()


def test_build_information_is_there_for_us_and_for_alertmanagers_clients() -> None:
    text = page(Registry(version="1.2.3", revision="abc"))
    assert 'tocsin_build_info{revision="abc",version="1.2.3"} 1.0' in text
    assert "alertmanager_build_info{" in text
    assert 'version="0.34.0"' in text
    assert "process_resident_memory_bytes" in text


def test_instruments_appear_without_their_created_series() -> None:
    registry = Registry(version="1")
    registry.counter("jobs", "Jobs done.", ("kind",)).labels("a").inc(2)
    registry.gauge("depth", "Depth.").set(3)
    registry.latency("took_seconds", "Time.", buckets=(1, 2)).observe(1.5)
    text = page(registry)
    assert 'jobs_total{kind="a"} 2.0' in text
    assert "depth 3.0" in text
    assert 'took_seconds_bucket{le="2.0"} 1.0' in text
    assert "_created" not in text


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    body, content_type = Registry(version="1").render("application/openmetrics-text")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_anybody_else_gets_the_text_format() -> None:
    assert Registry(version="1").render("*/*")[1].startswith("text/plain")


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_a_tenant_sees_its_own_series_and_those_of_nobody(accept: str) -> None:
    registry = Registry(version="1")
    jobs = registry.counter("jobs", "Jobs done.", ("tenant", "kind"))
    took = registry.latency("took_seconds", "Time.", ("tenant",), buckets=(1,))
    for tenant in (ACME, OTHER):
        jobs.labels(tenant, "a").inc()
        took.labels(tenant).observe(0.5)
    registry.gauge("depth", "Depth.").set(3)
    text = page(registry, accept, ACME)
    assert 'jobs_total{kind="a",tenant="acme"} 1.0' in text
    assert 'took_seconds_count{tenant="acme"} 1.0' in text
    assert "alertmanager_build_info{" in text
    assert "process_resident_memory_bytes" in text
    assert "depth 3.0" in text
    assert "other" not in text


def test_without_a_tenant_the_page_has_every_series() -> None:
    registry = Registry(version="1")
    jobs = registry.counter("jobs", "Jobs done.", ("tenant",))
    for tenant in (ACME, OTHER):
        jobs.labels(tenant).inc()
    assert page(registry, tenant=ACME).count("jobs_total{") == 1
    assert page(registry).count("jobs_total{") == 2
