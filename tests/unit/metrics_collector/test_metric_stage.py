"""The stage collects from every source on its interval; reload swaps, stop leaves things be."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.metrics_collector.collector import MetricsCollector
from tocsin.metrics_collector.config import MetricsConfig
from tocsin.metrics_collector.fakes import (
    FakeFetch,
    FakeHost,
    FakeSampleSink,
    FakeTargetFiles,
)
from tocsin.metrics_collector.loop import Collector
from tocsin.metrics_collector.views import TargetHealth
from tocsin.model.clock import Clock
from tocsin.model.errors import Unreachable
from tocsin.model.sample import is_stale
from tocsin.model.slots import Slots
from tocsin.model.tenant import tenant_id
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
URL = "http://web:80/metrics"
WEB = {"job": "shop", "instance": "web:80"}
JOB = {"job_name": "shop", "static_configs": [{"targets": ["web:80"]}]}
HOST = {"job": "node", "instance": "here"}
SYSTEM = {"enabled": True, "instance": "here"}


class LoopTime(Clock):
    """Virtual time from T0; `back` puts the clock back."""

    def __init__(self) -> None:
        self.back = timedelta(0)
        self._began: float | None = None

    def now(self) -> datetime:
        time = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = time
        return T0 + timedelta(seconds=time - self._began) - self.back

    async def sleep_until(self, when: datetime) -> None:
        for _ in range(2):
            await asyncio.sleep(max(0.0, (when - self.now()).total_seconds()) + 1e-6)


def config(*jobs: dict[str, Any], **keys: Any) -> MetricsConfig:
    raw = {"scrape_configs": list(jobs), **keys}
    root = parse(json.dumps(raw), file="x").root
    assert root is not None
    converted = convert(root, MetricsConfig)
    assert converted.value is not None, converted.problems
    return converted.value


class Street:
    """The metric stage between fakes."""

    def __init__(self) -> None:
        self.sink, self.fetch, self.host = FakeSampleSink(), FakeFetch(), FakeHost()
        self.files = FakeTargetFiles()
        self.clock = LoopTime()
        self.registry = Registry(version="0")
        self.stage = Collector(
            self.sink,
            self.fetch,
            clock=self.clock,
            registry=self.registry,
            host=self.host,
            files=self.files,
        )
        self.fetch.serve(URL, "a 1\n")
        self.host.figures = {"node_load1": 0.5}

    async def forward(self, minutes: float) -> None:
        await asyncio.sleep(minutes * 60)

    def count(self, name: str, **labels: str) -> float:
        value = self.registry.collectors.get_sample_value(name, {"tenant": ACME, **labels})
        return value or 0.0


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    made = Street()
    yield made
    await made.stage.stop_all()


async def test_a_target_is_scraped_once_per_interval_on_its_slot(street: Street) -> None:
    await street.stage.start(ACME, config(JOB))
    await street.forward(3)
    points = street.sink.points(ACME, "a", **WEB)
    slot = Slots.named(
        f'acme;scrape/shop;{URL};{{instance="web:80", job="shop"}}', timedelta(minutes=1)
    ).after(T0)
    assert [ts for ts, _ in points] == [
        int((slot + n * timedelta(minutes=1)).timestamp() * 1000) for n in range(3)
    ]
    assert street.sink.values(ACME, "up", **WEB) == [1, 1, 1]
    assert street.count("tocsin_scrapes_total", outcome="up") == 3
    assert street.count("tocsin_samples_collected_total", source="scrape") == 18
    assert street.count("tocsin_scrape_targets") == 1


async def test_a_target_that_does_not_answer_is_down(street: Street) -> None:
    street.fetch.pages.clear()
    await street.stage.start(ACME, config(JOB))
    [before] = street.stage.targets(ACME)
    assert (before.health, before.last_scrape) == (TargetHealth.UNKNOWN, None)
    await street.forward(2)
    assert street.sink.values(ACME, "up", **WEB) == [0, 0]
    [after] = street.stage.targets(ACME)
    assert (after.health, after.last_error) == (TargetHealth.DOWN, "connection refused")
    assert (after.pool, after.url, str(after.interval)) == ("shop", URL, "1m")


async def test_metadata_and_times_of_the_target_are_stored(street: Street) -> None:
    street.fetch.serve(URL, "# TYPE a counter\na 1 1000\nb 1\nb 2\n")
    await street.stage.start(ACME, config(JOB))
    await street.forward(1)
    assert street.sink.metadata[ACME, "a"].type == "counter"
    assert street.sink.points(ACME, "a", **WEB) == [(1000, 1)]
    refused = {"source": "scrape", "reason": "duplicate_on_page"}
    assert street.count("tocsin_samples_refused_total", **refused) == 1


async def test_what_the_store_refuses_is_counted(street: Street) -> None:
    street.sink.refuse = {"series_limit": 2}
    await street.stage.start(ACME, config(JOB))
    await street.forward(1)
    labels = {"source": "scrape", "reason": "series_limit"}
    assert street.count("tocsin_samples_refused_total", **labels) == 4


async def test_a_store_that_fails_is_counted_and_stops_nothing(street: Street) -> None:
    street.fetch.serve(URL, "# TYPE a counter\na 1\nb 1 5\n")
    street.sink.broken = True
    await street.stage.start(ACME, config(JOB))
    await street.forward(2)
    await street.stage.reload(ACME, config())
    labels = {"source": "scrape", "reason": "failed"}
    assert street.count("tocsin_samples_refused_total", **labels) == 2 * 7 + 6
    assert street.count("tocsin_collection_failures_total", source="scrape") == 0


async def test_the_host_is_read_for_tenants_that_ask(street: Street) -> None:
    await street.stage.start(ACME, config(system_metrics=SYSTEM))
    await street.stage.start(OTHER, config())
    await street.forward(1)
    assert street.sink.values(ACME, "node_load1", **HOST) == [0.5] * 4
    assert street.sink.metadata[ACME, "node_load1"].type == "gauge"
    assert street.sink.values(ACME, "up", **HOST) == [1] * 4
    assert OTHER not in street.sink.series


async def test_what_the_process_counted_before_the_start_is_stored(street: Street) -> None:
    metrics = MetricsCollector("acme", sink=street.stage.process)
    metrics.inc("logins_total")
    await street.stage.start(ACME, config())
    await street.forward(0.1)
    metrics.inc("logins_total")
    await street.forward(0.1)
    assert street.sink.values(ACME, "logins_total") == [1, 2]
    assert street.sink.metadata[ACME, "logins_total"].type == "counter"


async def test_stopping_stores_once_more_and_ends_nothing(street: Street) -> None:
    metrics = MetricsCollector("acme", sink=street.stage.process)
    await street.stage.start(ACME, config(JOB))
    await street.forward(1.01)
    metrics.inc("last")
    await street.stage.stop(ACME)
    await street.stage.stop(ACME)
    assert street.sink.values(ACME, "last_total") == [1]
    scrapes = len(street.fetch.asked)
    await street.forward(2)
    assert len(street.fetch.asked) == scrapes
    assert not any(is_stale(value) for value in street.sink.values(ACME, "a", **WEB))
    assert street.stage.targets(ACME) == []


async def test_a_reload_leaves_unchanged_sources_running(street: Street) -> None:
    await street.stage.start(ACME, config(JOB, system_metrics=SYSTEM))
    await street.forward(2)
    more = {"job_name": "new", "static_configs": [{"targets": ["b:1"]}]}
    await street.stage.reload(ACME, config(JOB, more, system_metrics=SYSTEM))
    await street.forward(2)
    assert street.sink.values(ACME, "a", **WEB) == [1, 1, 1, 1]
    assert [view.pool for view in street.stage.targets(ACME)] == ["new", "shop"]


async def test_a_source_that_is_gone_ends_its_series(street: Street) -> None:
    await street.stage.start(ACME, config(JOB, system_metrics=SYSTEM))
    await street.forward(1)
    await street.stage.reload(ACME, config())
    assert is_stale(street.sink.values(ACME, "a", **WEB)[-1])
    assert is_stale(street.sink.values(ACME, "up", **WEB)[-1])
    assert is_stale(street.sink.values(ACME, "node_load1", **HOST)[-1])
    await street.forward(1)
    assert street.sink.values(ACME, "up", **WEB)[0] == 1
    assert len(street.fetch.asked) == 1


async def test_a_changed_source_goes_on_with_its_series(street: Street) -> None:
    process = MetricsCollector("acme", sink=street.stage.process)
    process.inc("x")
    await street.stage.start(ACME, config(JOB, system_metrics=SYSTEM))
    await street.forward(1)
    changed = {**JOB, "bearer_token": "t"}
    await street.stage.reload(
        ACME,
        config(changed, system_metrics={**SYSTEM, "interval": "30s"}, collector_interval="30s"),
    )
    assert street.stage.targets(ACME)[0].health is TargetHealth.UP
    await street.forward(1)
    assert street.sink.values(ACME, "a", **WEB) == [1, 1]
    assert street.sink.values(ACME, "node_load1", **HOST) == [0.5] * 6
    assert street.fetch.asked[-1][1]["Authorization"] == "Bearer t"


async def test_a_tenant_may_leave_while_its_target_answers_slowly(street: Street) -> None:
    street.fetch.takes_s = 5
    await street.stage.start(ACME, config(JOB))
    await street.forward(1)
    await street.stage.stop_all()
    assert street.stage.targets(ACME) == []


async def test_scrapes_that_could_not_be_held_are_counted(street: Street) -> None:
    street.fetch.takes_s = 9.5
    job = {**JOB, "scrape_interval": "10s"}
    await street.stage.start(ACME, config(job))
    await street.forward(1)
    assert street.count("tocsin_scrapes_missed_total") == 0
    assert street.sink.values(ACME, "up", **WEB)[:3] == [1, 1, 1]


async def test_an_answer_beyond_the_timeout_is_a_failure(street: Street) -> None:
    street.fetch.takes_s = 30
    await street.stage.start(ACME, config(JOB))
    await street.forward(2)
    assert street.sink.values(ACME, "up", **WEB)[0] == 0


async def test_a_bug_in_a_source_does_not_end_it(street: Street) -> None:
    class Broken(FakeHost):
        async def read(self) -> Any:
            raise ZeroDivisionError

    street.stage = Collector(
        street.sink,
        street.fetch,
        clock=street.clock,
        registry=(registry := Registry(version="0")),
        host=Broken(),
    )
    await street.stage.start(ACME, config(system_metrics=SYSTEM))
    await street.forward(1)
    labels = {"tenant": ACME, "source": "system"}
    failures = registry.collectors.get_sample_value("tocsin_collection_failures_total", labels)
    assert failures == 4


async def test_a_clock_that_is_put_back_does_not_stop_scraping(street: Street) -> None:
    await street.stage.start(ACME, config(JOB))
    await street.forward(2)
    street.clock.back = timedelta(hours=1)
    await street.forward(4)
    assert len(street.fetch.asked) >= 4


FILES = {"job_name": "shop", "file_sd_configs": [{"files": ["/sd/*.json"]}]}
SERVER = {"job_name": "shop", "http_sd_configs": [{"url": "http://cmdb/x"}]}


def listed(*targets: str) -> str:
    return json.dumps([{"targets": list(targets)}])


def urls(street: Street) -> list[str]:
    return [view.url for view in street.stage.targets(ACME)]


async def test_targets_of_files_come_and_go_with_the_files(street: Street) -> None:
    street.files.write("/sd/a.json", listed("web:80"))
    await street.stage.start(ACME, config(FILES))
    await street.forward(1)
    assert street.sink.values(ACME, "up", **WEB) == [1]
    street.files.write("/sd/a.json", listed("new:80"))
    await street.forward(0.1)
    assert urls(street) == ["http://new:80/metrics"]
    assert is_stale(street.sink.values(ACME, "up", **WEB)[-1])


async def test_a_target_that_stays_listed_goes_on_undisturbed(street: Street) -> None:
    street.files.write("/sd/a.json", listed("web:80"))
    await street.stage.start(ACME, config(FILES))
    await street.forward(2)
    street.files.write("/sd/a.json", listed("web:80", "new:80"))
    await street.forward(1)
    assert street.sink.values(ACME, "up", **WEB) == [1, 1, 1]
    assert len(urls(street)) == 2


async def test_a_broken_list_is_counted_and_changes_nothing(street: Street) -> None:
    street.files.write("/sd/a.json", listed("web:80"))
    await street.stage.start(ACME, config(FILES))
    await street.forward(0.1)
    street.files.write("/sd/a.json", "[")
    await street.forward(0.1)
    assert urls(street) == [URL]
    assert street.count("tocsin_discovery_failures_total", mechanism="file") >= 2


async def test_a_server_is_asked_at_once_and_then_on_its_interval(street: Street) -> None:
    street.fetch.serve("http://cmdb/x", listed("web:80"), content_type="application/json")
    await street.stage.start(ACME, config(SERVER))
    await street.forward(0.01)
    assert urls(street) == [URL]
    street.fetch.pages["http://cmdb/x"] = Unreachable("gone")
    await street.forward(5)
    asked = [url for url, _, _ in street.fetch.asked if url == "http://cmdb/x"]
    assert len(asked) == 6
    assert urls(street) == [URL]
    assert street.count("tocsin_discovery_failures_total", mechanism="http") == 5


async def test_a_reload_keeps_what_was_discovered(street: Street) -> None:
    street.fetch.serve("http://cmdb/x", listed("web:80"), content_type="application/json")
    await street.stage.start(ACME, config(SERVER))
    await street.forward(0.01)
    street.fetch.pages.pop("http://cmdb/x")
    await street.stage.reload(
        ACME, config({**SERVER, "honor_labels": True}, collector_interval="9s")
    )
    assert urls(street) == [URL]
    await street.stage.reload(ACME, config())
    assert urls(street) == []
    asked = len(street.fetch.asked)
    await street.forward(3)
    assert len(street.fetch.asked) == asked


async def test_a_tenant_that_stops_looks_for_nothing_more(street: Street) -> None:
    await street.stage.start(ACME, config(SERVER, {**FILES, "job_name": "files"}))
    await street.forward(1.5)
    await street.stage.stop(ACME)
    asked = len(street.fetch.asked)
    await street.forward(3)
    assert len(street.fetch.asked) == asked
    assert street.stage.dropped(ACME).shown == ()


async def test_dropped_and_unusable_targets_are_shown_and_counted(street: Street) -> None:
    rules = [
        {"source_labels": ["__address__"], "regex": "b.*", "action": "drop"},
        {
            "source_labels": ["__address__"],
            "regex": "c.*",
            "target_label": "__address__",
            "replacement": "",
        },
    ]
    static = [{"targets": ["a:1", "b:1", "b:2", "c:1"]}]
    job = {"job_name": "shop", "static_configs": static, "relabel_configs": rules}
    await street.stage.start(ACME, config(job))
    dropped = street.stage.dropped(ACME)
    assert [each.discovered["__address__"] for each in dropped.shown] == ["b:1", "b:2"]
    assert dict(dropped.counts) == {"shop": 2}
    assert street.count("tocsin_scrape_targets") == 1
    assert street.count("tocsin_scrape_targets_dropped") == 2
    assert street.count("tocsin_scrape_targets_unusable") == 1
    assert street.stage.dropped(OTHER).shown == ()


async def test_targets_beyond_their_limit_are_down_and_not_asked(street: Street) -> None:
    job = {**JOB, "static_configs": [{"targets": ["web:80", "b:1"]}], "target_limit": 1}
    await street.stage.start(ACME, config(job))
    await street.forward(1)
    assert street.fetch.asked == []
    assert street.sink.values(ACME, "up", **WEB) == [0]
    assert "target_limit" in street.stage.targets(ACME)[0].last_error


async def test_a_bug_in_discovery_does_not_end_it(street: Street) -> None:
    class Broken(FakeTargetFiles):
        async def stamps(self, patterns: Any) -> Any:
            raise ZeroDivisionError

    street.stage = Collector(
        street.sink,
        street.fetch,
        clock=street.clock,
        registry=(registry := Registry(version="0")),
        files=Broken(),
    )
    await street.stage.start(ACME, config(FILES))
    await street.forward(0.1)
    labels = {"tenant": ACME, "source": "discovery"}
    failures = registry.collectors.get_sample_value("tocsin_collection_failures_total", labels)
    assert failures is not None
    assert failures >= 3


async def test_a_tenant_that_asks_for_it_collects_what_tocsin_says_of_it(street: Street) -> None:
    await street.stage.start(ACME, config(JOB, self_metrics={"enabled": True, "instance": "t1"}))
    await street.stage.start(OTHER, config(JOB))
    await street.forward(2)
    found = street.sink.values(
        ACME, "tocsin_scrapes_total", job="tocsin", instance="t1", outcome="up"
    )
    assert found
    assert found == sorted(found)
    assert street.sink.values(ACME, "up", job="tocsin", instance="t1")[-1] == 1
    assert not any(name.startswith("tocsin_") for name in street.sink.names(OTHER))
    assert street.count("tocsin_samples_collected_total", source="self") > 0
