"""The webhook provider posts once, with a key that stays the same."""

from __future__ import annotations

import json

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.notification import HttpAnswer
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.notification_dispatcher.config import Defaults, HttpConfig
from tocsin.notification_dispatcher.fakes import START, FakeHttp, FakeSmtp, a_notification
from tocsin.notification_dispatcher.payload import payload
from tocsin.notification_dispatcher.ports import HttpCall
from tocsin.notification_dispatcher.provider import Context, Wire
from tocsin.notification_dispatcher.providers.webhook import SPEC, WebhookConfig
from tocsin.notification_dispatcher.render import GroupRenderer, template_set
from tocsin.notification_dispatcher.weblink import origin

URL = "http://tocsin.test"
TOLD = a_notification()
HOOK = Secret("http://hook.test/path")


async def posted(config: WebhookConfig) -> HttpCall:
    http = FakeHttp(HttpAnswer(204))
    provider = SPEC.make(SPEC.merge(config, Defaults()), Wire(http, FakeSmtp()))
    renderer = GroupRenderer(template_set(lambda: START), TOLD, external_url=URL)
    assert await provider.send(TOLD, Context(renderer, URL)) == HttpAnswer(204)
    (call,) = http.calls
    return call


async def test_the_payload_is_posted_with_its_idempotency_key() -> None:
    call = await posted(WebhookConfig(url=HOOK))
    assert (call.method, call.url, call.timeout_s) == ("POST", "http://hook.test/path", 30)
    assert call.body == payload(TOLD, external_url=URL)
    assert call.headers == {
        "Content-Type": "application/json",
        "User-Agent": "Alertmanager/0.34.0",
        "Idempotency-Key": TOLD.id,
        "webhook-id": TOLD.id,
    }


async def test_credentials_and_time_limit_are_used() -> None:
    config = WebhookConfig(
        url=HOOK,
        timeout=Duration.parse("500ms"),
        http_config=HttpConfig(bearer_token=Secret("t")),
    )
    call = await posted(config)
    assert call.headers["Authorization"] == "Bearer t"
    assert call.timeout_s == 0.5
    assert SPEC.timeout(config).total_seconds() == 0.5


async def test_the_url_may_be_a_template() -> None:
    call = await posted(WebhookConfig(url=Secret("http://h.test/{{ .GroupLabels.alertname }}\n")))
    assert call.url == "http://h.test/HighLoad"


async def test_a_url_that_renders_to_nonsense_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidInput) as refused:
        await posted(WebhookConfig(url=Secret("{{ .Status }}://s3cr3t")))
    assert "s3cr3t" not in str(refused.value)


async def test_an_own_payload_replaces_the_body() -> None:
    own = {"text": "{{ .Status }}", "list": ["{{ .Receiver }}", 1], "on": True}
    call = await posted(WebhookConfig(url=HOOK, payload=own))
    assert json.loads(call.body) == {"text": "firing", "list": ["team", 1], "on": True}


async def test_a_single_text_is_sent_as_it_comes_out() -> None:
    call = await posted(WebhookConfig(url=HOOK, payload="<{{ .Status }}>"))
    assert call.body == b"<firing>"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://h/a", "http://h:80"),
        ("https://u:p@H.test/a", "https://h.test:443"),
        ("http://h:81", "http://h:81"),
        ("{{ .X }}", "{{ .X }}"),
        ("http://h:x/", "http://h:x/"),
    ],
)
def test_receivers_on_one_server_share_its_bulkhead(url: str, where: str) -> None:
    assert origin(url) == where
    assert SPEC.endpoint(WebhookConfig(url=Secret(url))) == where
