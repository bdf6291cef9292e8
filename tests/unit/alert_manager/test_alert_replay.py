"""Replaying the log gives the same state and the same flushes, from any snapshot on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.alert_manager.apply import apply
from tocsin.alert_manager.config import (
    InhibitRuleConfig,
    Integration,
    RouteConfig,
    compile_config,
    encode_source,
)
from tocsin.alert_manager.silence import PutSilence, Silence, SilenceMatcher
from tocsin.alert_manager.state import NO_CONFIG, TenantState, merge
from tocsin.model.alert import Alert, Phase
from tocsin.model.codec import encode
from tocsin.model.events import EntryKind, GroupFlush, LogEntry, LoggedEntry
from tocsin.model.labels import Labels
from tocsin.model.notification import DeliveryReport, Final, notification_id
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantId("acme")
BOTH = (Integration("webhook[0]", send_resolved=True), Integration("email[0]", send_resolved=False))
RULE = InhibitRuleConfig(
    source_matchers=("name=a",), target_matchers=('name=~"b|c"',), equal=("zone",)
)


def a_config(version: str, *, group_by: tuple[str, ...], interval_s: int) -> bytes:
    child = RouteConfig(receiver="two", matchers=("zone=x",), proceed=True)
    config = compile_config(
        RouteConfig(
            receiver="one",
            group_by=group_by,
            group_wait=Duration(seconds=2),
            group_interval=Duration(seconds=interval_s),
            repeat_interval=Duration(seconds=20),
            routes=(child, RouteConfig(matchers=("zone=~x|y",))),
        ),
        receivers={"one": BOTH, "two": BOTH[:1]},
        hash=version,
        inhibit_rules=(RULE,),
    )
    return encode_source(config.source)


CONFIGS = (
    a_config("1", group_by=("name",), interval_s=5),
    a_config("2", group_by=(), interval_s=7),
)

seconds = st.integers(-5, 60).map(lambda s: T0 + timedelta(seconds=s))
names, zones = st.sampled_from("abc"), st.sampled_from("xyz")


@st.composite
def alert_bodies(draw: st.DrawFn) -> bytes:
    alerts = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(seconds)
        alert = {"labels": {"name": draw(names), "zone": draw(zones)}, "startsAt": start}
        if draw(st.booleans()):
            alert["endsAt"] = start + timedelta(seconds=draw(st.integers(0, 30)))
        alerts.append(alert)
    return msgspec.json.encode(alerts)


@st.composite
def silence_bodies(draw: st.DrawFn) -> bytes:
    start = draw(seconds)
    end = start + timedelta(seconds=draw(st.integers(1, 40)))
    matcher = SilenceMatcher("name", draw(st.sampled_from(["a", "a|b"])), draw(st.booleans()))
    old = draw(st.sampled_from(["", "s0", "s1"]))
    silence = Silence(old, (matcher,), start, end, start)
    return encode(PutSilence(silence, draw(st.sampled_from(["s0", "s1", "s2"]))))


# A report says which of the flights of the moment ended, and how; its body is made then.
reports = st.tuples(st.integers(0, 3), st.sampled_from(Final))
moves = st.one_of(
    st.tuples(st.just(EntryKind.ALERTS), alert_bodies()),
    st.tuples(st.just(EntryKind.SILENCE), silence_bodies()),
    st.tuples(st.just(EntryKind.EXPIRE), st.sampled_from([b"s0", b"s1"])),
    st.tuples(st.just(EntryKind.TICK), st.just(b"")),
    st.tuples(st.just(EntryKind.CONFIG), st.sampled_from(CONFIGS)),
    st.tuples(st.just(EntryKind.REPORT), reports),
)
pauses = st.integers(-3, 6)  # seconds; the clock may be set back
histories = st.lists(st.tuples(pauses, moves), min_size=1, max_size=30)


def live(history: list[tuple[int, tuple[EntryKind, object]]]) -> list[LoggedEntry]:
    """Play a history once, so that reports name notifications that are in flight."""
    state, now = TenantState(TENANT), T0
    log = [LoggedEntry(1, LogEntry(EntryKind.CONFIG, T0, CONFIGS[0]))]
    apply(state, log)
    for pause, (kind, body) in history:
        now += timedelta(seconds=pause)
        stored = _report(state, *body) if isinstance(body, tuple) else body
        assert isinstance(stored, bytes)
        logged = LoggedEntry(len(log) + 1, LogEntry(kind, now, stored))
        apply(state, [logged])
        log.append(logged)
    return log


def _report(state: TenantState, which: int, final: Final) -> bytes:
    flying = list(state.in_flight.items())
    if not flying:
        return encode(DeliveryReport("none", "{}:{}", "webhook[0]", final))
    (key, _, integration), flight = flying[which % len(flying)]
    return encode(DeliveryReport(flight.id, key, integration, final))


def play(state: TenantState, entries: list[LoggedEntry]) -> list[GroupFlush]:
    return list(apply(state, entries).flushes)


@settings(deadline=None, max_examples=60)
@given(histories, st.data())
def test_a_snapshot_and_the_tail_give_what_the_whole_log_gives(
    history: list[tuple[int, tuple[EntryKind, object]]], data: st.DataObject
) -> None:
    log = live(history)
    whole = TenantState(TENANT)
    flushes = play(whole, log)

    cut = data.draw(st.integers(0, len(log)))
    before = TenantState(TENANT)
    earlier = play(before, log[:cut])
    restored = TenantState.restore(TENANT, before.snapshot())
    later = play(restored, log[cut:])

    assert earlier + later == flushes
    assert restored.snapshot() == whole.snapshot()


@settings(deadline=None, max_examples=40)
@given(histories)
def test_invariants_hold_after_every_entry(
    history: list[tuple[int, tuple[EntryKind, object]]],
) -> None:
    state = TenantState(TENANT)
    sent: set[str] = set()
    incidents: set[str] = set()
    for logged in live(history):
        flushes = apply(state, [logged]).flushes
        _every_alert_is_in_its_groups(state)
        for flush in flushes:
            _keep_incident(incidents, flush)
            for target in flush.targets:
                sent.add(notification_id(TENANT, flush.key, target.integration))
                assert target.alerts
        assert {f.id for _, f in state.in_flight.items()} <= sent
        assert incidents <= state.groups.keys()
        due = state.next_due()
        assert due is None or due > logged.entry.at


def _keep_incident(incidents: set[str], flush: GroupFlush) -> None:
    if flush.over:
        incidents.discard(flush.group_key)
    elif any(alert.status is Phase.FIRING for alert in flush.alerts):
        incidents.add(flush.group_key)


def _every_alert_is_in_its_groups(state: TenantState) -> None:
    members = {m for g in state.groups for m in g.members}
    assert members == set(state.alerts)
    for group in state.groups:
        assert group.members
        assert all(group.route.group_labels(m) == group.labels for m in group.members)


def test_a_state_without_entries_has_nothing_to_do() -> None:
    state = TenantState(TENANT)
    assert state.next_due() is None
    assert state.config is NO_CONFIG
    assert TenantState.restore(TENANT, state.snapshot()).snapshot() == state.snapshot()


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    begin = T0 + timedelta(seconds=draw(st.integers(0, 12)))
    end = begin + timedelta(seconds=draw(st.integers(0, 12)))
    return Alert(Labels.of({"name": "a"}), begin, end, begin, timeout=draw(st.booleans()))


@given(alerts(), alerts(), seconds)
def test_a_merge_keeps_the_earliest_start_or_takes_the_new_alert_as_it_is(
    old: Alert, new: Alert, now: datetime
) -> None:
    merged = merge(old, new, now)
    if merged != new:
        assert merged.starts_at == min(old.starts_at, new.starts_at)
        assert merged.ends_at in (old.ends_at, new.ends_at)
        assert merged.ends_at >= new.ends_at
    assert replace(merged, starts_at=new.starts_at, ends_at=new.ends_at) == new
