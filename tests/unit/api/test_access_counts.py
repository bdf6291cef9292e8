"""Who came in and who did not is counted under the tenant it concerns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asgi import Answered, ask
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse, Response

from tocsin.api.http import Access, Call, Dialect, Door, Endpoint
from tocsin.api.instruments import (
    MOST_SOURCES,
    OTHERS,
    AccessInstruments,
    Login,
    Pseudonyms,
)
from tocsin.api.service import fault
from tocsin.model.clock import Clock
from tocsin.model.tenant import tenant_id
from tocsin.security.permissions import Permission, Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest

A, B = tenant_id("a"), tenant_id("b")


class Fixed(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


async def well(call: Call) -> Response:
    return PlainTextResponse("well")


class House:
    """A door whose decisions are counted."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        people = [
            Principal("reader", Role.VIEWER, A),
            Principal("operator", Role.PLATFORM_ADMIN, None),
        ]
        routes = (
            Endpoint("/public", ("GET",), Permission.PUBLIC, well),
            Endpoint("/read", ("GET",), Permission.READ, well),
            Endpoint("/post", ("GET",), Permission.POST_ALERTS, well),
            Endpoint("/-/reload", ("POST",), Permission.OPERATE, well),
        )
        self.door = Door(
            dialects=(Dialect("", routes, fault),),
            access=Access(
                TokenTable(Credential(digest(p.name), p) for p in people), frozenset({A, B})
            ),
            sessions=Sessions(lambda: "s"),
            trail=lambda event: None,
            clock=Fixed(),
            ready=lambda: True,
            instruments=AccessInstruments(self.registry, pseudonym=lambda address: f"<{address}>"),
        )

    async def ask(self, path: str, token: str = "", method: str = "GET") -> Answered:
        headers = [("authorization", f"Bearer {token}")] if token else []
        return await ask(self.door, method, path, headers=headers)

    def counted(self) -> dict[tuple[str, ...], float]:
        """Return what was counted, by metric and label values."""
        return {
            (sample.name.removesuffix("_total"), *sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }


async def test_what_is_allowed_counts_for_the_tenant() -> None:
    house = House()
    await house.ask("/read", "reader")
    await house.ask("/t/a/read", "reader")
    await house.ask("/public")
    assert house.counted() == {("access_decisions", "a", "allow"): 2}


async def test_what_a_role_may_not_do_is_a_denial() -> None:
    house = House()
    assert (await house.ask("/post", "reader")).status == 403
    assert house.counted() == {("access_decisions", "a", "deny"): 1}


async def test_asking_for_another_tenant_counts_for_the_one_who_asks() -> None:
    house = House()
    for path in ("/t/b/read", "/t/nosuch/read"):
        assert (await house.ask(path, "reader")).status == 403
    assert house.counted() == {
        ("access_decisions", "a", "deny"): 2,
        ("access_cross_tenant_denied", "a"): 2,
    }


async def test_an_operator_who_asks_for_a_tenant_is_denied_there_and_crosses_nothing() -> None:
    house = House()
    assert (await house.ask("/t/a/read", "operator")).status == 403
    assert house.counted() == {("access_decisions", "a", "deny"): 1}


@pytest.mark.parametrize(("path", "tenant"), [("/t/a/read", "a"), ("/t/x/read", ""), ("/read", "")])
async def test_a_wrong_token_is_a_failed_login_at_the_address_it_was_shown(
    path: str, tenant: str
) -> None:
    house = House()
    assert (await house.ask(path, "guess")).status == 401
    assert house.counted() == {
        ("access_decisions", tenant, "deny"): 1,
        ("auth_login_attempts", tenant, "failure", "<127.0.0.1>"): 1,
    }


async def test_no_token_is_a_denial_but_no_login() -> None:
    house = House()
    assert (await house.ask("/t/a/read")).status == 401
    assert house.counted() == {("access_decisions", "a", "deny"): 1}


async def test_an_act_of_the_operators_is_privileged() -> None:
    house = House()
    assert (await house.ask("/-/reload", "operator", "POST")).status == 200
    assert house.counted() == {
        ("access_decisions", "", "allow"): 1,
        ("privileged_actions", "", "POST /-/reload"): 1,
    }


def test_a_success_has_no_source() -> None:
    registry = CollectorRegistry()
    AccessInstruments(registry).login(A, Login.SUCCESS, address="10.0.0.1")
    labels = {"tenant": "a", "outcome": "success", "source": ""}
    assert registry.get_sample_value("auth_login_attempts_total", labels) == 1


def test_a_pseudonym_is_stable_and_says_nothing_of_the_address() -> None:
    names, others = Pseudonyms(b"key"), Pseudonyms(b"another")
    assert names.of("10.0.0.1") == names.of("10.0.0.1") != names.of("10.0.0.2")
    assert names.of("10.0.0.1") != others.of("10.0.0.1")
    assert len(names.of("10.0.0.1")) == 12


def test_a_flood_of_addresses_is_one_source_more() -> None:
    names = Pseudonyms(b"key")
    known = {names.of(f"10.0.{i // 256}.{i % 256}") for i in range(MOST_SOURCES)}
    assert len(known) == MOST_SOURCES
    assert names.of("192.0.2.1") == names.of("192.0.2.2") == OTHERS
    assert names.of("10.0.0.0") in known
