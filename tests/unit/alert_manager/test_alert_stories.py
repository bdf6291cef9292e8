"""What receivers hear of, told in virtual time against the pure engine.

Times are seconds after T0. A flush happens when it is due; a notification arrives at once
unless the story says that an integration is down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tocsin.alert_manager.apply import apply
from tocsin.alert_manager.config import (
    EngineConfig,
    InhibitRuleConfig,
    Integration,
    RouteConfig,
    TimeIntervalConfig,
    compile_config,
    encode_source,
)
from tocsin.alert_manager.silence import PutSilence, Silence, SilenceMatcher
from tocsin.alert_manager.state import TenantState
from tocsin.model.codec import encode
from tocsin.model.events import EntryKind, GroupFlush, LogEntry, LoggedEntry, Target
from tocsin.model.incident import Ending
from tocsin.model.notification import DeliveryReport, Final, Reason, notification_id
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantId("acme")
TEAM = {"team": (Integration("webhook[0]", send_resolved=True),)}


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def config(
    route: Mapping[str, Any],
    *,
    receivers: Mapping[str, tuple[Integration, ...]] = TEAM,
    inhibit_rules: Sequence[Mapping[str, Any] | None] = (),
    time_intervals: Sequence[Mapping[str, Any]] = (),
    resolve_timeout_s: float = 300,
    start_delay_s: float = 0,
    version: str = "1",
) -> EngineConfig:
    rules = tuple(
        None if r is None else msgspec.convert(r, InhibitRuleConfig, dec_hook=from_scalar)
        for r in inhibit_rules
    )
    return compile_config(
        msgspec.convert({"receiver": "team", **route}, RouteConfig, dec_hook=from_scalar),
        receivers=receivers,
        hash=version,
        inhibit_rules=rules,
        time_intervals=msgspec.convert(list(time_intervals), tuple[TimeIntervalConfig, ...]),
        resolve_timeout=timedelta(seconds=resolve_timeout_s),
        start_delay=timedelta(seconds=start_delay_s),
    )


@dataclass
class Heard:
    """One notification as its integration got it."""

    at: float
    integration: str
    alerts: dict[str, float | None]
    target: Target
    flush: GroupFlush

    def __str__(self) -> str:
        names = (n if end is None else f"{n}!" for n, end in self.alerts.items())
        return f"{self.at:g} {' '.join(names)}"


@dataclass
class Story:
    """Drives one tenant: entries at given times, ticks when they are due, reports."""

    config: EngineConfig
    down: set[str] = field(default_factory=set)
    heard: list[Heard] = field(default_factory=list)
    waiting: list[tuple[str, DeliveryReport]] = field(default_factory=list)
    flushes: list[GroupFlush] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = TenantState(TENANT)
        self.seq = 0
        self.now = 0.0
        self.log(EntryKind.CONFIG, encode_source(self.config.source))

    def log(self, kind: EntryKind, body: bytes = b"") -> None:
        """Apply one entry now; what it notifies arrives right after."""
        self.seq += 1
        entry = LogEntry(kind, at(self.now), body)
        changes = apply(self.state, [LoggedEntry(self.seq, entry)])
        assert not changes.skipped
        self.flushes += changes.flushes
        for flush in changes.flushes:
            for target in flush.targets:
                self._send(flush, target)

    def until(self, seconds: float) -> None:
        """Let time pass, with a tick whenever one is due."""
        while (due := self.state.next_due()) is not None and due <= at(seconds):
            self.now = max(self.now, (due - T0).total_seconds())
            self.log(EntryKind.TICK)
        self.now = seconds

    def ends(self) -> list[tuple[float, Ending]]:
        """Return when a group was over, and why."""
        return [((f.at - T0).total_seconds(), f.over) for f in self.flushes if f.over]

    def push(self, seconds: float, *alerts: Mapping[str, Any]) -> None:
        """Post alerts: labels under their names, `start` and `end` in seconds, `note`."""
        self.until(seconds)
        self.log(EntryKind.ALERTS, msgspec.json.encode([_wire(a) for a in alerts]))

    def silence(self, seconds: float, name: str, start: float, end: float) -> None:
        self.until(seconds)
        matcher = SilenceMatcher("alertname", name, is_regex=False)
        silence = Silence("", (matcher,), at(start), at(end), at(seconds))
        self.log(EntryKind.SILENCE, encode(PutSilence(silence, f"silence-{self.seq}")))

    def reload(self, seconds: float, new: EngineConfig) -> None:
        self.until(seconds)
        self.log(EntryKind.CONFIG, encode_source(new.source))

    def recover(self, seconds: float, integration: str, final: Final = Final.DELIVERED) -> None:
        """End everything that waits for an integration that was down."""
        self.until(seconds)
        self.down.discard(integration)
        waiting, self.waiting = self.waiting, []
        for name, report in waiting:
            if name == integration:
                self.log(EntryKind.REPORT, encode(msgspec.structs.replace(report, final=final)))
            else:
                self.waiting.append((name, report))

    def told(self, integration: str = "webhook[0]") -> list[str]:
        return [str(h) for h in self.heard if h.integration == integration]

    def _send(self, flush: GroupFlush, target: Target) -> None:
        report = DeliveryReport(
            notification=notification_id(TENANT, flush.key, target.integration),
            group_key=flush.group_key,
            integration=target.integration,
            final=Final.DELIVERED,
        )
        alerts = {a.labels.value("alertname"): _seconds(a.ends_at) for a in target.alerts}
        self.heard.append(Heard(self.now, target.integration, alerts, target, flush))
        if target.integration in self.down:
            self.waiting.append((target.integration, report))
        else:
            self.log(EntryKind.REPORT, encode(report))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - T0).total_seconds()


def _wire(alert: Mapping[str, Any]) -> dict[str, Any]:
    special = ("start", "end", "note")
    out: dict[str, Any] = {"labels": {k: v for k, v in alert.items() if k not in special}}
    if "start" in alert:
        out["startsAt"] = at(alert["start"])
    if "end" in alert:
        out["endsAt"] = at(alert["end"])
    if "note" in alert:
        out["annotations"] = {"n": alert["note"]}
    return out


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"alertname": name, **more}


EVERY_SECOND = {"group_wait": "1s", "group_interval": "1s"}


def test_alerts_of_a_group_arrive_together_and_again_after_the_repeat_interval() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "4900ms"}))
    story.push(1.1, named("a", start=1))
    story.push(1.7, named("e", start=1))
    story.push(3.3, named("b", start=1.5), named("c", start=1.5), named("d", start=1.6))
    story.until(9.6)
    assert story.told() == ["2.1 a e", "4.1 a b c d e", "9.1 a b c d e"]
    assert [h.target.reason for h in story.heard] == [
        Reason.FIRST,
        Reason.NEW_ALERTS,
        Reason.REPEAT,
    ]


def test_a_repeat_interval_of_n_group_intervals_repeats_at_the_next_flush_after_it() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "2s"}))
    story.push(0, named("a", start=0))
    story.until(5)
    assert story.told() == ["1 a", "4 a"]


def test_a_resolved_alert_is_told_once_and_leaves() -> None:
    story = Story(config({"group_by": ["alertname"], **EVERY_SECOND, "repeat_interval": "1ms"}))
    story.push(1, named("disk", start=1))
    story.push(3.5, named("disk", start=1, end=3))
    story.until(10)
    assert story.told() == ["2 disk", "3 disk", "4 disk!"]
    assert story.heard[-1].alerts == {"disk": 3}
    assert not story.state.alerts
    assert not len(story.state.groups)
    assert story.state.next_due() is None


def test_alerts_without_an_end_resolve_by_timeout() -> None:
    route = {"group_by": ["alertname"], "group_wait": "1s", "group_interval": "5s"}
    story = Story(config(route, resolve_timeout_s=10))
    story.push(1, named("cpu", zone="x"), named("cpu", zone="y"))
    story.until(30)
    assert story.told() == ["2 cpu", "12 cpu!"]
    resolved = story.heard[-1].target.alerts
    assert [a.labels.value("zone") for a in resolved] == ["x", "y"]
    assert {a.ends_at for a in resolved} == {at(11)}


def test_overlapping_alerts_merge_and_others_replace() -> None:
    story = Story(config({"group_by": ["alertname"], **EVERY_SECOND, "repeat_interval": "1ms"}))
    for push in (
        (1, named("m", start=1.1)),
        (1.2, named("m", start=1)),
        (2.1, named("m", start=2, note="v1")),
        (3.6, named("m", start=1.5, note="v2")),
        (4.6, named("m", start=3, end=4.5, note="v2")),
        (4.8, named("m", start=2.9, end=4.8, note="v3")),
        (4.81, named("m", start=2.9, end=4.1, note="v3")),
        (5.3, named("m", start=5)),
    ):
        story.push(*push)
    story.until(6.4)
    assert story.told() == ["2 m", "3 m", "4 m", "5 m!", "6.3 m"]
    assert [h.target.alerts[0].annotations.value("n") for h in story.heard] == [
        *("", "v1", "v2", "v3", "")
    ]
    assert [h.target.alerts[0].starts_at for h in story.heard] == [at(1)] * 4 + [at(5)]
    assert story.heard[3].alerts == {"m": 4.8}


def test_a_firing_source_inhibits_its_target_until_it_resolves() -> None:
    rule = {
        "source_match": {"alertname": "JobDown"},
        "target_match": {"alertname": "InstanceDown"},
        "equal": ["job", "zone"],
    }
    route = {**EVERY_SECOND, "repeat_interval": "1s"}
    story = Story(config(route, inhibit_rules=[None, rule]))
    here, there = {"job": "api", "zone": "aa"}, {"job": "api", "zone": "ab"}
    instances = named("InstanceDown", **here), named("InstanceDown", **there)
    story.push(1, named("other", **here), *instances)
    story.push(2.2, named("JobDown", **here))
    story.push(3.6, named("JobDown", **here, start=2.2, end=3.6))
    story.until(4.1)
    zones = [
        sorted(f"{a.labels.value('alertname')}/{a.labels.value('zone')}" for a in h.target.alerts)
        for h in story.heard
    ]
    assert [h.at for h in story.heard] == [2, 3, 4]
    assert zones == [
        ["InstanceDown/aa", "InstanceDown/ab", "other/aa"],
        ["InstanceDown/ab", "JobDown/aa", "other/aa"],
        ["InstanceDown/aa", "InstanceDown/ab", "JobDown/aa", "other/aa"],
    ]


def test_a_silence_hushes_its_alerts_while_it_is_active() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "1ms"}))
    story.push(1, named("s1", start=1), named("s2", start=1))
    story.silence(2.3, "s1", 2.5, 4.5)
    story.until(5.4)
    assert story.told() == ["2 s1 s2", "3 s2", "4 s2", "5 s1 s2"]


def test_a_group_that_is_silenced_altogether_says_nothing_not_even_that_it_is_over() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.silence(2.5, "a", 2.5, 60)
    story.push(3.5, named("a", start=1, end=3.5))
    story.until(10)
    assert story.told() == ["2 a"]
    assert not story.state.alerts


def test_a_reload_restarts_timers_but_does_not_repeat_what_was_told() -> None:
    plain = {"group_wait": "1s", "group_interval": "6s", "repeat_interval": "10m"}
    story = Story(config(plain))
    story.push(1, named("one"))
    story.reload(3, config(plain, version="2"))
    story.push(4, named("two"))
    story.until(14)
    assert story.told() == ["2 one", "9 one two"]


def test_a_reload_that_changes_the_receiver_tells_the_new_one() -> None:
    both = {**TEAM, "other": TEAM["team"]}
    story = Story(config(EVERY_SECOND, receivers=both))
    story.push(1, named("one"))
    story.reload(3, config({**EVERY_SECOND, "receiver": "other"}, receivers=both, version="2"))
    story.until(5)
    assert [(h.at, h.flush.receiver) for h in story.heard] == [(2, "team"), (3, "other")]


def test_a_new_group_with_an_old_alert_is_flushed_at_once() -> None:
    story = Story(config({"group_wait": "10s", "group_interval": "5s"}))
    story.push(60, named("old", start=49.9))
    assert story.told() == ["60 old"]


def test_an_alert_exactly_as_old_as_group_wait_waits() -> None:
    story = Story(config({"group_wait": "10s", "group_interval": "5s"}))
    story.push(60, named("new", start=50))
    story.until(100)
    assert story.told() == ["70 new"]


def test_an_old_alert_does_not_hurry_a_group_that_exists() -> None:
    story = Story(config({"group_wait": "10s", "group_interval": "5s"}))
    story.push(60, named("new", start=60))
    story.push(61, named("old", start=1))
    story.until(71)
    assert story.told() == ["70 new old"]


def test_a_start_delay_holds_back_the_first_flush() -> None:
    story = Story(config({"group_wait": "1s"}, start_delay_s=5))
    story.push(0.5, named("old", start=-60))
    story.push(4.5, named("young", b="1"))
    story.until(20)
    assert story.told() == ["5 old young"]


def test_missed_flushes_are_skipped_and_the_lattice_is_kept() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "1ms"}))
    story.push(0, named("a", start=0))
    story.until(1)
    story.now = 4.25
    story.log(EntryKind.TICK)
    story.until(6)
    assert story.told() == ["1 a", "4.25 a", "5 a", "6 a"]


def test_a_clock_that_is_set_back_takes_the_timers_with_it() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "1h"}))
    story.push(3600, named("a", start=3600))
    story.until(3601.5)
    story.now = 100
    story.log(EntryKind.ALERTS, msgspec.json.encode([{"labels": named("b"), "endsAt": at(9000)}]))
    story.until(103)
    assert story.told() == ["3601 a", "101 a b"]


def test_a_clock_that_steps_back_a_little_changes_no_timer() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(10, named("a"))
    story.now = 9.5
    story.log(EntryKind.TICK)
    assert story.state.next_due() == at(11)


def test_sibling_routes_with_one_key_share_the_notification_log() -> None:
    same = {"matchers": ["x=y"], "continue": True}
    story = Story(config({**EVERY_SECOND, "routes": [same, same]}))
    story.push(1, named("a", x="y", start=1))
    assert len(story.state.groups) == 2
    story.push(3.5, named("a", x="y", start=1, end=3.5))
    story.until(8)
    assert story.told() == ["2 a", "4 a!"]
    assert not story.state.alerts


def test_a_failing_sibling_never_makes_the_other_integration_say_it_again() -> None:
    two = (Integration("webhook[0]", send_resolved=True), Integration("slack[0]", True))
    story = Story(config(EVERY_SECOND, receivers={"team": two}), down={"slack[0]"})
    story.push(1, named("a", start=1))
    story.until(10)
    assert story.told() == ["2 a"]
    assert story.told("slack[0]") == ["2 a"]


def test_resolved_alerts_stay_until_every_integration_has_the_news() -> None:
    two = (Integration("webhook[0]", send_resolved=True), Integration("slack[0]", True))
    story = Story(config(EVERY_SECOND, receivers={"team": two}))
    story.push(1, named("a", start=1))
    story.until(2)
    story.down.add("slack[0]")
    story.push(2.5, named("a", start=1, end=2.5))
    story.until(8)
    assert story.told() == ["2 a", "3 a!"]
    assert story.told("slack[0]") == ["2 a", "3 a!"]
    assert list(story.state.alerts)
    story.recover(8.5, "slack[0]")
    assert not story.state.alerts


def test_an_alert_that_fires_again_while_its_end_is_being_told_stays() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.until(2)
    story.down.add("webhook[0]")
    story.push(2.5, named("a", start=1, end=2.5))
    story.push(3.2, named("a", start=3.2))
    story.recover(3.4, "webhook[0]")
    story.until(4)
    assert story.told() == ["2 a", "3 a!", "4 a"]
    assert list(story.state.alerts)


def test_a_notification_that_is_being_retried_is_left_alone_while_nothing_changes() -> None:
    story = Story(config({**EVERY_SECOND, "repeat_interval": "1ms"}), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.until(6)
    assert story.told() == ["2 a"]


def test_a_notification_that_is_out_of_date_is_replaced() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.push(2.5, named("b", start=2.5))
    story.until(3)
    first, second = story.heard
    assert str(second) == "3 a b"
    assert second.target.replaces == notification_id(TENANT, first.flush.key, "webhook[0]")
    story.recover(3.5, "webhook[0]")
    story.until(8)
    assert story.told() == ["2 a", "3 a b"]


def test_the_report_of_a_replaced_notification_changes_nothing() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.until(2)
    stale = story.waiting[0][1]
    story.push(2.5, named("b", start=2.5))
    story.until(3)
    story.log(EntryKind.REPORT, encode(stale))
    assert not story.state.log
    assert len(story.state.in_flight) == 1


def test_a_rejected_notification_is_tried_again_at_the_next_flush() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.recover(2.5, "webhook[0]", Final.REJECTED)
    story.until(4)
    assert story.told() == ["2 a", "3 a"]


def test_a_dead_end_of_the_news_of_a_resolution_keeps_the_alert_for_the_next_flush() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.until(2)
    story.down.add("webhook[0]")
    story.push(2.5, named("a", start=1, end=2.5))
    story.recover(3.5, "webhook[0]", Final.DEAD)
    assert list(story.state.alerts)
    story.until(6)
    assert story.told() == ["2 a", "3 a!", "4 a!"]
    assert not story.state.alerts


def test_a_superseded_report_is_ignored() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.recover(2.5, "webhook[0]", Final.SUPERSEDED)
    assert len(story.state.in_flight) == 1


def test_an_alert_that_ended_before_anybody_was_told_is_told_once_the_receiver_is_back() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.push(2.5, named("a", start=1, end=2.5))
    story.until(5)
    story.recover(5.5, "webhook[0]")
    story.until(8)
    assert story.told() == ["2 a", "6 a!"]
    assert not story.state.alerts


def test_a_silence_makes_a_waiting_notification_void() -> None:
    story = Story(config(EVERY_SECOND), down={"webhook[0]"})
    story.push(1, named("a", start=1))
    story.silence(2.5, "a", 2.5, 60)
    story.until(3)
    sent = notification_id(TENANT, story.heard[0].flush.key, "webhook[0]")
    assert story.flushes[-1].void == (sent,)
    assert not len(story.state.in_flight)


def test_without_send_resolved_only_firing_alerts_are_sent_and_the_end_clears_the_log() -> None:
    mute = {"team": (Integration("webhook[0]", send_resolved=False),)}
    story = Story(config(EVERY_SECOND, receivers=mute))
    story.push(1, named("a", start=1), named("b", start=1))
    story.push(2.5, named("a", start=1, end=2.5))
    story.push(4.5, named("b", start=1, end=4.5))
    story.push(6.5, named("b", start=6.5))
    story.until(9)
    assert story.told() == ["2 a b", "7.5 b"]
    assert story.heard[-1].target.reason is Reason.FIRST


def test_a_receiver_without_integrations_keeps_nothing_back() -> None:
    story = Story(config(EVERY_SECOND, receivers={"team": ()}))
    story.push(1, named("a", start=1))
    story.push(2.5, named("a", start=1, end=2.5))
    story.until(4)
    assert not story.state.alerts
    assert story.flushes[0].targets == ()
    assert story.flushes[0].alerts


def test_a_group_muted_by_a_time_interval_is_quiet_and_its_timer_runs_on() -> None:
    night = {"name": "night", "time_intervals": [{"times": [_minutes(0, 1)]}]}
    child = {"matchers": ["quiet=yes"], "mute_time_intervals": ["night"]}
    story = Story(config({**EVERY_SECOND, "routes": [child]}, time_intervals=[night]))
    story.push(57.5, named("a", quiet="yes"), named("b"))
    story.until(62)
    assert story.told() == ["58.5 b", "60.5 a"]


def test_a_route_is_quiet_outside_its_active_time_intervals() -> None:
    day = {"name": "day", "time_intervals": [{"times": [_minutes(1, 5)]}]}
    child = {"matchers": ["quiet=yes"], "active_time_intervals": ["day"]}
    story = Story(config({**EVERY_SECOND, "routes": [child]}, time_intervals=[day]))
    story.push(57.5, named("a", quiet="yes"))
    story.until(62)
    assert story.told() == ["60.5 a"]


def test_a_group_whose_alerts_end_in_silence_is_over() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.silence(2.5, "a", 2.5, 60)
    story.push(4.5, named("a", start=1, end=4.5))
    story.until(8)
    assert story.ends() == [(5, Ending.RESOLVED)]
    assert not story.state.alerts


def test_a_group_in_which_a_silenced_alert_fires_is_not_over() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1), named("b", start=1))
    story.silence(2.5, "b", 2.5, 60)
    story.push(3.5, named("a", start=1, end=3.5))
    story.until(8)
    assert story.told() == ["2 a b", "4 a!"]
    assert story.ends() == []


def test_an_idle_group_says_nothing() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.until(60)
    assert len(story.flushes) == 1
    story.silence(60.5, "a", 60.5, 70.5)
    story.until(80)
    assert [len(flush.alerts) for flush in story.flushes] == [1, 0, 1]


def test_a_reload_ends_the_groups_it_makes_no_more_and_keeps_the_others() -> None:
    by_name = {**EVERY_SECOND, "group_by": ["alertname"]}
    story = Story(config(by_name))
    story.push(1, named("a"), named("b"))
    story.until(2)
    story.reload(3.5, config({**by_name, "repeat_interval": "2h"}, version="2"))
    assert story.ends() == []
    story.reload(5.5, config(EVERY_SECOND, version="3"))
    assert story.ends() == [(5.5, Ending.REGROUPED)] * 2
    assert {f.group_key for f in story.flushes if f.over} == {
        '{}:{alertname="a"}',
        '{}:{alertname="b"}',
    }


def test_an_end_during_a_reload_is_told_even_when_nobody_may_hear_of_it() -> None:
    story = Story(config(EVERY_SECOND))
    story.push(1, named("a", start=1))
    story.silence(2.5, "a", 2.5, 60)
    story.push(3.2, named("a", start=1, end=3.2))
    story.reload(3.5, config({**EVERY_SECOND, "repeat_interval": "2h"}, version="2"))
    story.until(8)
    assert [ending for _, ending in story.ends()] == [Ending.RESOLVED]


def _minutes(start: int, end: int) -> dict[str, str]:
    return {"start_time": f"00:0{start}", "end_time": f"00:0{end}"}


def test_a_flush_carries_the_key_the_receiver_and_the_labels_of_its_route() -> None:
    child = {"match_re": {"team": "db|storage"}, "group_by": ["alertname"], "labels": {"x": 1}}
    story = Story(config({**EVERY_SECOND, "labels": {"y": True}, "routes": [child]}))
    story.push(1, named("CPUHigh", team="db"))
    story.until(2)
    flush = story.flushes[0]
    assert flush.group_key == '{}/{team=~"db|storage"}:{alertname="CPUHigh"}'
    assert (flush.receiver, flush.at) == ("team", at(2))
    assert dict(flush.group_labels) == {"alertname": "CPUHigh"}
    assert dict(flush.route_labels) == {"x": "1", "y": "true"}


def test_records_of_groups_that_are_gone_are_forgotten_after_five_days() -> None:
    one = {"group_wait": "1s", "group_interval": "1d", "repeat_interval": "1h"}
    story = Story(config(one), down={"webhook[0]"})
    story.push(0, named("a"))
    story.recover(2, "webhook[0]")
    story.down.add("webhook[0]")
    story.push(3, named("b"))
    story.until(86_402)
    story.reload(86_403, config({"group_by": ["alertname"]}, version="2"))
    assert len(story.state.in_flight) == len(story.state.log) == 1
    story.push(5 * 86_400, named("c"))
    assert set(_old_keys(story)) == {"log", "in flight"}
    story.push(6 * 86_400 + 1800, named("d"))
    assert set(_old_keys(story)) == set()


def _old_keys(story: Story) -> Iterator[str]:
    if any(key == "{}:{}" for key, _, _ in story.state.log):
        yield "log"
    if any(key[0] == "{}:{}" for key, _ in story.state.in_flight.items()):
        yield "in flight"


def test_what_is_in_flight_for_a_living_group_is_never_forgotten() -> None:
    route = {"group_wait": "1s", "group_interval": "1d", "repeat_interval": "1h"}
    story = Story(config(route, resolve_timeout_s=30 * 86_400), down={"webhook[0]"})
    story.push(0, named("a"))
    story.until(20 * 86_400)
    assert story.told() == ["1 a"]
    assert len(story.state.in_flight) == 1


def test_an_unreadable_entry_is_reported_and_skipped() -> None:
    state = TenantState(TENANT)
    entries = [
        LoggedEntry(1, LogEntry(EntryKind.ALERTS, at(0), b"{")),
        LoggedEntry(2, LogEntry(EntryKind.CONFIG, at(0), b"{")),
        LoggedEntry(3, LogEntry(EntryKind.ALERTS, at(0), b'[{"labels":{"a":"b"}}]')),
    ]
    changes = apply(state, entries)
    assert len(changes.skipped) == 2
    assert changes.skipped[0].startswith("entry 1 (alerts): ")
    assert len(state.alerts) == 1
