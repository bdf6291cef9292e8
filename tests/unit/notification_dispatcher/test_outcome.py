"""The result of a try becomes the attempt that the outbox records."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tocsin.model.notification import Delivered, Final, Rejected, Retry
from tocsin.notification_dispatcher.fakes import START, a_notification
from tocsin.notification_dispatcher.outcome import (
    OVERDUE,
    Result,
    Timing,
    attempt_of,
    counts_as_failed,
)
from tocsin.notification_dispatcher.ports import Attempt, OutboxRow

SECOND = timedelta(seconds=1)
NOW = Timing(START, START + SECOND)
FIRST = OutboxRow(a_notification(), 0, None)


def certain() -> float:
    return 1.0


def later(attempts: int, first_at: datetime) -> OutboxRow:
    return OutboxRow(a_notification(), attempts, first_at)


def test_a_delivery_ends_the_notification() -> None:
    attempt = attempt_of(FIRST, Result(Delivered(), "HTTP 200"), NOW, certain)
    assert attempt == Attempt(FIRST.notification.id, 1, START, 1000.0, "HTTP 200", Final.DELIVERED)


def test_a_rejection_ends_it_with_its_reason() -> None:
    attempt = attempt_of(FIRST, Result(Rejected("HTTP 404"), "HTTP 404"), NOW, certain)
    assert (attempt.final, attempt.reason, attempt.next_at) == (Final.REJECTED, "HTTP 404", None)


def test_a_retry_is_due_after_the_back_off() -> None:
    attempt = attempt_of(later(2, START), Result(Retry("HTTP 500"), "HTTP 500"), NOW, certain)
    assert attempt.number == 3
    assert attempt.final is None
    assert attempt.next_at == NOW.done + timedelta(seconds=0.9)


def test_the_receivers_wish_to_wait_is_honoured() -> None:
    result = Result(Retry("HTTP 429", timedelta(seconds=30)), "HTTP 429")
    assert attempt_of(FIRST, result, NOW, certain).next_at == NOW.done + 30 * SECOND


def test_a_wish_to_hurry_does_not_shorten_the_back_off() -> None:
    result = Result(Retry("HTTP 429", timedelta(0)), "HTTP 429")
    assert attempt_of(FIRST, result, NOW, certain).next_at == NOW.done + timedelta(seconds=0.4)


@pytest.mark.parametrize(("age", "final"), [(3598.6, None), (3598.7, Final.DEAD)])
def test_past_its_age_it_is_a_dead_letter(age: float, final: Final | None) -> None:
    row = later(0, START - timedelta(seconds=age))
    result = Result(Retry("HTTP 500"), "HTTP 500")
    hour = timedelta(hours=1)
    assert attempt_of(row, result, NOW, certain, max_age=hour).final is final


def failed_at(row: OutboxRow, at: datetime) -> bool:
    timing = Timing(at, at + SECOND)
    attempt = attempt_of(row, Result(Retry("HTTP 500"), "HTTP 500"), timing, certain)
    return counts_as_failed(row, attempt, timing)


def test_a_notification_that_keeps_failing_counts_once_when_it_is_overdue() -> None:
    assert not failed_at(FIRST, START)
    assert not failed_at(later(8, START), START + OVERDUE / 2)
    assert failed_at(later(14, START), START + OVERDUE - 2 * SECOND)
    assert not failed_at(later(15, START), START + OVERDUE + 30 * SECOND)


def test_a_rejection_counts_at_once_and_a_delivery_never() -> None:
    rejected = attempt_of(FIRST, Result(Rejected("HTTP 404"), "HTTP 404"), NOW, certain)
    delivered = attempt_of(FIRST, Result(Delivered(), "HTTP 200"), NOW, certain)
    assert counts_as_failed(FIRST, rejected, NOW)
    assert not counts_as_failed(FIRST, delivered, NOW)
