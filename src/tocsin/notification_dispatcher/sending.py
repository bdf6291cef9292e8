"""One try at one notification: every expected end of it as a `Result`, secrets scrubbed."""

from __future__ import annotations

import asyncio
from typing import assert_never

from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, Unreachable
from tocsin.model.notification import (
    Answer,
    Delivered,
    HttpAnswer,
    Notification,
    Outcome,
    Rejected,
    Retry,
)
from tocsin.notification_dispatcher.classify import FailureReason, classify, failure_reason
from tocsin.notification_dispatcher.outcome import Result
from tocsin.notification_dispatcher.provider import Context
from tocsin.notification_dispatcher.receivers import Way


async def send_once(
    way: Way, notification: Notification, context: Context, *, clock: Clock
) -> Result:
    """Send and return how it went. Raises only what a provider should not have raised."""
    limit_s = way.timeout.total_seconds()
    try:
        async with asyncio.timeout(limit_s):
            answer = await way.provider.send(notification, context)
    except TimeoutError:
        return Result(Retry(f"no answer within {limit_s:g} s"), "timeout", FailureReason.LATE)
    except Unreachable as error:
        return Result(Retry(way.scrubbed(str(error))), "unreachable")
    except InvalidInput as error:
        return Result(Rejected(way.scrubbed(str(error))), "not sent", FailureReason.CLIENT)
    return _judged(way, answer, clock)


def _judged(way: Way, answer: Answer, clock: Clock) -> Result:
    outcome = way.spec.verdict(answer) if isinstance(answer, HttpAnswer) else None
    if outcome is None:
        outcome = classify(answer, now=clock.now(), retry_statuses=way.spec.retry_statuses)
    return Result(_scrubbed(way, outcome), _status(answer), failure_reason(answer))


def _status(answer: Answer) -> str:
    if isinstance(answer, HttpAnswer):
        return f"HTTP {answer.status}"
    return f"SMTP {answer.code}"


def _scrubbed(way: Way, outcome: Outcome) -> Outcome:
    match outcome:
        case Delivered():
            return outcome
        case Retry(reason, after):
            return Retry(way.scrubbed(reason), after)
        case Rejected(reason):
            return Rejected(way.scrubbed(reason))
    assert_never(outcome)
