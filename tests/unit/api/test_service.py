"""Health, readiness, metrics and reload, and who may ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from asgi import Answered, ask

from tocsin.api.http import Access, Door
from tocsin.api.service import Service
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.tenant import tenant_id
from tocsin.notification_dispatcher.fakes import LoopClock
from tocsin.security.audit import AuditEvent, AuditOutcome
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest
from tocsin.telemetry.metrics import Registry

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACME = tenant_id("acme")
ROLES = {
    "writer": Role.WRITER,
    "viewer": Role.VIEWER,
    "admin": Role.TENANT_ADMIN,
    "operator": Role.PLATFORM_ADMIN,
}


@dataclass(slots=True)
class House:
    """The service behind a door; `faults` is what the next reload finds."""

    ready: bool = True
    faults: tuple[Problem, ...] = ()
    reloads: int = 0
    trail: list[AuditEvent] = field(default_factory=list)

    async def reload(self) -> None:
        if self.faults:
            raise ConfigError(self.faults)
        self.reloads += 1

    async def ask(self, method: str, path: str, who: str = "", accept: str = "") -> Answered:
        people = [
            Principal(name, role, None if role is Role.PLATFORM_ADMIN else ACME)
            for name, role in ROLES.items()
        ]
        service = Service(Registry(version="1.2.3"), lambda: self.ready, self.reload)
        door = Door(
            dialects=(service.dialect(),),
            access=Access(
                TokenTable(Credential(digest(p.name), p) for p in people), frozenset({ACME})
            ),
            sessions=Sessions(lambda: "x"),
            trail=self.trail.append,
            clock=LoopClock(T0),
            ready=lambda: self.ready,
        )
        headers = [("authorization", f"Bearer {who}")] if who else []
        headers += [("accept", accept)] if accept else []
        return await ask(door, method, path, headers=headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_server_that_is_coming_is_healthy_and_not_ready(method: str) -> None:
    house = House(ready=False)
    assert (await house.ask(method, "/-/healthy")).status == 200
    assert (await house.ask(method, "/-/ready")).status == 503
    house.ready = True
    assert (await house.ask(method, "/-/ready")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_operator_reloads(method: str) -> None:
    house = House()
    got = await house.ask(method, "/-/reload", "operator")
    assert (got.status, got.body, house.reloads) == (200, b"", 1)


async def test_a_refused_reload_tells_every_problem() -> None:
    house = House(faults=(Problem("no such key", "tocsin.yaml", 3, 5), Problem("and this")))
    got = await house.ask("POST", "/-/reload", "operator")
    assert got.status == 500
    assert got.body.decode() == (
        "failed to reload config: tocsin.yaml:3:5: no such key\nand this\n"
    )


@pytest.mark.parametrize(
    ("who", "reload", "metrics"),
    [
        ("", 401, 401),
        ("unknown", 401, 401),
        ("writer", 403, 403),
        ("viewer", 403, 200),
        ("admin", 403, 200),
        ("operator", 200, 200),
    ],
)
async def test_who_may_reload_and_who_may_read_metrics(who: str, reload: int, metrics: int) -> None:
    house = House()
    assert (await house.ask("POST", "/-/reload", who)).status == reload
    assert (await house.ask("GET", "/metrics", who)).status == metrics
    assert house.reloads == (reload == 200)
    outcomes = [event.outcome for event in house.trail]
    assert outcomes.count(AuditOutcome.DENIED) == (reload != 200) + (metrics != 200)
    assert outcomes.count(AuditOutcome.ALLOWED) == (reload == 200)


async def test_metrics_come_in_the_form_that_is_asked_for() -> None:
    house = House()
    plain = await house.ask("GET", "/metrics", "operator")
    assert plain.headers["content-type"].startswith("text/plain")
    assert b'tocsin_build_info{revision="",version="1.2.3"} 1.0' in plain.body
    openmetrics = await house.ask(
        "GET", "/metrics", "operator", accept="application/openmetrics-text; version=1.0.0"
    )
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


async def test_the_root_leads_to_the_pages() -> None:
    got = await House(ready=False).ask("GET", "/")
    assert (got.status, got.headers["location"]) == (302, "/ui")


async def test_a_generator_url_leads_to_the_page_that_evaluates_it() -> None:
    got = await House().ask("GET", "/graph?g0.expr=up%20%3D%3D%200&g0.tab=1")
    assert (got.status, got.headers["location"]) == (302, "/ui/graph?expr=up+%3D%3D+0")


async def test_a_link_to_a_runbook_leads_to_the_page_that_shows_it() -> None:
    got = await House().ask("GET", "/runbooks/TargetDown")
    assert (got.status, got.headers["location"]) == (302, "/ui/runbooks/TargetDown")


async def test_faults_are_in_the_words_of_gos_library() -> None:
    house = House()
    missing, wrong = await house.ask("GET", "/nosuch"), await house.ask("GET", "/-/reload")
    assert (missing.status, missing.body) == (404, b"404 page not found\n")
    assert (wrong.status, wrong.body) == (405, b"Method Not Allowed\n")
