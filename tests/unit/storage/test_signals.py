"""News of commits reaches the tenant it is for."""

from datetime import UTC, datetime

from tocsin.model.events import EntryKind, LogEntry, LoggedEntry
from tocsin.model.tenant import TenantId
from tocsin.storage.signals import Followers, Watchers

A, B = TenantId("a"), TenantId("b")
LOGGED = LoggedEntry(1, LogEntry(EntryKind.TICK, datetime(2026, 1, 1, tzinfo=UTC)))


def test_an_entry_goes_to_its_tenants_consumer_only() -> None:
    followers, of_a, of_b = Followers(), list[LoggedEntry](), list[LoggedEntry]()
    followers.follow(A, of_a.append)
    followers.follow(B, of_b.append)
    followers.publish(A, LOGGED)
    assert (of_a, of_b) == ([LOGGED], [])


def test_a_later_consumer_takes_the_place_of_the_first() -> None:
    followers, old, new = Followers(), list[LoggedEntry](), list[LoggedEntry]()
    followers.follow(A, old.append)
    followers.follow(A, new.append)
    followers.publish(A, LOGGED)
    assert (old, new) == ([], [LOGGED])


def test_nobody_has_to_listen() -> None:
    Followers().publish(A, LOGGED)
    Watchers().wake(A)
