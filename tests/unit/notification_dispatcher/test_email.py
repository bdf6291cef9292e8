"""The e-mail provider composes one message that every reader understands."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, SmtpAnswer
from tocsin.model.secret import Secret
from tocsin.notification_dispatcher.config import Defaults, TlsConfig
from tocsin.notification_dispatcher.fakes import START, FakeHttp, FakeSmtp, a_notification
from tocsin.notification_dispatcher.ports import Mail, SmtpServer
from tocsin.notification_dispatcher.provider import Context, Wire
from tocsin.notification_dispatcher.providers.email import SPEC, EmailConfig, Threading, compose
from tocsin.notification_dispatcher.render import GroupRenderer, template_set

URL = "http://tocsin.test"
TEMPLATES = template_set(lambda: START)
CONFIG = EmailConfig(to="Ops <ops@x.test>, b@x.test", from_="Tocsin <t@x.test>", smarthost="mx:25")


def renderer(told: Notification) -> GroupRenderer:
    return GroupRenderer(TEMPLATES, told, external_url=URL)


def composed(told: Notification | None = None, **changes: Any) -> tuple[Mail, EmailMessage]:
    told = told or a_notification()
    config = msgspec.structs.replace(CONFIG, **changes)
    mail = compose(config, told, renderer(told))
    parsed = email.message_from_bytes(mail.message, policy=email.policy.default)
    return mail, parsed


def body(message: EmailMessage, subtype: str) -> str:
    (part,) = [p for p in message.iter_parts() if p.get_content_subtype() == subtype]
    return cast("str", part.get_content())


def test_the_envelope_holds_bare_addresses() -> None:
    mail, _ = composed()
    assert mail.sender == "t@x.test"
    assert mail.recipients == ("ops@x.test", "b@x.test")


def test_the_headers_follow_from_the_notification() -> None:
    told = a_notification()
    _, message = composed(told)
    assert message["Message-Id"] == f"<{told.id}@x.test>"
    assert message["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    assert message["To"] == "Ops <ops@x.test>, b@x.test"
    assert message["From"] == "Tocsin <t@x.test>"
    assert message["Subject"].startswith("[FIRING:1] HighLoad")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["References"] is None


def test_the_same_notification_is_the_same_bytes_every_time() -> None:
    assert composed()[0] == composed()[0]


def test_text_and_html_stand_side_by_side_the_better_last() -> None:
    _, message = composed(text="state {{ .Status }}", html="<b>{{ .GroupLabels.alertname }}</b>")
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "plain").strip() == "state firing"
    assert body(message, "html").strip() == "<b>HighLoad</b>"


def test_the_default_mail_is_html_alone_and_names_the_alert() -> None:
    _, message = composed()
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/html"]
    assert "HighLoad" in body(message, "html")


def test_without_html_there_is_always_a_text() -> None:
    _, message = composed(html="", text="")
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain"]


def test_html_values_are_escaped() -> None:
    told = msgspec.structs.replace(
        a_notification(), group_labels=Labels.of({"alertname": "<script>"})
    )
    _, message = composed(told, html="<p>{{ .GroupLabels.alertname }}</p>")
    assert body(message, "html").strip() == "<p>&lt;script&gt;</p>"


def test_own_headers_are_templates_and_override_ours() -> None:
    headers = {"subject": "{{ .Status }} ünï", "x-team": "db", "To": "Öps <ops@x.test>"}
    _, message = composed(headers=headers)
    assert message["Subject"] == "firing ünï"
    assert message["X-Team"] == "db"
    assert message["To"] == "Öps <ops@x.test>"
    assert len(message.get_all("Subject") or []) == 1


def test_a_line_break_in_a_header_does_not_begin_another() -> None:
    _, message = composed(headers={"Subject": "a\r\nBcc: evil@x.test\n\nbody"})
    assert message["Subject"] == "a Bcc: evil@x.test body"
    assert message["Bcc"] is None


def test_mails_of_a_group_share_a_thread_for_a_day_or_for_ever() -> None:
    _, daily = composed(threading=Threading(enabled=True))
    _, ever = composed(threading=Threading(enabled=True, thread_by_date="none"))
    assert daily["References"] == daily["In-Reply-To"]
    assert daily["References"].endswith("-2026-01-01@alertmanager>")
    assert "2026" not in ever["References"]


@pytest.mark.parametrize(
    "changes",
    [
        {"to": ""},
        {"to": "nobody"},
        {"to": "ü@x.test"},
        {"from_": "a@x.test, b@x.test"},
        {"from_": ""},
        {"to": "{{ .Broken"},
    ],
)
def test_an_address_that_cannot_be_used_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        composed(**changes)


@given(st.text(), st.text())
def test_any_subject_and_text_become_a_message_with_short_ascii_lines(
    subject: str, text: str
) -> None:
    told = msgspec.structs.replace(
        a_notification(), group_labels=Labels.of({"alertname": subject, "x": text})
    )
    mail, message = composed(
        told, headers={"Subject": "{{ .GroupLabels.alertname }}"}, text="{{ .GroupLabels.x }}"
    )
    assert mail.message.isascii()
    assert all(line.endswith(b"\r") for line in mail.message.split(b"\n")[:-1])
    assert message["Date"] is not None
    assert [p.get_content_type() for p in message.iter_parts()] == ["text/plain", "text/html"]


async def submitted(config: EmailConfig) -> SmtpServer:
    smtp = FakeSmtp()
    told = a_notification()
    provider = SPEC.make(config, Wire(FakeHttp(), smtp))
    assert await provider.send(told, Context(renderer(told), URL)) == SmtpAnswer(250, "OK")
    return smtp.servers[0]


async def test_the_server_gets_what_the_configuration_says() -> None:
    config = msgspec.structs.replace(
        CONFIG,
        hello="me",
        auth_username="u",
        auth_password=Secret("p"),
        auth_secret=Secret("s"),
        auth_identity="i",
        tls_config=TlsConfig(server_name="mx.test"),
        smarthost="[::1]:2525",
    )
    server = await submitted(config)
    assert (server.host, server.port, server.hello) == ("::1", 2525, "me")
    assert (server.username, server.password, server.secret, server.identity) == (
        "u",
        "p",
        "s",
        "i",
    )
    assert server.tls.server_name == "mx.test"


@pytest.mark.parametrize(
    ("smarthost", "forced", "implicit"),
    [
        ("mx:25", None, False),
        ("mx:465", None, True),
        ("mx:465", False, False),
        ("mx:25", True, True),
    ],
)
async def test_port_465_speaks_tls_from_the_start_unless_told_otherwise(
    smarthost: str, *, forced: bool | None, implicit: bool
) -> None:
    config = msgspec.structs.replace(CONFIG, smarthost=smarthost, force_implicit_tls=forced)
    assert (await submitted(config)).implicit_tls is implicit


async def test_starttls_is_required_unless_switched_off() -> None:
    assert (await submitted(CONFIG)).require_tls
    off = SPEC.merge(CONFIG, Defaults(smtp_require_tls=False))
    assert not (await submitted(off)).require_tls
    assert (await submitted(SPEC.merge(CONFIG, Defaults()))).require_tls
