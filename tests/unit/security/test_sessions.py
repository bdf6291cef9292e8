"""Sessions stand for a principal for a while."""

from datetime import UTC, datetime, timedelta
from itertools import count

from tocsin.model.tenant import tenant_id
from tocsin.security.permissions import Role
from tocsin.security.sessions import ABSOLUTE, IDLE, MOST, Sessions
from tocsin.security.tokens import Principal

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = Principal("alice", Role.VIEWER, tenant_id("acme"))


def make() -> Sessions:
    serial = count()
    return Sessions(lambda: f"id-{next(serial)}")


def test_a_session_stands_for_its_principal_until_it_is_ended() -> None:
    sessions = make()
    cookie = sessions.begin(ALICE, now=T0)
    assert sessions.principal(cookie, now=T0) == ALICE
    sessions.end(cookie)
    assert sessions.principal(cookie, now=T0) is None
    sessions.end(cookie)


def test_an_idle_session_ends_and_a_used_one_goes_on() -> None:
    sessions = make()
    idle, used = sessions.begin(ALICE, now=T0), sessions.begin(ALICE, now=T0)
    assert sessions.principal(used, now=T0 + IDLE / 2) == ALICE
    assert sessions.principal(used, now=T0 + IDLE) == ALICE
    assert sessions.principal(idle, now=T0 + IDLE) is None


def test_no_session_outlives_its_absolute_age() -> None:
    sessions = make()
    cookie = sessions.begin(ALICE, now=T0)
    now = T0
    while now - T0 < ABSOLUTE - IDLE / 2:
        now += IDLE / 2
        assert (sessions.principal(cookie, now=now) == ALICE) is (now - T0 < ABSOLUTE)
    assert sessions.principal(cookie, now=T0 + ABSOLUTE) is None


def test_a_form_must_carry_the_token_of_its_own_session() -> None:
    sessions = make()
    mine, yours = sessions.begin(ALICE, now=T0), sessions.begin(ALICE, now=T0)
    token = sessions.csrf(mine, now=T0)
    assert sessions.checks(mine, token, now=T0)
    assert not sessions.checks(yours, token, now=T0)
    assert not sessions.checks("unknown", "", now=T0)
    assert not sessions.checks(mine, token, now=T0 + timedelta(days=1))


def test_the_oldest_session_gives_way_when_there_are_too_many() -> None:
    sessions = make()
    first = sessions.begin(ALICE, now=T0)
    last = [sessions.begin(ALICE, now=T0) for _ in range(MOST)][-1]
    assert sessions.principal(first, now=T0) is None
    assert sessions.principal(last, now=T0) == ALICE
