"""Our own REST API: pages of deliveries and incidents, and faults as problem details."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from asgi import Answered, ask

from tocsin.api.http import Access, Door
from tocsin.api.v1 import LARGEST_PAGE, RestApi
from tocsin.correlation_engine.fakes import MemoryIncidents
from tocsin.model.errors import NotDurable
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.labels import Labels
from tocsin.model.notification import Final
from tocsin.model.severity import Severity
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.notification_dispatcher.fakes import LoopClock, MemoryOutbox, a_notification
from tocsin.notification_dispatcher.ports import Attempt, Delivery, DeliveryLog
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACME, OTHER = tenant_id("acme"), tenant_id("other")


class Api:
    """The dialect over the fakes that ship with the ports, for two tenants."""

    def __init__(self, deliveries: DeliveryLog | None = None) -> None:
        self.outbox, self.incidents = MemoryOutbox(), MemoryIncidents()
        people = [Principal(name, Role.VIEWER, name) for name in (ACME, OTHER)]
        people.append(Principal("writer", Role.WRITER, ACME))
        tokens = TokenTable(Credential(digest(p.name), p) for p in people)
        self.door = Door(
            dialects=(RestApi(deliveries or self.outbox, self.incidents).dialect(),),
            access=Access(tokens, frozenset({ACME, OTHER})),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=LoopClock(),
            ready=lambda: True,
        )

    async def get(self, path: str, token: str = ACME) -> Answered:
        headers = [("authorization", f"Bearer {token}")]
        return await ask(self.door, "GET", f"/api/tocsin/v1{path}", headers=headers)

    async def items(self, path: str, token: str = ACME) -> tuple[list[Any], str | None]:
        got = await self.get(path, token)
        assert got.status == 200, got.body
        page = got.json()
        assert set(page) == {"items", "next"}
        return page["items"], page["next"]

    def open(self, number: int) -> None:
        at = T0 + timedelta(seconds=number)
        incident = Incident(
            id=f"i{number}",
            group_key="{}",
            group_labels=Labels.of({"alertname": "Down"}),
            receiver="team",
            state=IncidentState.OPEN if number % 2 else IncidentState.RESOLVED,
            severity=Severity.CRITICAL,
            opened_at=at,
            updated_at=at,
            alerts=1,
        )
        self.incidents.put(ACME, [incident])


class Broken(DeliveryLog):
    """A log whose disk is gone."""

    async def deliveries(
        self, tenant: TenantId, *, before: str | None, limit: int, receiver: str = ""
    ) -> list[Delivery]:
        raise NotDurable("the disk is gone")


def problem(got: Answered, status: int, title: str) -> None:
    """Check a problem detail (RFC 9457)."""
    assert (got.status, got.headers["content-type"]) == (status, "application/problem+json")
    body = got.json()
    assert title in body["title"]
    assert body["status"] == status
    assert body["instance"].startswith("/api/tocsin/v1")


async def test_a_delivery_shows_its_notification_and_every_attempt() -> None:
    api = Api()
    told = a_notification(ACME)
    api.outbox.commit(ACME, [told])
    await api.outbox.settle(ACME, Attempt(told.id, 1, T0, 12.5, "200", Final.DELIVERED))
    items, following = await api.items("/deliveries")
    assert following is None
    assert items[0]["notification"]["id"] == told.id
    assert items[0]["notification"]["group_labels"] == {"alertname": "HighLoad"}
    assert items[0]["state"] == "delivered"
    assert [a["status"] for a in items[0]["attempts"]] == ["200"]


async def test_pages_of_deliveries_follow_each_other_without_a_gap() -> None:
    api = Api()
    sent = [a_notification(ACME, flush_key=f"flush-{n}") for n in range(5)]
    api.outbox.commit(ACME, sent)
    seen: list[str] = []
    path, pages = "/deliveries?limit=2", 0
    while path:
        items, following = await api.items(path)
        seen += [item["notification"]["id"] for item in items]
        pages += 1
        path = f"/deliveries?limit=2&before={following}" if following else ""
    assert seen == [told.id for told in reversed(sent)]
    assert pages == 3


async def test_a_receiver_narrows_deliveries() -> None:
    api = Api()
    api.outbox.commit(ACME, [a_notification(ACME)])
    assert len((await api.items("/deliveries?receiver=team"))[0]) == 1
    assert (await api.items("/deliveries?receiver=nosuch"))[0] == []


async def test_another_tenant_sees_none_of_it() -> None:
    api = Api()
    api.outbox.commit(ACME, [a_notification(ACME)])
    api.open(1)
    assert (await api.items("/deliveries", OTHER))[0] == []
    assert (await api.items("/incidents", OTHER))[0] == []
    problem(await api.get("/incidents/i1", OTHER), 404, "no such incident")


async def test_incidents_are_listed_newest_first_in_pages() -> None:
    api = Api()
    for number in range(5):
        api.open(number)
    first, following = await api.items("/incidents?limit=3")
    assert [i["id"] for i in first] == ["i4", "i3", "i2"]
    assert following == "2026-01-01T00:00:02Z"
    rest, end = await api.items(f"/incidents?limit=3&before={quote(str(following))}")
    assert ([i["id"] for i in rest], end) == (["i1", "i0"], None)


@pytest.mark.parametrize(
    ("state", "ids"),
    [("open", ["i3", "i1"]), ("resolved", ["i2", "i0"]), ("", ["i3", "i2", "i1", "i0"])],
)
async def test_a_state_narrows_incidents(state: str, ids: list[str]) -> None:
    api = Api()
    for number in range(4):
        api.open(number)
    assert [i["id"] for i in (await api.items(f"/incidents?state={state}"))[0]] == ids


async def test_one_incident_has_its_own_address() -> None:
    api = Api()
    api.open(1)
    incident = (await api.get("/incidents/i1")).json()
    assert (incident["state"], incident["severity"]) == ("open", "critical")
    assert incident["group_labels"] == {"alertname": "Down"}
    assert incident["resolved_at"] is None


@pytest.mark.parametrize("limit", ["0", "-1", "x", str(LARGEST_PAGE + 1), "9" * 5000, "1.5", ""])
@pytest.mark.parametrize("path", ["/deliveries", "/incidents"])
async def test_a_limit_that_is_none_is_a_problem(path: str, limit: str) -> None:
    problem(await Api().get(f"{path}?limit={limit}"), 400, "limit must be a whole number from 1 to")


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("state=closed", "state 'closed' is not one of open, resolved"),
        ("before=yesterday", "is not an RFC 3339 time"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_a_problem(query: str, title: str) -> None:
    problem(await Api().get(f"/incidents?{query}"), 400, title)


async def test_what_is_not_there_and_what_may_not_be_done_are_problems() -> None:
    api = Api()
    problem(await api.get("/nosuch"), 404, "was not found")
    problem(await api.get("/incidents/nosuch"), 404, "no such incident")
    problem(await api.get("/deliveries", "unknown"), 401, "a valid token is required")
    problem(await api.get("/deliveries", "writer"), 403, "may not read")
    wrong = await ask(api.door, "POST", "/api/tocsin/v1/incidents")
    problem(wrong, 405, "method POST is not allowed")
    assert wrong.headers["allow"] == "GET"


async def test_a_store_that_fails_is_a_problem_that_asks_to_come_back() -> None:
    got = await Api(Broken()).get("/deliveries")
    problem(got, 503, "the disk is gone")
    assert got.headers["retry-after"] == "1"
