"""The stage service on its in-memory fakes, in virtual time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.answers import Expired, Malformed, NotFound, Posted, Refused, SilencePut
from tocsin.alert_manager.config import EngineConfig, Integration, RouteConfig, compile_config
from tocsin.alert_manager.fakes import MemoryLog, MemorySnapshots, Stored
from tocsin.alert_manager.follower import joined
from tocsin.alert_manager.instruments import Instruments, StageCollector
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.alert_manager.views import AlertFilter
from tocsin.model.alert import Alert
from tocsin.model.clock import Clock
from tocsin.model.codec import encode
from tocsin.model.errors import InvalidInput, NotDurable
from tocsin.model.events import Delta, EntryKind, GroupFlush, LogEntry, LoggedEntry
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import Labels
from tocsin.model.notification import DeliveryReport, Final, Notification, notification_id
from tocsin.model.settings import Duration
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACME, OTHER = TenantId("acme"), TenantId("other")
ALL = AlertFilter()


class LoopClock(Clock):
    """The loop's virtual time as a wall clock that begins at T0."""

    def now(self) -> datetime:
        return T0 + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max((when - self.now()).total_seconds(), 0))


class SlowLog(MemoryLog):
    """A log whose tail takes a while, so that entries come meanwhile."""

    async def tail(self, tenant: TenantId, *, after: int, limit: int) -> list[LoggedEntry]:
        page = await super().tail(tenant, after=after, limit=limit)
        await asyncio.sleep(1)
        return page


def notify(tenant: TenantId, flushes: tuple[GroupFlush, ...]) -> Delta:
    """Stand in for the next stage: every target becomes a notification."""
    pairs = [(flush, target) for flush in flushes for target in flush.targets]
    notifications = tuple(
        Notification(
            id=notification_id(tenant, flush.key, target.integration),
            tenant=tenant,
            receiver=flush.receiver,
            integration=target.integration,
            group_key=flush.group_key,
            group_labels=flush.group_labels,
            alerts=target.alerts,
            reason=target.reason,
            flushed_at=flush.at,
        )
        for flush, target in pairs
    )
    replaced = tuple(target.replaces for _, target in pairs if target.replaces)
    return Delta(notifications, replaced)


def a_config(version: str = "1", **more: object) -> EngineConfig:
    return compile_config(
        RouteConfig(
            receiver="team",
            group_wait=Duration(seconds=10),
            group_interval=Duration(seconds=60),
        ),
        receivers={"team": (Integration("webhook[0]", send_resolved=True),), "idle": ()},
        hash=version,
        **more,  # type: ignore[arg-type]  # only what compile_config takes
    )


@dataclass
class House:
    """A store, and a service upon it that may be restarted."""

    stored: Stored = field(default_factory=Stored)
    grouped: object = notify
    every: int = 5_000
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    def open(self, kind: type[MemoryLog] = MemoryLog) -> tuple[Alerts, MemoryLog]:
        log = kind(self.stored)
        alerts = Alerts(
            log=log,
            snapshots=MemorySnapshots(log),
            grouped=self.grouped,  # type: ignore[arg-type]  # a test may put its own
            clock=LoopClock(),
            ids=lambda: f"id-{next(self.ids)}",
            snapshot_every=self.every,
        )
        return alerts, log

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Alerts, MemoryLog]]:
        alerts, log = self.open()
        await alerts.start(ACME, a_config())
        try:
            yield alerts, log
        finally:
            await alerts.stop()

    def notified(self) -> list[str]:
        return [
            " ".join(a.labels.value("alertname") for a in n.alerts)
            for commit in self.stored.commits
            for n in commit.delta.notifications
        ]


def body(*names: str, **more: object) -> bytes:
    return json.dumps([{"labels": {"alertname": n}, **more} for n in names]).encode()


def silence_body(**more: object) -> bytes:
    matcher = {"name": "alertname", "value": "a", "isRegex": False}
    posted = {
        "matchers": [matcher],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-01T01:00:00Z",
        "createdBy": "me",
        "comment": "why",
    }
    return json.dumps({**posted, **more}).encode()


async def test_a_posted_alert_is_durable_visible_and_notified() -> None:
    house = House()
    async with house.running() as (alerts, _):
        assert await alerts.post(ACME, body("a")) == Posted(1)
        assert [e.entry.kind for e in house.stored.of(ACME)] == [EntryKind.CONFIG, EntryKind.ALERTS]
        views = alerts.query_alerts(ACME, LoopClock().now(), ALL)
        assert [(v.receivers, v.state) for v in views] == [(("team",), "active")]
        await asyncio.sleep(11)
        assert house.notified() == ["a"]
        kinds = [e.entry.kind for e in house.stored.of(ACME)]
        assert kinds == [EntryKind.CONFIG, EntryKind.ALERTS, EntryKind.TICK]


async def test_a_body_of_the_wrong_form_or_without_good_alerts_is_not_logged() -> None:
    house = House()
    async with house.running() as (alerts, _):
        assert isinstance(await alerts.post(ACME, b"{}"), Malformed)
        assert await alerts.post(ACME, b"[]") == Posted(0)
        answer = await alerts.post(ACME, b'[{"labels":{}}]')
        assert isinstance(answer, Posted)
        assert answer.message == "at least one label pair required"
        assert len(house.stored.entries) == 1


async def test_the_good_alerts_of_a_batch_are_kept() -> None:
    async with House().running() as (alerts, _):
        mixed = b'[{"labels":{"alertname":"kept"}},{"labels":{"empty":""}}]'
        answer = await alerts.post(ACME, mixed)
        assert answer == Posted(1, ("at least one label pair required",))
        assert len(alerts.query_alerts(ACME, LoopClock().now(), ALL)) == 1


async def test_rules_use_the_same_door() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.receive(ACME, [])
        labels, note = Labels.of({"alertname": "r"}), Labels.of({"summary": "s"})
        hour = timedelta(hours=1)
        alert = Alert(labels, T0, T0 + hour, T0, note, "http://here/graph", timeout=False)
        await alerts.receive(ACME, [alert])
        seen = alerts.query_alerts(ACME, LoopClock().now(), ALL)
        assert [v.alert for v in seen] == [alert]
        assert [e.entry.kind for e in house.stored.of(ACME)][1:] == [EntryKind.ALERTS]


async def test_nothing_is_answered_when_the_store_fails() -> None:
    async with House().running() as (alerts, log):
        log.failing = True
        with pytest.raises(NotDurable):
            await alerts.post(ACME, body("a"))
        with pytest.raises(NotDurable):
            await alerts.put_silence(ACME, silence_body())
        log.failing = False
        assert not alerts.query_alerts(ACME, LoopClock().now(), ALL)


async def test_ticks_and_commits_are_retried_until_the_store_takes_them() -> None:
    house = House()
    async with house.running() as (alerts, log):
        await alerts.post(ACME, body("a"))
        log.failing = True
        await asyncio.sleep(40)
        assert house.notified() == []
        log.failing = False
        await asyncio.sleep(31)
        assert house.notified() == ["a"]


async def test_commits_that_failed_are_made_later_and_in_order() -> None:
    house = House()
    async with house.running() as (alerts, log):
        await alerts.post(ACME, body("a"))

        await asyncio.sleep(9.9)
        real, log.commit = log.commit, _refuse  # type: ignore[method-assign]
        await asyncio.sleep(1)
        await alerts.post(ACME, body("b", startsAt="2025-01-01T00:00:00Z"))
        await asyncio.sleep(70)
        log.commit = real  # type: ignore[method-assign]
        await asyncio.sleep(31)
        assert house.notified() == ["a b"]


def _refuse(*_: object, **__: object) -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(NotDurable("refused"))
    return future


async def test_a_delivery_report_reaches_the_state_through_the_log() -> None:
    house = House()
    async with house.running() as (alerts, log):
        await alerts.post(ACME, body("a"))
        await asyncio.sleep(11)
        sent = house.stored.commits[0].delta.notifications[0]
        assert alerts.status(ACME, LoopClock().now()).in_flight == 1
        report = DeliveryReport(sent.id, sent.group_key, sent.integration, Final.DELIVERED)
        entry = LogEntry(EntryKind.REPORT, LoopClock().now(), encode(report))
        await log.append(ACME, entry)
        assert alerts.status(ACME, LoopClock().now()).in_flight == 0


async def test_silences_are_put_updated_replaced_and_expired() -> None:
    async with House().running() as (alerts, _):
        await alerts.post(ACME, body("a", "b"))
        await asyncio.sleep(1)
        assert await alerts.put_silence(ACME, silence_body()) == SilencePut("id-1")
        now = LoopClock().now()
        views = alerts.query_alerts(ACME, now, ALL)
        assert sorted(v.silenced_by for v in views) == [(), ("id-1",)]
        first = alerts.silence(ACME, "id-1", now)
        assert first is not None
        assert first.silence.starts_at == now
        start = first.silence.starts_at.isoformat()
        update = silence_body(id="id-1", startsAt=start, comment="longer")
        assert await alerts.put_silence(ACME, update) == SilencePut("id-1")
        await asyncio.sleep(5)
        other = silence_body(
            id="id-1", matchers=[{"name": "alertname", "value": "b", "isRegex": False}]
        )
        assert await alerts.put_silence(ACME, other) == SilencePut("id-3")
        now = LoopClock().now()
        assert [(v.silence.id, v.state) for v in alerts.silences(ACME, now)] == [
            ("id-3", "active"),
            ("id-1", "expired"),
        ]
        assert await alerts.expire_silence(ACME, "id-3") == Expired()
        assert await alerts.expire_silence(ACME, "id-3") == Expired()
        assert alerts.silences(ACME, LoopClock().now(), expired=False) == []


async def test_silences_that_make_no_sense_or_do_not_exist_are_refused() -> None:
    async with House().running() as (alerts, _):
        assert isinstance(await alerts.put_silence(ACME, b"{}"), Malformed)
        bad = await alerts.put_silence(ACME, silence_body(endsAt="2026-01-01T00:00:00Z"))
        assert isinstance(bad, Refused)
        unknown = NotFound("silence not found")
        assert await alerts.put_silence(ACME, silence_body(id="nope")) == unknown
        assert await alerts.expire_silence(ACME, "nope") == unknown
        assert alerts.silence(ACME, "nope", LoopClock().now()) is None


async def test_a_restart_goes_on_where_it_stopped_and_tells_nothing_twice() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.post(ACME, body("a"))
        await asyncio.sleep(11)
    assert ACME in house.stored.snapshots
    async with house.running() as (alerts, _):
        await asyncio.sleep(200)
        assert house.notified() == ["a"]
        kinds = [e.entry.kind for e in house.stored.of(ACME)]
        assert kinds.count(EntryKind.CONFIG) == 1


async def test_a_crash_before_the_commit_loses_no_notification() -> None:
    house = House()
    alerts, log = house.open()
    await alerts.start(ACME, a_config())
    await alerts.post(ACME, body("a"))
    log.commit = _refuse  # type: ignore[method-assign]
    await asyncio.sleep(11)
    assert house.notified() == []
    await alerts.stop()
    assert ACME not in house.stored.snapshots
    async with house.running():
        await asyncio.sleep(1)
        assert house.notified() == ["a"]


async def test_a_crash_after_the_commit_does_not_commit_again() -> None:
    house = House()
    alerts, _ = house.open()
    await alerts.start(ACME, a_config())
    await alerts.post(ACME, body("a"))
    await asyncio.sleep(11)
    assert house.notified() == ["a"]
    async with house.running():
        await asyncio.sleep(1)
        assert house.notified() == ["a"]
    await alerts.stop()


async def test_entries_that_come_during_recovery_wait_for_its_end() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.post(ACME, body("a"))
    house.stored.snapshots.clear()
    alerts, log = house.open(SlowLog)
    starting = asyncio.ensure_future(alerts.start(ACME, a_config()))
    late = log.append(ACME, LogEntry(EntryKind.ALERTS, LoopClock().now(), body("b")))
    await asyncio.gather(starting, late)
    found = alerts.query_alerts(ACME, LoopClock().now(), ALL)
    assert {v.alert.labels.value("alertname") for v in found} == {"a", "b"}
    await alerts.stop()


async def test_a_start_that_fails_leaves_nothing_behind_and_may_be_tried_again() -> None:
    house = House()
    alerts, log = house.open()
    log.failing = True
    with pytest.raises(NotDurable):
        await alerts.start(ACME, a_config())
    assert alerts.tenants() == ()
    log.failing = False
    await alerts.start(ACME, a_config())
    await alerts.post(ACME, body("a"))
    await asyncio.sleep(11)
    assert house.notified() == ["a"]
    await alerts.stop()


async def test_a_snapshot_the_store_refuses_is_saved_later() -> None:
    house = House()
    async with house.running() as (alerts, log):
        await alerts.post(ACME, body("a"))
        await alerts.reload(ACME, a_config("2"))
        log.failing = True
        await asyncio.sleep(1)
        assert ACME not in house.stored.snapshots
        log.failing = False
        await asyncio.sleep(2)
        assert house.stored.snapshots[ACME].seq == 3


async def test_a_caller_that_gives_up_does_not_disturb_the_log() -> None:
    house = House()
    async with house.running() as (alerts, log):
        for failing in (False, True):
            log.failing = failing
            waiting = asyncio.ensure_future(alerts.post(ACME, body("a")))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0.1)
        log.failing = False
        assert len(alerts.query_alerts(ACME, LoopClock().now(), ALL)) == 1


async def test_a_reload_puts_the_new_configuration_in_force_and_saves_a_snapshot() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.post(ACME, body("a"))
        await alerts.reload(ACME, a_config("2", matcher_mode=MatcherMode.CLASSIC))
        assert alerts.config(ACME).hash == "2"
        assert alerts.matcher_mode(ACME) is MatcherMode.CLASSIC
        assert alerts.receivers(ACME) == ("team", "idle")
        await asyncio.sleep(1)
        assert house.stored.snapshots[ACME].seq == 3


async def test_a_start_delay_counts_from_every_start_but_not_from_a_reload() -> None:
    house = House()
    delayed = a_config(start_delay=timedelta(seconds=30))
    alerts, _ = house.open()
    await alerts.start(ACME, delayed)
    await alerts.post(ACME, body("a", startsAt="2025-01-01T00:00:00Z"))
    await asyncio.sleep(25)
    await alerts.reload(ACME, a_config("2", start_delay=timedelta(seconds=30)))
    assert house.notified() == []
    await asyncio.sleep(6)
    assert house.notified() == ["a"]
    await alerts.stop()
    alerts, _ = house.open()
    await alerts.start(ACME, a_config("2", start_delay=timedelta(seconds=30)))
    assert alerts.query_groups(ACME, LoopClock().now(), ALL)[0].group_key == "{}:{}"
    kinds = [e.entry.kind for e in house.stored.of(ACME)]
    assert kinds.count(EntryKind.CONFIG) == 3
    await alerts.stop()


async def test_a_snapshot_is_saved_every_so_many_entries() -> None:
    house = House(every=4)
    async with house.running() as (alerts, _):
        for name in ("a", "b", "c", "d"):
            await alerts.post(ACME, body(name))
        await asyncio.sleep(1)
        assert house.stored.snapshots[ACME].seq == 4


async def test_tenants_know_nothing_of_each_other() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.start(OTHER, a_config())
        await alerts.post(ACME, body("a"))
        assert alerts.tenants() == (ACME, OTHER)
        assert alerts.query_alerts(OTHER, LoopClock().now(), ALL) == []
        await asyncio.sleep(11)
        assert {c.tenant for c in house.stored.commits} == {ACME}


async def test_a_tenant_may_be_stopped_and_started_again() -> None:
    house = House()
    async with house.running() as (alerts, _):
        await alerts.post(ACME, body("a"))
        await alerts.stop_tenant(ACME)
        await alerts.stop_tenant(ACME)
        assert alerts.tenants() == ()
        await alerts.start(ACME, a_config())
        await asyncio.sleep(11)
        assert house.notified() == ["a"]


async def test_stop_is_idempotent_and_ends_following() -> None:
    house = House()
    alerts, log = house.open()
    await alerts.start(ACME, a_config())
    await alerts.stop()
    await alerts.stop()
    seq = alerts.status(ACME, LoopClock().now()).applied_seq
    await log.append(ACME, LogEntry(EntryKind.ALERTS, LoopClock().now(), body("late")))
    assert alerts.status(ACME, LoopClock().now()).applied_seq == seq


async def test_a_store_that_fails_at_stop_costs_only_a_replay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    alerts, log = house.open()
    await alerts.start(ACME, a_config())
    log.failing = True
    await alerts.stop()
    assert "state not saved at stop" in caplog.messages
    assert ACME not in house.stored.snapshots


async def test_a_fault_of_the_next_stage_does_not_end_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(tenant: TenantId, flushes: tuple[GroupFlush, ...]) -> Delta:
        raise ZeroDivisionError

    async with House(grouped=broken).running() as (alerts, _):
        await alerts.post(ACME, body("a"))
        await asyncio.sleep(11)
        await alerts.post(ACME, body("b"))
        assert len(alerts.query_alerts(ACME, LoopClock().now(), ALL)) == 2
    assert "entry failed" in caplog.messages


async def test_an_entry_that_cannot_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with House().running() as (_, log):
        await log.append(ACME, LogEntry(EntryKind.REPORT, T0, b"nonsense"))
    assert "entry unreadable" in caplog.messages


async def test_an_unexpected_fault_of_the_store_does_not_end_the_loops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def crash(*_: object, **__: object) -> asyncio.Future[None]:
        raise ZeroDivisionError

    house = House()
    async with house.running() as (alerts, log):
        await alerts.post(ACME, body("a"))
        real, log.commit = log.commit, crash  # type: ignore[method-assign]
        await asyncio.sleep(11)
        log.commit = real  # type: ignore[method-assign]
        await asyncio.sleep(31)
        assert house.notified() == ["a"]
    assert "stage failed" in caplog.messages


async def test_a_snapshot_of_another_version_or_kind_is_refused() -> None:
    house = House()
    async with house.running():
        pass
    good = house.stored.snapshots[ACME]
    for spoilt in (good.body.replace(b'"version":1', b'"version":9'), b"junk"):
        house.stored.snapshots[ACME] = type(good)(good.seq, spoilt)
        alerts, _ = house.open()
        with pytest.raises(InvalidInput, match="snapshot of tenant acme"):
            await alerts.start(ACME, a_config())


async def test_what_came_in_and_what_stands_is_counted() -> None:
    house = House()
    registry = CollectorRegistry()
    log = MemoryLog(house.stored)
    alerts = Alerts(
        log=log,
        snapshots=MemorySnapshots(log),
        grouped=notify,
        clock=LoopClock(),
        ids=lambda: "id-1",
        instruments=Instruments(registry),
    )
    now = LoopClock().now
    registry.register(
        StageCollector(lambda: {t: alerts.status(t, now()) for t in alerts.tenants()})
    )
    await alerts.start(ACME, a_config())
    await alerts.put_silence(ACME, silence_body())
    await alerts.post(ACME, body("a", "b"))
    await alerts.post(ACME, b'[{"labels":{}}]')
    text = generate_latest(registry).decode()
    for line in (
        'alertmanager_alerts_received_total{status="firing",tenant="acme",version="v2"} 2.0',
        'alertmanager_alerts_invalid_total{tenant="acme",version="v2"} 1.0',
        'alertmanager_alerts{state="active",tenant="acme"} 1.0',
        'alertmanager_alerts{state="suppressed",tenant="acme"} 1.0',
        'alertmanager_silences{state="active",tenant="acme"} 1.0',
        'alertmanager_dispatcher_aggregation_groups{tenant="acme"} 1.0',
        'tocsin_notifications_in_flight{tenant="acme"} 0.0',
    ):
        assert line in text
    await alerts.stop()


async def test_the_fake_log_refuses_commits_when_told_to_and_bears_callers_that_left() -> None:
    log = MemoryLog()
    log.failing = True
    with pytest.raises(NotDurable):
        await log.commit(ACME, seq=1, delta=Delta())
    log.failing = False
    log.commit(ACME, seq=1, delta=Delta()).cancel()
    await asyncio.sleep(0)
    assert log.stored.applied == {ACME: 1}


def test_deltas_join_without_what_was_replaced_among_them() -> None:
    first, second = (_notification(i) for i in ("n1", "n2"))
    old, new = _incident(alerts=1), _incident(alerts=2)
    delta = joined([Delta((first,), (), (old,)), Delta((second,), ("n1", "n0"), (new,))])
    assert delta == Delta((second,), ("n1", "n0"), (new,))


def _notification(notification: str) -> Notification:
    flush = GroupFlush(notification, "{}:{}", Labels(), "team", (), (), T0, Labels())
    return Notification(
        id=notification,
        tenant=ACME,
        receiver=flush.receiver,
        integration="webhook[0]",
        group_key=flush.group_key,
        group_labels=flush.group_labels,
        alerts=(),
        reason="test",  # type: ignore[arg-type]  # which does not matter here
        flushed_at=T0,
    )


def _incident(*, alerts: int) -> Incident:
    return Incident(
        id="i1",
        group_key="{}:{}",
        group_labels=Labels(),
        receiver="team",
        state=IncidentState.OPEN,
        severity=Severity.INFO,
        opened_at=T0,
        updated_at=T0,
        alerts=alerts,
    )
