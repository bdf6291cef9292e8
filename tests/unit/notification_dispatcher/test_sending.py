"""One try has an end that is a value, and no end tells a secret."""

from __future__ import annotations

from typing import Any

import pytest
from receiver_setup import read_receiver, setup_of

from tocsin.model.notification import Delivered, HttpAnswer, Rejected, Retry
from tocsin.notification_dispatcher.classify import FailureReason
from tocsin.notification_dispatcher.fakes import FakeHttp, FakeSmtp, LoopClock, a_notification
from tocsin.notification_dispatcher.outcome import Result
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.receivers import Ways
from tocsin.notification_dispatcher.sending import send_once


async def attempt(answer: HttpAnswer, **lists: Any) -> Result:
    (key,) = lists
    told = a_notification(integration=f"{key.removesuffix('_configs')}[0]")
    ways = Ways(setup_of([read_receiver(**lists)]), Wire(FakeHttp(answer), FakeSmtp()))
    way = ways.find(told)
    assert way
    return await send_once(way, told, ways.context(told), clock=LoopClock())


CHAT = [{"api_url": "https://slack.test/s3cr3t"}]


async def test_a_template_that_fails_is_a_rejection_and_nothing_is_sent() -> None:
    hooks = [{"url": "http://hook.test/{{ .Nope.Nope }}"}]
    result = await attempt(HttpAnswer(200), webhook_configs=hooks)
    assert isinstance(result.outcome, Rejected)
    assert (result.status, result.failure) == ("not sent", FailureReason.CLIENT)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"ok", Delivered()),
        (b"bad s3cr3t", Rejected("Slack: bad <secret>")),
        (b"ratelimited", Retry("Slack: ratelimited")),
    ],
)
async def test_a_providers_own_reading_of_an_answer_comes_first(
    body: bytes, outcome: object
) -> None:
    result = await attempt(HttpAnswer(200, {}, body), slack_configs=CHAT)
    assert result.outcome == outcome
    assert result.status == "HTTP 200"


async def test_the_url_itself_is_masked_in_a_reason() -> None:
    echo = HttpAnswer(400, {}, b"POST https://slack.test/s3cr3t is not known")
    result = await attempt(echo, slack_configs=CHAT)
    assert result.outcome == Rejected("HTTP 400: POST <secret> is not known")


async def test_the_path_of_a_url_is_as_secret_as_the_url() -> None:
    echo = HttpAnswer(404, {}, b"no route to /s3cr3t here")
    result = await attempt(echo, slack_configs=CHAT)
    assert "s3cr3t" not in repr(result)
