"""Sessions stand for a token for a while."""

from datetime import UTC, datetime
from itertools import count

from tocsin.security.sessions import ABSOLUTE, IDLE, MOST, Sessions

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def make() -> Sessions:
    serial = count()
    return Sessions(lambda: f"id-{next(serial)}")


def test_a_session_stands_for_its_token_until_it_is_ended() -> None:
    sessions = make()
    cookie = sessions.begin("digest", now=T0)
    assert sessions.proof(cookie, now=T0) == "digest"
    sessions.end(cookie)
    assert sessions.proof(cookie, now=T0) is None
    sessions.end(cookie)


def test_an_idle_session_ends_and_a_used_one_goes_on() -> None:
    sessions = make()
    idle, used = sessions.begin("digest", now=T0), sessions.begin("digest", now=T0)
    assert sessions.proof(used, now=T0 + IDLE / 2) == "digest"
    assert sessions.proof(used, now=T0 + IDLE) == "digest"
    assert sessions.proof(idle, now=T0 + IDLE) is None


def test_no_session_outlives_its_absolute_age() -> None:
    sessions = make()
    cookie = sessions.begin("digest", now=T0)
    now = T0
    while now - T0 < ABSOLUTE - IDLE / 2:
        now += IDLE / 2
        assert (sessions.proof(cookie, now=now) == "digest") is (now - T0 < ABSOLUTE)
    assert sessions.proof(cookie, now=T0 + ABSOLUTE) is None


def test_the_oldest_session_gives_way_when_there_are_too_many() -> None:
    sessions = make()
    first = sessions.begin("digest", now=T0)
    last = [sessions.begin("digest", now=T0) for _ in range(MOST)][-1]
    assert sessions.proof(first, now=T0) is None
    assert sessions.proof(last, now=T0) == "digest"
