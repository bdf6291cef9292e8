"""The Slack provider posts one attachment, and reads errors out of answers of status 200."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.model.notification import HttpAnswer, Rejected, Retry
from tocsin.model.secret import Secret
from tocsin.notification_dispatcher.config import Defaults
from tocsin.notification_dispatcher.fakes import START, FakeHttp, FakeSmtp, a_notification
from tocsin.notification_dispatcher.ports import HttpCall
from tocsin.notification_dispatcher.provider import Context, Wire
from tocsin.notification_dispatcher.providers.slack import (
    SPEC,
    SlackAction,
    SlackConfig,
    SlackConfirm,
    SlackField,
    verdict,
)
from tocsin.notification_dispatcher.render import GroupRenderer, template_set

URL = "http://tocsin.test"
HOOK = Secret("https://hooks.slack.test/T/B/x")
JSON = {"content-type": "application/json; charset=utf-8"}
TEMPLATES = template_set(lambda: START)


async def posted(config: SlackConfig) -> tuple[HttpCall, dict[str, Any]]:
    http = FakeHttp(HttpAnswer(200, {}, b"ok"))
    told = a_notification()
    provider = SPEC.make(SPEC.merge(config, Defaults()), Wire(http, FakeSmtp()))
    renderer = GroupRenderer(TEMPLATES, told, external_url=URL)
    await provider.send(told, Context(renderer, URL))
    (body,) = http.bodies()
    assert isinstance(body, dict)
    return http.calls[0], body


async def test_the_default_message_has_title_link_colour_and_fallback() -> None:
    call, body = await posted(SlackConfig(api_url=HOOK, channel="#ops"))
    assert call.url == HOOK.reveal()
    assert "Authorization" not in call.headers
    assert body["channel"] == "#ops"
    assert body["username"] == "Alertmanager"
    (attachment,) = body["attachments"]
    assert attachment["title"].startswith("[FIRING:1] HighLoad")
    assert attachment["title_link"].startswith(URL)
    assert attachment["color"] == "danger"
    assert attachment["fallback"].startswith("[FIRING:1]")
    assert attachment["mrkdwn_in"] == ["fallback", "pretext", "text"]
    assert (attachment["callback_id"], attachment["footer"]) == ("", "")


async def test_fields_and_actions_are_rendered() -> None:
    config = SlackConfig(
        api_url=HOOK,
        short_fields=True,
        message_text="{{ .Status }}!",
        fields=[
            SlackField(title="State", value="{{ .Status }}"),
            SlackField(title="Long", value="x", short=False),
        ],
        actions=[
            SlackAction(
                type="button",
                text="{{ .Receiver }}",
                url="http://x.test",
                confirm=SlackConfirm(text="Sure, {{ .Receiver }}?", ok_text="Yes"),
            )
        ],
    )
    _, body = await posted(config)
    (attachment,) = body["attachments"]
    assert body["text"] == "firing!"
    assert attachment["fields"] == [
        {"title": "State", "value": "firing", "short": True},
        {"title": "Long", "value": "x", "short": False},
    ]
    assert attachment["actions"] == [
        {
            "type": "button",
            "text": "team",
            "url": "http://x.test",
            "confirm": {"text": "Sure, team?", "ok_text": "Yes"},
        }
    ]


async def test_long_texts_are_cut_where_slack_would_refuse_them() -> None:
    _, body = await posted(SlackConfig(api_url=HOOK, title="é" * 2000, text="x" * 50_000))
    (attachment,) = body["attachments"]
    assert len(attachment["title"]) == 1024
    assert len(attachment["text"]) == 12_000
    assert attachment["title"].endswith("é…")


async def test_an_app_posts_with_its_token_to_the_web_api() -> None:
    call, _ = await posted(SlackConfig(app_token=Secret("xoxb-1\n")))
    assert call.url == "https://slack.com/api/chat.postMessage"
    assert call.headers["Authorization"] == "Bearer xoxb-1"


def test_an_own_token_keeps_the_global_webhook_out() -> None:
    defaults = Defaults(slack_api_url=HOOK, slack_app_token=Secret("global"))
    own = SPEC.merge(SlackConfig(app_token=Secret("own")), defaults)
    hook = SPEC.merge(SlackConfig(api_url=HOOK), defaults)
    assert (own.app_token, own.api_url) == (Secret("own"), None)
    assert (hook.app_token, hook.api_url) == (None, HOOK)
    assert SPEC.endpoint(hook) == "https://hooks.slack.test:443"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (HttpAnswer(200, {}, b"ok"), None),
        (HttpAnswer(200, {}, b""), None),
        (HttpAnswer(500, {}, b"no"), None),
        (HttpAnswer(200, {}, b"invalid_payload"), Rejected("Slack: invalid_payload")),
        (HttpAnswer(200, JSON, b'{"ok":true}'), None),
        (HttpAnswer(200, JSON, b'{"success":true}'), None),
        (HttpAnswer(200, JSON, b'{"ok":false,"error":"no_text"}'), Rejected("Slack: no_text")),
        (HttpAnswer(200, JSON, b'{"ok":false}'), Rejected("Slack: no reason given")),
        (HttpAnswer(200, JSON, b'{"ok":false,"error":"ratelimited"}'), Retry("Slack: ratelimited")),
        (HttpAnswer(200, JSON, b"nonsense"), Rejected("Slack: the answer is no JSON")),
    ],
)
def test_an_error_inside_a_good_status_is_found(
    answer: HttpAnswer, outcome: Rejected | Retry | None
) -> None:
    assert verdict(answer) == outcome
