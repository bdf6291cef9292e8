"""Slack: one message with one attachment, to an incoming webhook or by an app's token.

Slack answers some errors with status 200 and tells them in the body. Sources: Slack's
documentation of incoming webhooks, `chat.postMessage` and message attachments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tocsin.model.notification import (
    Answer,
    HttpAnswer,
    Notification,
    Outcome,
    Rejected,
    Retry,
)
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.config import (
    Defaults,
    Section,
    plain,
)
from tocsin.notification_dispatcher.payload import go_json
from tocsin.notification_dispatcher.ports import Http
from tocsin.notification_dispatcher.posting import (
    PostingConfig,
    http_findings,
    http_of,
    json_headers,
    post,
    timeout_of,
)
from tocsin.notification_dispatcher.provider import Context, Provider, ProviderSpec, Renderer
from tocsin.notification_dispatcher.weblink import is_http_url, origin, url_findings

LONGEST_TITLE = 1024  # characters, as Alertmanager cuts it
LONGEST_TEXT = 12_000  # characters; Slack refuses a message of more than 40,000 in all
_MARKDOWN_IN = ("fallback", "pretext", "text")
_PASSING = frozenset(
    {
        "fatal_error",
        "internal_error",
        "message_limit_exceeded",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "rollup_error",
        "service_unavailable",
        "team_added_to_org",
    }
)


class SlackField(Section, frozen=True, kw_only=True):
    """One entry of `fields`: a titled value, two in a row when `short`."""

    title: str
    """Heading."""
    value: str
    """Text below it."""
    short: bool | None = None
    """Whether two stand in a row. Not given: `short_fields`."""


class SlackConfirm(Section, frozen=True, kw_only=True):
    """`confirm` of an action: a question before it is done."""

    text: str
    """The question."""
    title: str = ""
    """Heading of the question."""
    ok_text: str = ""
    """Label of the button that does it."""
    dismiss_text: str = ""
    """Label of the button that does not."""


class SlackAction(Section, frozen=True, kw_only=True):
    """One entry of `actions`: a link button, or an interactive one with a `name`."""

    type: str
    """Kind of element: `button`."""
    text: str
    """Label."""
    url: str = ""
    """Where a link button leads."""
    style: str = ""
    """`primary` or `danger`. Empty: plain."""
    name: str = ""
    """Name that an interactive button sends."""
    value: str = ""
    """Value that an interactive button sends."""
    confirm: SlackConfirm | None = None
    """Question to ask first."""


class SlackConfig(PostingConfig, frozen=True, kw_only=True):
    """One entry of `slack_configs`; every text is a template."""

    api_url: Secret | None = None
    """Incoming webhook. At most one of `api_url` and `app_token`. Neither: that of `global`."""
    api_url_file: str = ""
    """File that holds `api_url`."""
    app_token: Secret | None = None
    """Token of a Slack app, in place of a webhook."""
    app_token_file: str = ""
    """File that holds `app_token`."""
    app_url: str = ""
    """Method that posts with `app_token`. Empty: `global.slack_app_url`."""
    channel: str = ""
    """Channel or user to post to. A webhook has one of its own."""
    username: str = '{{ template "slack.default.username" . }}'
    """Name the message comes from."""
    color: str = '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'
    """Colour of the bar beside the message: `good`, `warning`, `danger` or `#rrggbb`."""
    title: str = '{{ template "slack.default.title" . }}'
    """Heading of the message."""
    title_link: str = '{{ template "slack.default.titlelink" . }}'
    """Where the heading leads."""
    pretext: str = '{{ template "slack.default.pretext" . }}'
    """Text above the heading."""
    text: str = '{{ template "slack.default.text" . }}'
    """Body of the message."""
    message_text: str = ""
    """Text of the message itself, outside the attachment."""
    fields: list[SlackField] = msgspec.field(default_factory=list)
    """Titled values below the body."""
    short_fields: bool = False
    """Whether two `fields` stand in a row unless they say otherwise."""
    footer: str = '{{ template "slack.default.footer" . }}'
    """Small text at the end."""
    fallback: str = '{{ template "slack.default.fallback" . }}'
    """Text where the message cannot be shown, such as in a push notification."""
    callback_id: str = '{{ template "slack.default.callbackid" . }}'
    """What an interactive button says it belongs to."""
    icon_emoji: str = '{{ template "slack.default.iconemoji" . }}'
    """Emoji as the icon of the sender."""
    icon_url: str = '{{ template "slack.default.iconurl" . }}'
    """Image as the icon of the sender."""
    image_url: str = ""
    """Image below the body."""
    thumb_url: str = ""
    """Small image beside the body."""
    link_names: bool = False
    """Whether `@name` and `#channel` become links."""
    mrkdwn_in: list[str] = msgspec.field(default_factory=list)
    """Parts in which Slack's markup is read. Empty: `fallback`, `pretext` and `text`."""
    actions: list[SlackAction] = msgspec.field(default_factory=list)
    """Buttons below the message."""
    update_message: bool = False
    """Change the message already posted: not supported yet."""


@dataclass(frozen=True, slots=True)
class Slack(Provider):
    """Posts one message."""

    config: SlackConfig
    http: Http

    async def send(self, notification: Notification, context: Context) -> Answer:
        """Post the message once."""
        body = go_json(_message(self.config, context.render))
        headers = _headers(self.config, notification)
        return await post(self.http, self.config, _url(self.config), body=body, headers=headers)


def _headers(config: SlackConfig, notification: Notification) -> dict[str, str]:
    headers = json_headers(notification)
    if config.app_token and not config.api_url:
        headers["Authorization"] = f"Bearer {config.app_token.reveal().strip()}"
    return headers


def _message(config: SlackConfig, render: Renderer) -> dict[str, Any]:
    message = {
        "channel": render.text(config.channel),
        "username": render.text(config.username),
        "icon_emoji": render.text(config.icon_emoji),
        "icon_url": render.text(config.icon_url),
        "link_names": config.link_names,
        "text": cut(render.text(config.message_text), LONGEST_TEXT),
    }
    return {**_filled(message), "attachments": [_attachment(config, render)]}


def _attachment(config: SlackConfig, render: Renderer) -> dict[str, Any]:
    always = {
        "text": cut(render.text(config.text), LONGEST_TEXT),
        "fallback": cut(render.text(config.fallback), LONGEST_TITLE),
        "callback_id": render.text(config.callback_id),
        "footer": render.text(config.footer),
    }
    if_filled = {
        "title": cut(render.text(config.title), LONGEST_TITLE),
        "title_link": render.text(config.title_link),
        "pretext": render.text(config.pretext),
        "fields": [_field(f, render, config) for f in config.fields],
        "actions": [_action(a, render) for a in config.actions],
        "image_url": render.text(config.image_url),
        "thumb_url": render.text(config.thumb_url),
        "color": render.text(config.color),
        "mrkdwn_in": config.mrkdwn_in or _MARKDOWN_IN,
    }
    return {**always, **_filled(if_filled)}


def _field(field: SlackField, render: Renderer, config: SlackConfig) -> dict[str, Any]:
    short = config.short_fields if field.short is None else field.short
    return {"title": render.text(field.title), "value": render.text(field.value), "short": short}


def _action(action: SlackAction, render: Renderer) -> dict[str, Any]:
    names = ("type", "text", "url", "style", "name", "value")
    button: dict[str, Any] = {name: render.text(getattr(action, name)) for name in names}
    if action.confirm:
        parts = ("text", "title", "ok_text", "dismiss_text")
        button["confirm"] = _filled({p: render.text(getattr(action.confirm, p)) for p in parts})
    return _filled(button)


def cut(text: str, longest: int) -> str:
    """Return `text`, cut to `longest` characters with an ellipsis in place of the rest."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _filled(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _url(config: SlackConfig) -> str:
    return plain(config.api_url) or config.app_url


class _Reply(msgspec.Struct):
    """What the Web API answers."""

    ok: bool = True
    error: str = ""


def verdict(answer: HttpAnswer) -> Outcome | None:
    """Return what an error inside a 2xx answer means, None when there is none."""
    if not 200 <= answer.status < 300:
        return None
    error = _error_in(answer)
    if not error:
        return None
    reason = f"Slack: {cut(error, LONGEST_TITLE)}"
    return Retry(reason) if error in _PASSING else Rejected(reason)


def _error_in(answer: HttpAnswer) -> str:
    if not answer.headers.get("content-type", "").startswith("application/json"):
        told = answer.body.decode(errors="replace").strip()
        return "" if told in ("", "ok") else told
    try:
        reply = msgspec.json.decode(answer.body, type=_Reply)
    except msgspec.MsgspecError:
        return "the answer is no JSON"
    return "" if reply.ok else reply.error or "no reason given"


def _merge(config: SlackConfig, defaults: Defaults) -> SlackConfig:
    """Fill what is left out; an own token keeps the global webhook URL from being used."""
    token = config.app_token or (None if config.api_url else defaults.slack_app_token)
    return msgspec.structs.replace(
        config,
        http_config=http_of(config, defaults),
        api_url=config.api_url or (None if token else defaults.slack_api_url),
        app_token=token,
        app_url=config.app_url or defaults.slack_app_url,
    )


def _check(config: SlackConfig) -> tuple[Finding, ...]:
    return tuple(_findings(config))


def _findings(config: SlackConfig) -> Iterator[Finding]:
    if config.api_url and config.app_token:
        yield Finding(("app_token",), "at most one of api_url and app_token may be given")
    if config.api_url or not config.app_token:
        yield from url_findings(config.api_url, field="api_url")
    elif not is_http_url(config.app_url):
        yield Finding(("app_url",), "app_url must be of the form https://host/…")
    if config.update_message:
        yield Finding(("update_message",), "update_message is not supported yet")
    for index, action in enumerate(config.actions):
        if not action.url and not action.name:
            yield Finding(("actions", index), "an action needs a url or a name")
    yield from http_findings(config)


SPEC = ProviderSpec(
    "slack_configs",
    SlackConfig,
    lambda config, wire: Slack(config, wire.http),
    merge=_merge,
    check=_check,
    endpoint=lambda config: origin(_url(config)),
    timeout=timeout_of,
    verdict=verdict,
)
