"""What the server says of itself, and how much of it a caller sees."""

from __future__ import annotations

import pytest
from asgi import Answered, ask

from tocsin.api.http import Access, Door
from tocsin.api.service import Service
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.tenant import tenant_id
from tocsin.notification_dispatcher.fakes import LoopClock
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest
from tocsin.telemetry.metrics import Registry

A, B = tenant_id("a"), tenant_id("b")
PEOPLE = (
    Principal("alice", Role.VIEWER, A),
    Principal("writer", Role.WRITER, A),
    Principal("root", Role.PLATFORM_ADMIN, None),
    Principal("stray", Role.VIEWER, None),
)


def text(answer: Answered) -> str:
    return answer.body.decode()


class House:
    """A server with two tenants, each of which has done one job."""

    def __init__(self, *, open_to_all: bool = False, fault: str = "") -> None:
        registry = Registry(version="1")
        jobs = registry.counter("jobs", "Jobs done.", ("tenant",))
        for tenant in (A, B):
            jobs.labels(tenant).inc()
        self.reloads, self.fault, self.ready = 0, fault, True
        service = Service(registry, lambda: self.ready, self._reload)
        tokens = TokenTable(Credential(digest(p.name), p) for p in PEOPLE)
        self.door = Door(
            dialects=(service.dialect(),),
            access=Access(tokens, frozenset({A, B}), open_to_all=open_to_all),
            sessions=Sessions(lambda: "session"),
            trail=lambda event: None,
            clock=LoopClock(),
            ready=lambda: True,
        )

    async def _reload(self) -> None:
        self.reloads += 1
        if self.fault:
            raise ConfigError((Problem(self.fault),))

    async def ask(self, method: str, path: str, token: str = "") -> Answered:
        headers = [("authorization", f"Bearer {token}")] if token else []
        return await ask(self.door, method, path, headers=headers)

    async def seen(self, who: str = "", path: str = "/metrics") -> set[str]:
        """Return the tenants whose series are on the page."""
        answer = await self.ask("GET", path, who)
        assert answer.status == 200
        assert "alertmanager_build_info{" in text(answer)
        return {t for t in (A, B) if f'jobs_total{{tenant="{t}"}}' in text(answer)}


async def test_a_token_of_a_tenant_shows_that_tenants_metrics() -> None:
    house = House()
    assert await house.seen("alice") == {A}
    assert await house.seen("alice", "/t/a/metrics") == {A}


async def test_who_runs_the_service_sees_the_metrics_of_all() -> None:
    assert await House().seen("root") == {A, B}
    assert await House(open_to_all=True).seen() == {A, B}


async def test_the_owner_may_ask_for_one_tenant() -> None:
    assert await House(open_to_all=True).seen(path="/t/b/metrics") == {B}


@pytest.mark.parametrize("token", ["writer", "stray"])
async def test_nobody_else_sees_metrics(token: str) -> None:
    assert (await House().ask("GET", "/metrics", token)).status == 403
