"""Groups run on their own intervals and phases; reload swaps, stop leaves everything in place."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tocsin.model.labels import Labels
from tocsin.model.sample import Sample, is_stale
from tocsin.model.settings import Duration, from_scalar
from tocsin.model.slots import Slots, from_ms, to_ms
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.fakes import FakeDoor, FakeQueries, FakeSink, LoopClock
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.schedule import RuleGroups, TenantRules
from tocsin.telemetry.metrics import Registry

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
ALERT = {"alert": "Down", "expr": "down"}


def rules(*groups: dict[str, Any], file: str = "f", **settings: Any) -> TenantRules:
    made = msgspec.convert({"groups": list(groups)}, RuleFile, dec_hook=from_scalar)
    return TenantRules({file: made}, RuleSettings(**settings))


def group(*entries: dict[str, Any], name: str = "g", **keys: Any) -> dict[str, Any]:
    return {"name": name, "interval": "1m", "rules": list(entries), **keys}


class Street:
    """The rule stage between fakes, on virtual time."""

    def __init__(self) -> None:
        self.queries, self.sink, self.door = FakeQueries(), FakeSink(), FakeDoor()
        self.clock = LoopClock(T0)
        self.registry = Registry(version="0")
        self.stage = RuleGroups(
            self.queries,
            self.sink,
            self.door,
            clock=self.clock,
            instruments=RuleInstruments(self.registry),
        )
        self.queries.answers["down"] = [Sample(Labels.of({"host": "a"}), 0, 1.0)]

    async def forward(self, minutes: float) -> None:
        await asyncio.sleep(minutes * 60)

    def rounds(self, expr: str, tenant: TenantId = ACME) -> list[datetime]:
        return [from_ms(ms) for who, e, ms in self.queries.asked if (who, e) == (tenant, expr)]

    def count(self, name: str) -> float:
        return self.registry.collectors.get_sample_value(name, {"tenant": ACME}) or 0.0


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    made = Street()
    yield made
    await made.stage.stop_all()


async def test_a_group_is_evaluated_once_per_interval_on_its_phase(street: Street) -> None:
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(3)
    first, *rest = street.rounds("down")
    assert first == Slots.named("acme;f;g", MIN).after(T0)
    assert rest == [first + MIN, first + 2 * MIN]
    assert street.count("tocsin_rule_group_iterations_total") == 3
    assert street.count("tocsin_rule_groups") == 1


async def test_groups_of_one_tenant_and_of_many_do_not_begin_at_once(street: Street) -> None:
    tenants = [tenant_id(f"t{number}") for number in range(20)]
    entries = [group({"record": "r", "expr": "x"}, name=f"g{number}") for number in range(20)]
    for tenant in tenants:
        await street.stage.start(tenant, rules(*entries))
    await street.forward(1)
    begun = [(ms - to_ms(T0)) // 6000 for _, expr, ms in street.queries.asked if expr == "x"]
    tenths = Counter(begun)
    assert len(begun) == 400
    assert len(tenths) >= 10
    assert max(tenths.values()) < 80  # of 40 in each if they were spread evenly


async def test_groups_keep_their_own_intervals(street: Street) -> None:
    slow = group({"record": "r", "expr": "x"}, name="slow", interval="5m")
    await street.stage.start(ACME, rules(group(ALERT), slow))
    await street.forward(10)
    assert (len(street.rounds("down")), len(street.rounds("x"))) == (10, 2)


async def test_tenants_do_not_see_each_other(street: Street) -> None:
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.stage.start(OTHER, rules(group({"record": "r", "expr": "x"})))
    await street.forward(2)
    assert {tenant for tenant, _ in street.door.received} == {ACME}
    assert street.stage.alerts(OTHER) == []
    assert [alert.state for alert in street.stage.alerts(ACME)] == [State.FIRING]
    assert street.stage.groups(tenant_id("nobody")) == []


async def test_a_reload_leaves_unchanged_groups_running(street: Street) -> None:
    await street.stage.start(ACME, rules(group({**ALERT, "for": "5m"})))
    await street.forward(3)
    await street.stage.reload(ACME, rules(group({**ALERT, "for": "5m"}), group(name="new")))
    await street.forward(3)
    assert len(street.rounds("down")) == 6
    assert [alert.state for alert in street.stage.alerts(ACME)] == [State.FIRING]
    assert [view.name for view in street.stage.groups(ACME)] == ["g", "new"]


async def test_a_reload_keeps_pending_periods_of_a_changed_group(street: Street) -> None:
    await street.stage.start(ACME, rules(group({**ALERT, "for": "5m"})))
    await street.forward(3)
    changed = group({**ALERT, "for": "4m"}, {"record": "r", "expr": "x"}, interval="30s")
    await street.stage.reload(ACME, rules(changed))
    await street.forward(2)
    assert [alert.state for alert in street.stage.alerts(ACME)] == [State.FIRING]


async def test_a_group_that_is_gone_resolves_its_alerts_and_ends_its_series(
    street: Street,
) -> None:
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(2)
    await street.stage.reload(ACME, rules())
    assert street.door.received[-1][1].ends_at == street.clock.now()
    [firing] = street.sink.named(ACME, "ALERTS").values()
    assert is_stale(firing[-1][1])
    assert street.stage.groups(ACME) == []


async def test_settings_take_effect_on_a_reload(street: Street) -> None:
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(2)
    await street.stage.reload(ACME, rules(group(ALERT), external_labels={"region": "eu"}))
    await street.forward(2)
    assert street.door.received[-1][1].labels.value("region") == "eu"


async def test_stop_leaves_series_and_alerts_as_they_are(street: Street) -> None:
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(2)
    told = len(street.door.received)
    await street.stage.stop(ACME)
    await street.stage.stop(ACME)
    await street.forward(5)
    assert len(street.door.received) == told
    [firing] = street.sink.named(ACME, "ALERTS").values()
    assert not is_stale(firing[-1][1])


async def test_rounds_that_could_not_be_held_are_counted(street: Street) -> None:
    class Slow(FakeDoor):
        async def __call__(self, tenant: TenantId, alerts: Any) -> None:
            await asyncio.sleep(150)

    street.stage = RuleGroups(
        street.queries,
        street.sink,
        Slow(),
        clock=street.clock,
        instruments=RuleInstruments(Registry(version="0")),
    )
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(7.5)
    first, *rest = street.rounds("down")
    assert rest[:2] == [first + 2 * MIN, first + 5 * MIN]


async def test_missed_rounds_show_in_the_series_of_their_group(street: Street) -> None:
    class Slow(FakeDoor):
        async def __call__(self, tenant: TenantId, alerts: Any) -> None:
            await asyncio.sleep(150)

    near = (street.queries, street.sink, Slow())
    told = RuleInstruments(Registry(version="0"))
    street.stage = RuleGroups(*near, clock=street.clock, instruments=told)
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(7.5)
    [rounds] = street.sink.named(ACME, "tocsin_rule_group_rounds_total").values()
    [missed] = street.sink.named(ACME, "tocsin_rule_group_rounds_missed_total").values()
    assert [value for _, value in rounds[:2]] == [1, 3]
    assert [value for _, value in missed[:2]] == [0, 1]


async def test_a_bug_in_the_door_does_not_end_the_group(street: Street) -> None:
    class Broken(FakeDoor):
        async def __call__(self, tenant: TenantId, alerts: Any) -> None:
            raise ZeroDivisionError

    street.stage = RuleGroups(
        street.queries,
        street.sink,
        Broken(),
        clock=street.clock,
        instruments=RuleInstruments(Registry(version="0")),
    )
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(3)
    assert len(street.rounds("down")) == 3


async def test_a_clock_that_is_put_back_does_not_stop_evaluation(street: Street) -> None:
    class Jumping(LoopClock):
        back = timedelta(0)

        def now(self) -> datetime:
            return super().now() - self.back

        async def sleep_until(self, when: datetime) -> None:
            while self.now() < when:
                await super().sleep_until(when)

    clock = Jumping(T0)
    street.stage = RuleGroups(
        street.queries,
        street.sink,
        street.door,
        clock=clock,
        instruments=RuleInstruments(Registry(version="0")),
    )
    await street.stage.start(ACME, rules(group(ALERT)))
    await street.forward(2)
    clock.back = timedelta(hours=1)
    await street.forward(3)
    assert street.rounds("down")[-1] <= clock.now()
    assert len(street.rounds("down")) >= 4


async def test_a_process_that_starts_again_takes_up_where_it_stopped(street: Street) -> None:
    await street.stage.start(ACME, rules(group({**ALERT, "for": "5m"})))
    await street.forward(1)
    assert any("last_over_time" in expr for _, expr, _ in street.queries.asked)
    asked = len(street.queries.asked)
    await street.stage.reload(ACME, rules(group(ALERT), group(ALERT, name="late")))
    await street.forward(2)
    later = [expr for _, expr, _ in street.queries.asked[asked:]]
    assert not any("last_over_time" in expr for expr in later)


async def test_a_custom_default_interval_is_used(street: Street) -> None:
    entry = {"name": "g", "rules": [ALERT]}
    await street.stage.start(ACME, rules(entry, evaluation_interval=Duration(seconds=10)))
    await street.forward(1)
    assert len(street.rounds("down")) == 6
