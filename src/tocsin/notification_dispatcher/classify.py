"""What an answer means: delivered, try again, or give up. Pure.

| answer | outcome |
|---|---|
| HTTP 2xx, SMTP 2yz | delivered |
| HTTP 408, 429, 5xx, statuses a provider adds; SMTP 4yz | try again, not before Retry-After |
| anything else | rejected: the same request would be refused again |

Sources: RFC 9110 sections 10.2.3 and 15, RFC 5321 section 4.2.1.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tocsin.model.notification import (
    Answer,
    Delivered,
    HttpAnswer,
    Outcome,
    Rejected,
    Retry,
    SmtpAnswer,
)

LONGEST_WAIT = timedelta(hours=1)  # a receiver may not park a page for longer
_EXCERPT = 200  # characters of an answer's body that a reason shows


class FailureReason(StrEnum):
    """Values of the label `reason` of alertmanager_notifications_failed_total."""

    CLIENT = "clientError"
    SERVER = "serverError"
    LATE = "contextDeadlineExceeded"
    OTHER = "other"


def classify(
    answer: Answer, *, now: datetime, retry_statuses: frozenset[int] = frozenset()
) -> Outcome:
    """Return what the outbox does next after `answer`."""
    if isinstance(answer, SmtpAnswer):
        return _smtp(answer)
    if 200 <= answer.status < 300:
        return Delivered()
    reason = describe(answer)
    if answer.status in (408, 429) or answer.status >= 500 or answer.status in retry_statuses:
        return Retry(reason, retry_after(answer.headers, now))
    return Rejected(reason)


def describe(answer: Answer) -> str:
    """Return an answer in words: its status, and how its body begins."""
    if isinstance(answer, SmtpAnswer):
        return f"SMTP {answer.code}: {_shown(answer.text)}".removesuffix(": ")
    told = f"HTTP {answer.status}"
    if 300 <= answer.status < 400:
        return f"{told} (redirects are not followed)"
    return f"{told}: {_shown(answer.body[: 4 * _EXCERPT].decode(errors='replace'))}".removesuffix(
        ": "
    )


def failure_reason(answer: Answer) -> FailureReason:
    """Return whose fault a bad answer is, in the words of the metric."""
    if isinstance(answer, HttpAnswer):
        return FailureReason.SERVER if answer.status >= 500 else FailureReason.CLIENT
    return FailureReason.CLIENT if answer.code >= 500 else FailureReason.SERVER


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the wait a Retry-After header asks for, at most an hour; None if absent or odd."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        asked = timedelta(seconds=int(value)) if value.isdecimal() else _date(value) - now
    except (ValueError, OverflowError):
        return None
    return min(max(asked, timedelta(0)), LONGEST_WAIT)


def _date(value: str) -> datetime:
    at = email.utils.parsedate_to_datetime(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # "-0000" parses as naive


def _smtp(answer: SmtpAnswer) -> Outcome:
    if 200 <= answer.code < 300:
        return Delivered()
    return Rejected(describe(answer)) if answer.code >= 500 else Retry(describe(answer))


def _shown(text: str) -> str:
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return one_line if len(one_line) <= _EXCERPT else one_line[:_EXCERPT] + "…"
