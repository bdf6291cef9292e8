"""Own metrics render for Prometheus and for OpenMetrics."""

from __future__ import annotations

from tocsin.telemetry.metrics import Registry


def page(registry: Registry, accept: str = "") -> str:
    return registry.render(accept)[0].decode()


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
