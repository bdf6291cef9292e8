"""What every incident store promises, whatever keeps it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tocsin.correlation_engine.fakes import MemoryIncidents
from tocsin.correlation_engine.ports import IncidentStore
from tocsin.model.events import Delta
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import Labels
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import open_sqlite

pytestmark = pytest.mark.looptime(False)

A, B = TenantId("a"), TenantId("b")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
OPEN, RESOLVED = IncidentState.OPEN, IncidentState.RESOLVED

Write = Callable[[TenantId, int, Incident], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kept:
    incidents: IncidentStore
    write: Write


async def sqlite(path: Path) -> AsyncIterator[Kept]:
    stores = open_sqlite(path)

    async def write(tenant: TenantId, seq: int, incident: Incident) -> None:
        await stores.alerts.commit(tenant, seq=seq, delta=Delta(incidents=(incident,)))

    yield Kept(stores.incidents, write)
    await stores.close()


async def memory(_: Path) -> AsyncIterator[Kept]:
    incidents = MemoryIncidents()

    async def write(tenant: TenantId, _: int, incident: Incident) -> None:
        incidents.put(tenant, [incident])

    yield Kept(incidents, write)


@pytest.fixture(params=[sqlite, memory])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    async for made in request.param(tmp_path):
        yield made


def incident(name: str, *, minute: int = 0, state: IncidentState = OPEN) -> Incident:
    opened_at = T0 + timedelta(minutes=minute)
    return Incident(
        id=name,
        group_key='{}:{job="é"}',
        group_labels=Labels([("job", "é")]),
        receiver="ops",
        state=state,
        severity=Severity.CRITICAL,
        opened_at=opened_at,
        updated_at=opened_at,
        alerts=2,
        title="down",
    )


def names(incidents: list[Incident]) -> list[str]:
    return [found.id for found in incidents]


async def test_an_incident_reads_back_as_it_was(kept: Kept) -> None:
    await kept.write(A, 1, incident("i"))
    assert await kept.incidents.incident(A, "i") == incident("i")


async def test_an_unknown_incident_is_none(kept: Kept) -> None:
    assert await kept.incidents.incident(A, "i") is None


async def test_open_incidents_come_oldest_first(kept: Kept) -> None:
    for seq, minute in enumerate((5, 1, 3), start=1):
        await kept.write(A, seq, incident(f"at-{minute}", minute=minute))
    await kept.write(A, 4, incident("over", state=RESOLVED))
    assert names(await kept.incidents.open_incidents(A)) == ["at-1", "at-3", "at-5"]


async def test_incidents_come_newest_first_before_a_time_up_to_the_limit(kept: Kept) -> None:
    for minute in range(5):
        await kept.write(A, minute + 1, incident(f"at-{minute}", minute=minute))
    page = await kept.incidents.incidents(A, state=None, before=T0 + timedelta(minutes=4), limit=2)
    assert names(page) == ["at-3", "at-2"]


async def test_incidents_can_be_asked_by_state(kept: Kept) -> None:
    await kept.write(A, 1, incident("open"))
    await kept.write(A, 2, incident("over", minute=1, state=RESOLVED))
    assert names(await kept.incidents.incidents(A, state=None, before=None, limit=9)) == [
        "over",
        "open",
    ]
    for state, expected in ((OPEN, ["open"]), (RESOLVED, ["over"])):
        found = await kept.incidents.incidents(A, state=state, before=None, limit=9)
        assert names(found) == expected


async def test_an_incident_that_changed_is_kept_as_it_is_now(kept: Kept) -> None:
    await kept.write(A, 1, incident("i"))
    over = msgspec.structs.replace(
        incident("i"), state=RESOLVED, resolved_at=T0 + timedelta(hours=1), alerts=0
    )
    await kept.write(A, 2, over)
    assert await kept.incidents.incident(A, "i") == over
    assert await kept.incidents.open_incidents(A) == []


async def test_the_same_id_in_two_tenants_is_two_incidents(kept: Kept) -> None:
    await kept.write(A, 1, incident("i"))
    await kept.write(B, 2, incident("i", state=RESOLVED))
    assert names(await kept.incidents.open_incidents(A)) == ["i"]
    assert await kept.incidents.open_incidents(B) == []
    assert await kept.incidents.incident(TenantId("c"), "i") is None
    assert await kept.incidents.incidents(TenantId("c"), state=None, before=None, limit=9) == []
