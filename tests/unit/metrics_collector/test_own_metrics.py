"""A tenant's share of what the process says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.metrics_collector.own import KEPT, OwnMetrics
from tocsin.model.clock import Clock
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")


class ByHand(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Process:
    """A process that counts for two tenants, for nobody, and for itself."""

    def __init__(self) -> None:
        registry = Registry(version="0")
        self.clock = ByHand()
        self.own = OwnMetrics(registry, self.clock)
        self.rounds = registry.counter("rounds", "Rounds.", ("tenant", "kind"))
        self.denied = registry.counter("denied", "Denied.", ("tenant",))
        registry.gauge("lag_seconds", "Lag.").set(0.5)
        took = registry.latency("took_seconds", "Took.", ("tenant",), buckets=(1,))
        self.rounds.labels(ACME, "a").inc(2)
        self.rounds.labels(OTHER, "a").inc(5)
        self.denied.labels("").inc(9)
        took.labels(ACME).observe(0.5)

    def seen_by(self, tenant: TenantId) -> dict[Labels, float]:
        found = [pair for family in self.own.families(tenant) for pair in family.samples]
        assert len(dict(found)) == len(found)
        return dict(found)


@pytest.fixture
def process() -> Process:
    return Process()


def series(name: str, /, **labels: str) -> Labels:
    return Labels.of({"__name__": name, **labels})


def test_a_tenant_sees_itself_and_the_process_without_its_own_name(process: Process) -> None:
    seen = process.seen_by(ACME)
    assert seen[series("rounds_total", kind="a")] == 2
    assert seen[series("lag_seconds")] == 0.5
    assert seen[series("took_seconds_bucket", le="1.0")] == 1
    assert series("tocsin_build_info", version="0") in seen


def test_a_tenant_sees_no_other_tenant_and_nobody(process: Process) -> None:
    for tenant, rounds in ((ACME, 2), (OTHER, 5)):
        seen = process.seen_by(tenant)
        assert [v for k, v in seen.items() if k["__name__"] == "rounds_total"] == [rounds]
        assert not any(labels["__name__"] == "denied_total" for labels in seen)
    assert not any(k["__name__"].startswith("took") for k in process.seen_by(OTHER))


def test_families_have_their_metadata_and_appear_once(process: Process) -> None:
    families = list(process.own.families(ACME))
    by_name = {family.name: family for family in families}
    assert len(by_name) == len(families)
    assert (by_name["rounds_total"].metadata.type, by_name["rounds_total"].metadata.help) == (
        "counter",
        "Rounds.",
    )


def test_figures_are_read_once_for_all_and_again_when_they_are_old(process: Process) -> None:
    before = process.seen_by(ACME)
    process.rounds.labels(ACME, "a").inc()
    assert process.seen_by(ACME) == before
    process.clock.time += KEPT
    assert process.seen_by(ACME)[series("rounds_total", kind="a")] == 3


def test_a_clock_put_back_keeps_no_figures_of_the_future(process: Process) -> None:
    process.seen_by(ACME)
    process.rounds.labels(ACME, "a").inc()
    process.clock.time -= timedelta(hours=1)
    assert process.seen_by(ACME)[series("rounds_total", kind="a")] == 3


async def test_a_share_reads_as_a_host_does(process: Process) -> None:
    families = await process.own.share(ACME).read()
    assert "lag_seconds" in {family.name for family in families}
