"""From the result of one attempt to what the outbox records. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from tocsin.model.notification import Delivered, Final, Outcome, Rejected, Retry
from tocsin.notification_dispatcher.backoff import MAX_AGE, Rng, delay
from tocsin.notification_dispatcher.classify import FailureReason
from tocsin.notification_dispatcher.ports import Attempt, OutboxRow

# A notification that has failed for so long counts as failed while it is still tried:
# Alertmanager's default group_interval, after which it counts one.
OVERDUE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Result:
    """How one try went; `status` is its short form for the delivery log (`HTTP 503`)."""

    outcome: Outcome
    status: str
    failure: FailureReason = FailureReason.OTHER


@dataclass(frozen=True, slots=True)
class Timing:
    """When a try began and ended."""

    at: datetime
    done: datetime


def attempt_of(
    row: OutboxRow, result: Result, timing: Timing, rng: Rng, *, max_age: timedelta = MAX_AGE
) -> Attempt:
    """Return the attempt to settle `row` with.

    A retry that would come later than `max_age` after the first attempt is not made: the
    notification is a dead letter.
    """
    number = row.attempts + 1
    took_ms = (timing.done - timing.at) / timedelta(milliseconds=1)
    made = Attempt(row.notification.id, number, timing.at, took_ms, result.status)
    match result.outcome:
        case Delivered():
            return _ended(made, Final.DELIVERED)
        case Rejected(reason):
            return _ended(made, Final.REJECTED, reason)
        case Retry(reason, after):
            wait = max(delay(number, rng), after or timedelta(0))
            if timing.done + wait - first_at(row, timing) > max_age:
                return _ended(made, Final.DEAD, reason)
            return _again(made, timing.done + wait, reason)
    assert_never(result.outcome)


def first_at(row: OutboxRow, timing: Timing) -> datetime:
    """Return when the first attempt was made, which may be this one."""
    return row.first_at or timing.at


def counts_as_failed(row: OutboxRow, attempt: Attempt, timing: Timing) -> bool:
    """Tell whether the failure metric counts this notification now; at most once in its life.

    It counts when it will be overdue before the next attempt, or ends undelivered before that.
    """
    if attempt.final is Final.DELIVERED or timing.at >= first_at(row, timing) + OVERDUE:
        return False
    return attempt.next_at is None or attempt.next_at >= first_at(row, timing) + OVERDUE


def _ended(made: Attempt, final: Final, reason: str = "") -> Attempt:
    return Attempt(
        made.notification, made.number, made.at, made.took_ms, made.status, final, None, reason
    )


def _again(made: Attempt, next_at: datetime, reason: str) -> Attempt:
    return Attempt(
        made.notification, made.number, made.at, made.took_ms, made.status, None, next_at, reason
    )
