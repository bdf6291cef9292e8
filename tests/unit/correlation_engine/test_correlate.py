"""An aggregation group is an incident, from its first firing flush until it is over."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from tocsin.correlation_engine.correlate import Correlator
from tocsin.correlation_engine.decide import decide, title_of, worst
from tocsin.correlation_engine.fakes import MemoryIncidents
from tocsin.model.alert import Phase
from tocsin.model.events import Delta, GroupFlush, Target
from tocsin.model.incident import Ending, Incident, IncidentState
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, NotifiedAlert, Reason
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId

ACME, OTHER = TenantId("acme"), TenantId("other")
T0 = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
MINUTE = timedelta(minutes=1)


def alert(name: str = "Load", *, severity: str = "warning", summary: str = "") -> NotifiedAlert:
    return NotifiedAlert(
        status=Phase.FIRING,
        labels=Labels.of({"alertname": name, "severity": severity}),
        annotations=Labels.of({"summary": summary}),
        starts_at=T0,
        ends_at=None,
        fingerprint="",
    )


def ended(found: NotifiedAlert) -> NotifiedAlert:
    return msgspec.structs.replace(found, status=Phase.RESOLVED, ends_at=T0)


def flush(
    minute: int,
    *alerts: NotifiedAlert,
    targets: tuple[Target, ...] = (),
    group: str = "g",
    void: tuple[str, ...] = (),
    over: Ending | None = None,
) -> GroupFlush:
    return GroupFlush(
        key=f"{group}-{minute}",
        group_key=group,
        group_labels=Labels.of({"alertname": "Load"}),
        receiver="team",
        alerts=alerts,
        targets=targets,
        at=T0 + minute * MINUTE,
        route_labels=Labels(),
        void=void,
        over=over,
    )


def end(
    minute: int, *alerts: NotifiedAlert, targets: tuple[Target, ...] = (), group: str = "g"
) -> GroupFlush:
    """Return a flush of a group in which nothing fires any more."""
    return flush(minute, *alerts, targets=targets, group=group, over=Ending.RESOLVED)


def submit(tenant: TenantId, what: GroupFlush, incident: str) -> tuple[Notification, ...]:
    """Stand in for the next stage."""
    return tuple(
        Notification(
            id=f"{what.key}/{target.integration}",
            tenant=tenant,
            receiver=what.receiver,
            integration=target.integration,
            group_key=what.group_key,
            group_labels=what.group_labels,
            alerts=target.alerts,
            reason=target.reason,
            flushed_at=what.at,
            incident=incident,
        )
        for target in what.targets
    )


@pytest.fixture
def store() -> MemoryIncidents:
    return MemoryIncidents()


@pytest.fixture
def correlator(store: MemoryIncidents) -> Correlator:
    return Correlator(store, submit)


def only(delta: Delta) -> Incident:
    (incident,) = delta.incidents
    return incident


def test_the_first_firing_flush_opens_an_incident(correlator: Correlator) -> None:
    opened = only(correlator.receive(ACME, (flush(0, alert(severity="critical")),)))
    assert opened.state is IncidentState.OPEN
    assert (opened.opened_at, opened.updated_at, opened.resolved_at) == (T0, T0, None)
    assert (opened.severity, opened.alerts, opened.title) == (Severity.CRITICAL, 1, "Load")
    assert (opened.receiver, opened.group_key) == ("team", "g")
    assert correlator.open_incidents(ACME) == (opened,)


def test_nothing_firing_opens_nothing(correlator: Correlator) -> None:
    assert not correlator.receive(ACME, (flush(0), end(1, ended(alert()))))
    assert correlator.open_incidents(ACME) == ()


def test_an_unchanged_group_changes_nothing(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert()),))
    assert not correlator.receive(ACME, (flush(5, alert()),))


def test_the_count_follows_and_the_severity_never_falls(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert(severity="info")),))
    grown = only(correlator.receive(ACME, (flush(1, alert(), alert("B", severity="page")),)))
    assert (grown.alerts, grown.severity, grown.updated_at) == (2, Severity.CRITICAL, T0 + MINUTE)
    shrunk = only(correlator.receive(ACME, (flush(2, alert(), ended(alert("B"))),)))
    assert (shrunk.alerts, shrunk.severity) == (1, Severity.CRITICAL)


def test_it_resolves_when_all_alerts_have(correlator: Correlator) -> None:
    opened = only(correlator.receive(ACME, (flush(0, alert()),)))
    resolved = only(correlator.receive(ACME, (end(7, ended(alert())),)))
    assert resolved.id == opened.id
    assert resolved.state is IncidentState.RESOLVED
    assert (resolved.resolved_at, resolved.alerts) == (T0 + 7 * MINUTE, 0)
    assert (opened.ending, resolved.ending) == (None, Ending.RESOLVED)
    assert correlator.open_incidents(ACME) == ()


def test_firing_again_is_another_incident(correlator: Correlator) -> None:
    first = only(correlator.receive(ACME, (flush(0, alert()), end(1, ended(alert())))))
    second = only(correlator.receive(ACME, (flush(2, alert()),)))
    assert first.state is IncidentState.RESOLVED
    assert first.id != second.id


def test_a_group_that_is_silenced_altogether_stays_open(correlator: Correlator) -> None:
    opened = only(correlator.receive(ACME, (flush(0, alert(summary="full disk")),)))
    hushed = only(correlator.receive(ACME, (flush(1),)))
    assert (hushed.state, hushed.alerts, hushed.title) == (IncidentState.OPEN, 0, "full disk")
    assert hushed.id == opened.id


def test_it_stays_open_while_an_alert_fires_that_is_suppressed(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert("A"), alert("B")),))
    heard = only(correlator.receive(ACME, (flush(1, ended(alert("A"))),)))
    assert (heard.state, heard.alerts) == (IncidentState.OPEN, 0)


def test_it_resolves_in_silence(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert()), flush(1)))
    resolved = only(correlator.receive(ACME, (end(2),)))
    assert (resolved.state, resolved.ending) == (IncidentState.RESOLVED, Ending.RESOLVED)


def test_a_group_that_a_reload_did_away_with_ends_its_incident(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert()), flush(0, alert(), group="h")))
    gone = only(correlator.receive(ACME, (flush(3, over=Ending.REGROUPED),)))
    assert (gone.group_key, gone.resolved_at) == ("g", T0 + 3 * MINUTE)
    assert gone.ending is Ending.REGROUPED
    assert [i.group_key for i in correlator.open_incidents(ACME)] == ["h"]


def test_notifications_carry_their_incident(correlator: Correlator) -> None:
    tell = (Target("webhook[0]", (alert(),), Reason.FIRST),)
    over = (Target("webhook[0]", (ended(alert()),), Reason.ALL_RESOLVED),)
    first = correlator.receive(ACME, (flush(0, alert(), targets=tell),))
    last = correlator.receive(ACME, (end(1, ended(alert()), targets=over),))
    after = correlator.receive(ACME, (end(2, ended(alert()), targets=over),))
    ids = [n.incident for delta in (first, last, after) for n in delta.notifications]
    assert ids == [only(first).id, only(first).id, ""]


def test_what_is_replaced_or_void_is_told(correlator: Correlator) -> None:
    again = (
        Target("a", (alert(),), Reason.NEW_ALERTS, replaces="old"),
        Target("b", (alert(),), Reason.FIRST),
    )
    delta = correlator.receive(ACME, (flush(0, alert(), targets=again, void=("hushed",)),))
    assert delta.replaced == ("old", "hushed")


def test_groups_and_tenants_are_apart(correlator: Correlator) -> None:
    mine = correlator.receive(ACME, (flush(0, alert()), flush(0, alert(), group="h")))
    theirs = correlator.receive(OTHER, (flush(0, alert()),))
    assert len({i.id for i in (*mine.incidents, *theirs.incidents)}) == 3


async def test_open_incidents_survive_a_restart(store: MemoryIncidents) -> None:
    before = Correlator(store, submit)
    opened = only(before.receive(ACME, (flush(0, alert()),)))
    store.put(ACME, [opened])
    after = Correlator(store, submit)
    await after.start(ACME)
    assert only(after.receive(ACME, (end(1, ended(alert())),))).id == opened.id


async def test_a_replay_of_what_was_not_committed_gives_the_same(store: MemoryIncidents) -> None:
    history = (flush(0, alert()), end(1, ended(alert())), flush(2, alert()))
    live = Correlator(store, submit)
    store.put(ACME, live.receive(ACME, history[:1]).incidents)
    told = [live.receive(ACME, (one,)) for one in history[1:]]
    replayed = Correlator(store, submit)
    await replayed.start(ACME)
    assert [replayed.receive(ACME, (one,)) for one in history[1:]] == told
    assert replayed.open_incidents(ACME) == live.open_incidents(ACME)


async def test_a_stopped_tenant_is_forgotten(correlator: Correlator) -> None:
    correlator.receive(ACME, (flush(0, alert()),))
    correlator.stop(ACME)
    correlator.stop(ACME)
    assert correlator.open_incidents(ACME) == ()


def test_a_clock_set_back_ends_an_incident_nonetheless() -> None:
    opened = decide(ACME, None, flush(5, alert()))
    assert opened
    resolved = decide(ACME, opened, end(1, ended(alert())))
    assert resolved
    assert (resolved.state, resolved.resolved_at) == (IncidentState.RESOLVED, opened.opened_at)


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ((alert("A", summary="disk full"), alert("B", summary="disk full")), "disk full"),
        ((alert("A", summary="one"), alert("B", summary="two")), "A, B (2 alerts)"),
        ((alert("A"), alert("A")), "A (2 alerts)"),
        ((alert("", severity=""),), "alert"),
        ((alert("A", summary="x" * 300),), "x" * 199 + "…"),
    ],
)
def test_the_title_says_what_a_person_reads_first(
    alerts: tuple[NotifiedAlert, ...], title: str
) -> None:
    assert title_of(alerts) == title


def test_the_worst_severity_counts() -> None:
    assert worst([Severity.INFO, Severity.CRITICAL, Severity.WARNING]) is Severity.CRITICAL
    assert worst([]) is Severity.INFO
