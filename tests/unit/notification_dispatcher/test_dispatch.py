"""The dispatcher sends what is due, once its place has come, until it has an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from receiver_setup import read_receiver, setup_of

from tocsin.model.errors import Unreachable
from tocsin.model.notification import Final, HttpAnswer, Notification
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.dispatch import Dispatcher, Limits
from tocsin.notification_dispatcher.fakes import (
    START,
    FakeHttp,
    FakeSmtp,
    LoopClock,
    MemoryOutbox,
    a_notification,
)
from tocsin.notification_dispatcher.ports import Delivery, HttpCall
from tocsin.notification_dispatcher.provider import Wire
from tocsin.telemetry.metrics import Registry

ACME = TenantId("acme")
OTHER = TenantId("other")


@dataclass
class House:
    """A dispatcher with its world in memory, in virtual time."""

    http: FakeHttp
    outbox: MemoryOutbox
    clock: LoopClock
    registry: Registry
    dispatcher: Dispatcher

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def commit(self, *told: Notification) -> None:
        self.outbox.commit(told[0].tenant, told)

    async def delivery(self, tenant: TenantId = ACME) -> Delivery:
        (found,) = await self.outbox.deliveries(tenant, before=None, limit=9)
        return found

    async def states(self, tenant: TenantId = ACME) -> list[str]:
        found = await self.outbox.deliveries(tenant, before=None, limit=9999)
        return [delivery.state for delivery in reversed(found)]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.collectors.get_sample_value(name, labels) or 0.0


@pytest.fixture
def open_house() -> Callable[..., Any]:
    @asynccontextmanager
    async def make(
        answer: Any = None,
        *,
        hooks: Sequence[dict[str, str]] = ({"url": "http://hook.test/"},),
        tenants: Sequence[TenantId] = (ACME,),
        limits: Limits | None = None,
        draw: float = 1.0,
    ) -> AsyncIterator[House]:
        http, outbox, clock = FakeHttp(answer), MemoryOutbox(), LoopClock()
        clock.now()
        registry = Registry(version="test")
        dispatcher = Dispatcher(
            Wire(http, FakeSmtp()),
            outbox=outbox,
            clock=clock,
            rng=lambda: draw,
            registry=registry,
            limits=limits,
        )
        configured = setup_of([read_receiver(webhook_configs=list(hooks))])
        for tenant in tenants:
            await dispatcher.start(tenant, configured)
        try:
            yield House(http, outbox, clock, registry, dispatcher)
        finally:
            await dispatcher.stop(deadline_s=0)

    return make


def numbered(count: int, *, integration: str = "webhook[0]", tenant: str = "acme") -> Any:
    return [
        a_notification(tenant, flush_key=f"{n}", integration=integration, group_key=f"g{n}")
        for n in range(count)
    ]


async def test_a_committed_notification_is_sent_at_once_and_only_once(open_house: Any) -> None:
    async with open_house() as house:
        await house.pass_time(5)
        house.commit(a_notification())
        await house.pass_time(0.01)
        assert len(house.http.calls) == 1
        await house.pass_time(3600)
        assert len(house.http.calls) == 1
        (report,) = house.outbox.reports
        assert report.final is Final.DELIVERED


async def test_what_was_left_by_an_earlier_process_is_sent_at_start(open_house: Any) -> None:
    async with open_house(tenants=()) as house:
        house.commit(a_notification())
        found = await house.outbox.claim(
            ACME, now=house.clock.now(), limit=1, lease=timedelta(minutes=1)
        )
        assert len(found) == 1  # and that process dies
    async with open_house() as second:
        second.outbox._rows = house.outbox._rows
        second.dispatcher._workers[ACME].wake()
        await second.pass_time(61)
        assert [call.headers["webhook-id"] for call in second.http.calls] == [
            found[0].notification.id
        ]


async def test_every_attempt_bears_the_same_key_until_one_succeeds(open_house: Any) -> None:
    async def failing_until_5_s(call: HttpCall) -> HttpAnswer:
        del call
        return HttpAnswer(503 if asyncio.get_running_loop().time() - begun < 5 else 200)

    async with open_house(failing_until_5_s) as house:
        begun = asyncio.get_running_loop().time()
        house.commit(a_notification())
        await house.pass_time(60)
        delivery = await house.delivery()
        assert [a.status for a in delivery.attempts] == ["HTTP 503"] * 5 + ["HTTP 200"]
        assert delivery.state == "delivered"
        assert {call.headers["Idempotency-Key"] for call in house.http.calls} == {
            a_notification().id
        }
        at = [(a.at - START).total_seconds() for a in delivery.attempts]
        assert at == pytest.approx([0, 0.4, 1.0, 1.9, 3.25, 5.275], abs=0.1)


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
async def test_a_receiver_that_is_slow_for_a_second_is_told_within_two(
    open_house: Any, draw: float
) -> None:
    """The case of the compatibility vector webhook_timeout: flushed at 2 s, slow until 3 s."""

    async def slow_until_3_s(call: HttpCall) -> HttpAnswer:
        del call
        if asyncio.get_running_loop().time() - begun < 3:
            await asyncio.sleep(1)
        return HttpAnswer(200)

    hooks = [{"url": "http://hook.test/", "timeout": "500ms"}]
    async with open_house(slow_until_3_s, hooks=hooks, draw=draw) as house:
        begun = asyncio.get_running_loop().time()
        await house.pass_time(2)
        house.commit(a_notification())
        await house.pass_time(10)
        *late, told = (await house.delivery()).attempts
        assert {attempt.status for attempt in late} == {"timeout"}
        assert 3 <= (told.at - START).total_seconds() <= 4.0 + 0.05
        assert house.metric(
            "alertmanager_notification_requests_failed_total", integration="webhook"
        ) == len(late)


async def test_a_refusal_ends_it_and_is_counted(open_house: Any) -> None:
    async with open_house(HttpAnswer(404, {}, b"no such hook")) as house:
        house.commit(a_notification())
        await house.pass_time(3600)
        assert len(house.http.calls) == 1
        (report,) = house.outbox.reports
        assert (report.final, report.reason) == (Final.REJECTED, "HTTP 404: no such hook")
        assert house.metric("alertmanager_notifications_total", integration="webhook") == 1
        assert (
            house.metric(
                "alertmanager_notifications_failed_total",
                integration="webhook",
                reason="clientError",
            )
            == 1
        )


async def test_after_its_age_it_is_a_dead_letter_that_is_told_loudly(
    open_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def unreachable(call: HttpCall) -> HttpAnswer:
        raise Unreachable(f"no route to {call.url}")

    async with open_house(unreachable) as house:
        house.commit(a_notification())
        await house.pass_time(25 * 3600)
        (report,) = house.outbox.reports
        assert report.final is Final.DEAD
        assert report.reason == "no route to <secret>"
        attempts = (await house.delivery()).attempts
        assert timedelta(hours=23, minutes=54) < attempts[-1].at - START < timedelta(hours=24)
        assert 280 < len(attempts) < 320
        assert house.metric("tocsin_outbox_dead_letters_total", integration="webhook") == 1
        failed = {"integration": "webhook", "reason": "other"}
        assert house.metric("alertmanager_notifications_failed_total", **failed) == 1
    assert [r.getMessage() for r in caplog.records] == ["notification given up"]
    assert caplog.records[0].levelname == "ERROR"
    assert "hook.test" not in repr(vars(caplog.records[0]))


async def test_a_receiver_that_never_answers_is_given_up_on_after_its_time_limit(
    open_house: Any,
) -> None:
    async def never(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.Event().wait()
        raise AssertionError

    async with open_house(never) as house:
        house.commit(a_notification())
        await house.pass_time(30.1)
        (attempt,) = (await house.delivery()).attempts
        assert (attempt.status, attempt.reason) == ("timeout", "no answer within 30 s")
        assert attempt.took_ms == pytest.approx(30_000)


async def test_a_bug_in_a_provider_is_a_retry_and_a_count(
    open_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken_once(call: HttpCall) -> HttpAnswer:
        if len(house.http.calls) == 1:
            raise KeyError(call.url)
        return HttpAnswer(200)

    async with open_house(broken_once) as house:
        house.commit(a_notification())
        await house.pass_time(1)
        assert await house.states() == ["delivered"]
        assert house.metric("tocsin_outbox_provider_errors_total", integration="webhook") == 1
    (record,) = caplog.records
    assert record.getMessage() == "provider failed"


async def test_a_receiver_that_is_gone_is_a_rejection_with_a_reason(open_house: Any) -> None:
    async with open_house(hooks=()) as house:
        house.commit(a_notification())
        await house.pass_time(1)
        (report,) = house.outbox.reports
        assert report.final is Final.REJECTED
        assert "no webhook[0] in a receiver named 'team'" in report.reason


async def test_a_reload_counts_from_the_next_attempt(
    open_house: Any,
) -> None:
    async with open_house(HttpAnswer(503)) as house:
        house.commit(a_notification())
        await house.pass_time(0.1)
        moved = setup_of([read_receiver(webhook_configs=[{"url": "http://new.test/"}])])
        await house.dispatcher.start(ACME, moved)
        await house.pass_time(0.5)
        assert [call.url for call in house.http.calls] == ["http://hook.test/", "http://new.test/"]


async def test_a_store_that_fails_to_record_is_asked_again(open_house: Any) -> None:
    async def breaking(call: HttpCall) -> HttpAnswer:
        del call
        house.outbox.broken = True
        return HttpAnswer(200)

    async with open_house(breaking) as house:
        house.commit(a_notification())
        await house.pass_time(3)
        assert house.outbox.reports == []
        house.outbox.broken = False
        await house.pass_time(1)
        assert len(house.http.calls) == 1
        assert await house.states() == ["delivered"]
        assert house.metric("tocsin_outbox_store_errors_total") > 3


async def test_a_store_that_fails_to_claim_is_asked_again(open_house: Any) -> None:
    async with open_house() as house:
        house.outbox.broken = True
        house.commit(a_notification())
        await house.pass_time(2)
        house.outbox.broken = False
        await house.pass_time(1)
        assert await house.states() == ["delivered"]


async def test_a_dead_endpoint_does_not_hold_up_another_one(open_house: Any) -> None:
    async def one_is_dead(call: HttpCall) -> HttpAnswer:
        if "dead" in call.url:
            await asyncio.Event().wait()
        return HttpAnswer(200)

    hooks = [{"url": "http://dead.test/"}, {"url": "http://quick.test/"}]
    async with open_house(one_is_dead, hooks=hooks) as house:
        house.commit(*numbered(600))
        await house.pass_time(2)
        house.commit(a_notification(integration="webhook[1]"))
        await house.pass_time(0.1)
        assert [c.url for c in house.http.calls if "quick" in c.url] == ["http://quick.test/"]
        assert house.metric("tocsin_outbox_deferred_total") == 600 - 256
        assert sum("dead" in c.url for c in house.http.calls) == 8


async def test_a_burst_to_a_healthy_endpoint_is_sent_without_putting_any_off(
    open_house: Any,
) -> None:
    async def in_ten_ms(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.sleep(0.01)
        return HttpAnswer(200)

    async with open_house(in_ten_ms) as house:
        house.commit(*numbered(2000))
        await house.pass_time(2000 / 8 * 0.01 + 0.2)
        assert len(house.http.calls) == 2000
        assert house.metric("tocsin_outbox_deferred_total") == 0
        assert house.metric("tocsin_outbox_in_flight") == 0


async def test_a_slow_endpoint_that_moves_puts_nothing_off(open_house: Any) -> None:
    async def in_half_a_second(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.sleep(0.5)
        return HttpAnswer(200)

    async with open_house(in_half_a_second) as house:
        house.commit(*numbered(600))
        await house.pass_time(600 / 8 * 0.5 + 1)
        assert len(house.http.calls) == 600
        assert house.metric("tocsin_outbox_deferred_total") == 0


async def test_rows_behind_an_endpoint_that_hung_follow_soon_after_it_moves(
    open_house: Any,
) -> None:
    hung = asyncio.Event()

    async def hangs_at_first(call: HttpCall) -> HttpAnswer:
        del call
        await hung.wait()
        return HttpAnswer(200)

    async with open_house(hangs_at_first) as house:
        house.commit(*numbered(600))
        await house.pass_time(3)
        assert house.metric("tocsin_outbox_deferred_total") > 0
        hung.set()
        await house.pass_time(5)
        assert len(house.http.calls) == 600


async def test_a_row_whose_lease_ends_while_it_waits_is_not_sent_twice(open_house: Any) -> None:
    async def twenty_seconds(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.sleep(20)
        return HttpAnswer(200)

    async with open_house(twenty_seconds, limits=Limits(per_endpoint=1)) as house:
        house.commit(*numbered(6))
        await house.pass_time(200)
        ids = [call.headers["webhook-id"] for call in house.http.calls]
        assert len(ids) == len(set(ids)) == 6


async def test_tenants_do_not_see_each_others_notifications(open_house: Any) -> None:
    async with open_house(tenants=(ACME, OTHER)) as house:
        house.commit(a_notification("other"))
        await house.pass_time(1)
        assert await house.states(OTHER) == ["delivered"]
        assert await house.states(ACME) == []


async def test_stop_lets_what_is_under_way_end(open_house: Any) -> None:
    async def one_second(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.sleep(1)
        return HttpAnswer(200)

    async with open_house(one_second, limits=Limits(per_endpoint=1)) as house:
        house.commit(*numbered(3))
        await house.pass_time(0.5)
        await house.dispatcher.stop(deadline_s=10)
        assert await house.states() == ["delivered", "pending", "pending"]
        assert len(house.http.calls) == 1
        await house.dispatcher.stop()


async def test_stop_cuts_off_at_its_deadline(open_house: Any) -> None:
    async def never(call: HttpCall) -> HttpAnswer:
        del call
        await asyncio.Event().wait()
        raise AssertionError

    async with open_house(never) as house:
        house.commit(a_notification())
        await house.pass_time(0.5)
        before = house.clock.now()
        await house.dispatcher.stop(deadline_s=2)
        assert house.clock.now() - before == timedelta(seconds=2)
        assert await house.states() == ["pending"]


async def test_one_tenant_can_be_stopped_alone(open_house: Any) -> None:
    async with open_house(tenants=(ACME, OTHER)) as house:
        await house.dispatcher.stop_tenant(OTHER)
        house.commit(a_notification())
        house.commit(a_notification("other"))
        await house.pass_time(1)
        assert await house.states(ACME) == ["delivered"]
        assert await house.states(OTHER) == ["pending"]
        await house.dispatcher.stop_tenant(TenantId("unknown"))


async def test_an_idle_dispatcher_looks_rarely(open_house: Any) -> None:
    async with open_house() as house:
        asked = 0
        claim = house.outbox.claim

        async def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            asked += 1
            return await claim(*args, **kwargs)

        house.outbox.claim = counting
        await house.pass_time(3600)
        assert 100 <= asked <= 125
