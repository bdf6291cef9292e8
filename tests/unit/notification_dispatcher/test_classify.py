"""An answer decides what the outbox does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.notification import (
    Delivered,
    HttpAnswer,
    Outcome,
    Rejected,
    Retry,
    SmtpAnswer,
)
from tocsin.notification_dispatcher.classify import (
    FailureReason,
    classify,
    describe,
    failure_reason,
    retry_after,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "header", "outcome"),
    [
        (199, None, Rejected("HTTP 199")),
        (200, None, Delivered()),
        (299, None, Delivered()),
        (300, None, Rejected("HTTP 300 (redirects are not followed)")),
        (399, None, Rejected("HTTP 399 (redirects are not followed)")),
        (404, None, Rejected("HTTP 404")),
        (408, None, Retry("HTTP 408")),
        (429, "30", Retry("HTTP 429", timedelta(seconds=30))),
        (499, None, Rejected("HTTP 499")),
        (500, "soon", Retry("HTTP 500")),
        (503, "9" * 30, Retry("HTTP 503")),
        (503, "9" * 9, Retry("HTTP 503", timedelta(hours=1))),
        (503, "Thu, 01 Jan 2026 00:01:00 GMT", Retry("HTTP 503", timedelta(minutes=1))),
        (503, "Thu, 01 Jan 2026 00:01:00 -0000", Retry("HTTP 503", timedelta(minutes=1))),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", Retry("HTTP 503", timedelta(0))),
    ],
)
def test_an_http_answer_decides_what_happens_next(
    status: int, header: str | None, outcome: Outcome
) -> None:
    headers = {} if header is None else {"retry-after": header}
    assert classify(HttpAnswer(status, headers), now=T0) == outcome


def test_a_provider_can_name_further_statuses_to_retry() -> None:
    answer = HttpAnswer(403)
    assert classify(answer, now=T0) == Rejected("HTTP 403")
    assert classify(answer, now=T0, retry_statuses=frozenset({403})) == Retry("HTTP 403")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(199, Retry), (250, Delivered), (354, Retry), (421, Retry), (499, Retry), (550, Rejected)],
)
def test_an_smtp_reply_decides_what_happens_next(code: int, kind: type[Outcome]) -> None:
    assert isinstance(classify(SmtpAnswer(code, "because"), now=T0), kind)


def test_a_reason_shows_how_the_answer_begins_on_one_line() -> None:
    body = b"no such\r\n\x00 channel\xff" + b"x" * 999
    told = describe(HttpAnswer(404, {}, body))
    assert told.startswith("HTTP 404: no such channel\ufffdxxx")
    assert told.endswith("…")
    assert len(told) < 220
    assert describe(SmtpAnswer(550)) == "SMTP 550"


@given(st.text())
def test_any_retry_after_is_read_or_ignored(value: str) -> None:
    wait = retry_after({"retry-after": value}, T0)
    assert wait is None or timedelta(0) <= wait <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (HttpAnswer(400), FailureReason.CLIENT),
        (HttpAnswer(500), FailureReason.SERVER),
        (SmtpAnswer(550), FailureReason.CLIENT),
        (SmtpAnswer(421), FailureReason.SERVER),
    ],
)
def test_a_bad_answer_is_somebodys_fault(
    answer: HttpAnswer | SmtpAnswer, reason: FailureReason
) -> None:
    assert failure_reason(answer) is reason
