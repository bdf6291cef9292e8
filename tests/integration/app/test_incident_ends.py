"""Alerts and incidents together: no incident outlives its group, also over a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tocsin.alert_manager.apply import apply
from tocsin.alert_manager.config import Integration, RouteConfig, compile_config, encode_source
from tocsin.alert_manager.silence import PutSilence, Silence, SilenceMatcher
from tocsin.alert_manager.state import TenantState
from tocsin.correlation_engine.correlate import Correlator
from tocsin.correlation_engine.fakes import MemoryIncidents
from tocsin.model.codec import encode
from tocsin.model.events import EntryKind, LogEntry, LoggedEntry
from tocsin.model.incident import Ending, Incident, IncidentState
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.submit import submit

ACME = TenantId("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def config(version: str, *group_by: str) -> bytes:
    route = RouteConfig(
        receiver="team",
        group_by=group_by,
        group_wait=Duration(seconds=1),
        group_interval=Duration(seconds=5),
    )
    told = {"team": (Integration("webhook[0]", send_resolved=True),)}
    return encode_source(compile_config(route, receivers=told, hash=version).source)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


class Stage:
    """Applies entries and keeps the incidents; `restart` forgets all but what is stored."""

    def __init__(self) -> None:
        self.state, self.incidents, self.seq = TenantState(ACME), MemoryIncidents(), 0
        self.correlator = Correlator(self.incidents, submit)
        self.log(0, EntryKind.CONFIG, config("1", "alertname"))

    def log(self, seconds: float, kind: EntryKind = EntryKind.TICK, body: bytes = b"") -> None:
        self.seq += 1
        entries = [LoggedEntry(self.seq, LogEntry(kind, at(seconds), body))]
        delta = self.correlator.receive(ACME, apply(self.state, entries).flushes)
        self.incidents.put(ACME, delta.incidents)

    def alert(self, seconds: float, *, ends: float | None = None) -> None:
        alert = {"labels": {"alertname": "a", "zone": "x"}, "startsAt": at(0)}
        end = {} if ends is None else {"endsAt": at(ends)}
        self.log(seconds, EntryKind.ALERTS, msgspec.json.encode([alert | end]))

    def silence(self, seconds: float) -> None:
        matcher = SilenceMatcher("alertname", "a", is_regex=False)
        silence = Silence("", (matcher,), at(seconds), at(3600), at(seconds))
        self.log(seconds, EntryKind.SILENCE, encode(PutSilence(silence, "s")))

    async def restart(self) -> None:
        self.state = TenantState.restore(ACME, self.state.snapshot())
        self.correlator = Correlator(self.incidents, submit)
        await self.correlator.start(ACME)

    async def all(self) -> list[Incident]:
        return await self.incidents.incidents(ACME, state=None, before=None, limit=9)


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_incident_ends_when_its_alerts_end_in_silence(*, restarts: bool) -> None:
    stage = Stage()
    stage.alert(1)
    stage.log(2)
    stage.silence(3)
    stage.log(7)
    (hushed,) = await stage.all()
    assert (hushed.state, hushed.alerts) == (IncidentState.OPEN, 0)
    if restarts:
        await stage.restart()
    stage.alert(8, ends=8)
    stage.log(12)
    (ended,) = await stage.all()
    assert (ended.id, ended.state, ended.ending) == (
        hushed.id,
        IncidentState.RESOLVED,
        Ending.RESOLVED,
    )
    assert not stage.state.alerts


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_incident_of_a_group_that_is_no_more_gives_way_to_another(
    *, restarts: bool
) -> None:
    stage = Stage()
    stage.alert(1)
    stage.log(2)
    if restarts:
        await stage.restart()
    stage.log(3, EntryKind.CONFIG, config("2", "zone"))
    stage.log(4)
    new, old = await stage.all()
    assert (old.state, old.ending, old.resolved_at) == (
        IncidentState.RESOLVED,
        Ending.REGROUPED,
        at(3),
    )
    assert (new.state, new.alerts) == (IncidentState.OPEN, 1)
    assert dict(new.group_labels) == {"zone": "x"}
