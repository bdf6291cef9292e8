"""What every provider promises, run for every SPEC that is registered.

A third party's provider is covered as soon as its package is installed beside this suite, if
its entry point is named in `EXAMPLES` with a configuration to try it with.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from receiver_setup import read_receiver, setup_of

from tocsin.model.errors import Unreachable
from tocsin.model.labels import Labels
from tocsin.model.notification import (
    Answer,
    Delivered,
    HttpAnswer,
    Notification,
    Rejected,
    Retry,
    SmtpAnswer,
)
from tocsin.notification_dispatcher.config import Defaults, IntegrationConfig
from tocsin.notification_dispatcher.fakes import (
    FakeHttp,
    FakeSmtp,
    LoopClock,
    a_notification,
    an_alert,
)
from tocsin.notification_dispatcher.outcome import Result
from tocsin.notification_dispatcher.ports import HttpCall, Mail, SmtpServer
from tocsin.notification_dispatcher.provider import AnySpec, Wire
from tocsin.notification_dispatcher.receivers import Way, Ways
from tocsin.notification_dispatcher.registry import Providers, providers
from tocsin.notification_dispatcher.sending import send_once

CANARY = "Xy7-s3cr3t"

# One entry for each provider, holding CANARY wherever a secret can stand.
EXAMPLES: dict[str, dict[str, Any]] = {
    "webhook_configs": {
        "url": f"http://hook.test/{CANARY}",
        "http_config": {"basic_auth": {"username": "u", "password": CANARY}},
    },
    "email_configs": {
        "to": "ops@example.test",
        "from": "tocsin@example.test",
        "smarthost": "mx.test:25",
        "auth_username": "u",
        "auth_password": CANARY,
        "auth_secret": CANARY,
    },
    "slack_configs": {
        "api_url": f"https://hooks.slack.test/{CANARY}",
        "http_config": {"authorization": {"credentials": CANARY}},
    },
}

REGISTERED = providers()

Behaviour = Callable[[str], Awaitable[Answer]]


@dataclass
class Bench:
    """One provider, and a server that behaves as the test says; `said` is what reached it."""

    spec: AnySpec
    config: IntegrationConfig
    way: Way
    ways: Ways
    http: FakeHttp
    smtp: FakeSmtp
    said: list[str] = field(default_factory=list)

    async def send(self, told: Notification) -> Result:
        return await send_once(self.way, told, self.ways.context(told), clock=LoopClock())

    def behave(self, behaviour: Behaviour) -> None:
        """Answer with what `behaviour` makes of everything secret that reached the server."""

        async def http(call: HttpCall) -> HttpAnswer:
            answer = await behaviour(f"{call.url} {dict(call.headers)}")
            assert isinstance(answer, HttpAnswer)
            return answer

        async def smtp(server: SmtpServer, mail: Mail) -> SmtpAnswer:
            del mail
            answer = await behaviour(f"{server.password} {server.secret}")
            if isinstance(answer, SmtpAnswer):
                return answer
            return SmtpAnswer(_smtp_code(answer.status), answer.body.decode())

        self.http.answer = http
        self.smtp.answer = smtp

    def answer(self, answer: HttpAnswer) -> None:
        async def give(said: str) -> Answer:
            del said
            return answer

        self.behave(give)

    def bodies(self) -> list[str]:
        """Return every text a person or program could read of what was sent, decoded."""
        posted = [json.dumps(body, ensure_ascii=False) for body in self.http.bodies()]
        return posted + [_readable(mail) for mail in self.smtp.mails]


def _smtp_code(status: int) -> int:
    """Return the SMTP reply that means what an HTTP status means."""
    return {2: 250, 5: 421}.get(status // 100, 421 if status in (408, 429) else 550)


def _readable(mail: Mail) -> str:
    message = email.message_from_bytes(mail.message, policy=email.policy.default)
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    return "\n".join([str(message["Subject"]), *parts])


@pytest.fixture(params=[spec.key for spec in REGISTERED.specs])
def bench(request: pytest.FixtureRequest) -> Bench:
    key = request.param
    (spec,) = [spec for spec in REGISTERED.specs if spec.key == key]
    only = Providers((spec,))
    receiver = read_receiver(only, **{key: [EXAMPLES[key]]})
    assert only.findings([receiver], Defaults()) == ()
    http, smtp = FakeHttp(HttpAnswer(200)), FakeSmtp()
    ways = Ways(setup_of([receiver], only), Wire(http, smtp))
    (integration,) = only.integrations(receiver, Defaults())
    way = ways.find(told(spec))
    assert way
    return Bench(spec, integration.config, way, ways, http, smtp)


def told(spec: AnySpec, **changes: Any) -> Notification:
    made = a_notification(integration=f"{spec.name}[0]")
    return msgspec.structs.replace(made, **changes)


async def test_a_good_answer_is_a_delivery(bench: Bench) -> None:
    assert (await bench.send(told(bench.spec))).outcome == Delivered()
    assert len(bench.http.calls) + len(bench.smtp.mails) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_passing_failure_is_a_retry(bench: Bench, status: int) -> None:
    bench.answer(HttpAnswer(status))
    assert isinstance((await bench.send(told(bench.spec))).outcome, Retry)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_lasting_failure_is_a_rejection(bench: Bench, status: int) -> None:
    bench.answer(HttpAnswer(status))
    outcome = (await bench.send(told(bench.spec))).outcome
    expected = Retry if status in bench.spec.retry_statuses else Rejected
    assert isinstance(outcome, expected)


async def test_no_answer_is_a_retry_and_asked_only_once(bench: Bench) -> None:
    async def unreachable(said: str) -> Answer:
        raise Unreachable(f"no route: {said}")

    bench.behave(unreachable)
    result = await bench.send(told(bench.spec))
    assert isinstance(result.outcome, Retry)
    assert len(bench.http.calls) + len(bench.smtp.mails) == 1


async def test_silence_ends_at_the_time_limit(bench: Bench) -> None:
    async def silent(said: str) -> Answer:
        del said
        await asyncio.Event().wait()
        raise AssertionError

    bench.behave(silent)
    begun = asyncio.get_running_loop().time()
    result = await bench.send(told(bench.spec))
    took = asyncio.get_running_loop().time() - begun
    assert result.status == "timeout"
    assert took == pytest.approx(bench.way.timeout.total_seconds())


async def test_cancellation_unblocks(bench: Bench) -> None:
    reached = asyncio.Event()

    async def silent(said: str) -> Answer:
        del said
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    bench.behave(silent)
    sending = asyncio.create_task(bench.send(told(bench.spec)))
    await reached.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_no_secret_in_repr_result_or_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(bench.config), str(bench.config), repr(bench.way), repr(bench.way.provider)]

    async def echo(said: str) -> Answer:
        if "unreachable" in shown:
            raise Unreachable(said)
        return HttpAnswer(400, {"content-type": "text/plain"}, said.encode())

    bench.behave(echo)
    shown.append(repr(await bench.send(told(bench.spec))))
    shown.append("unreachable")
    shown.append(repr(await bench.send(told(bench.spec))))
    shown += [repr(call) for call in bench.http.calls]
    shown += [repr(server) for server in bench.smtp.servers]
    assert CANARY not in "\n".join(shown)
    assert base64.b64encode(f"u:{CANARY}".encode()).decode() not in "\n".join(shown)
    assert CANARY not in caplog.text


@pytest.mark.parametrize("text", ["Größe 日本語 🔥", "\u2028\u0000\x1b[1m", "a" * 70_000])
async def test_any_text_arrives(bench: Bench, text: str) -> None:
    alert = msgspec.structs.replace(
        an_alert(), annotations=Labels.of({"summary": text, "description": "stands behind it"})
    )
    assert (await bench.send(told(bench.spec, alerts=(alert,)))).outcome == Delivered()
    (body,) = bench.bodies()
    assert "HighLoad" in body


async def test_unicode_arrives_as_it_was_written(bench: Bench) -> None:
    labels = Labels.of({"alertname": "Größe 日本語 🔥"})
    alert = msgspec.structs.replace(an_alert(), labels=labels)
    sent = told(bench.spec, alerts=(alert,), group_labels=labels)
    assert (await bench.send(sent)).outcome == Delivered()
    (body,) = bench.bodies()
    assert "Größe 日本語 🔥" in body


async def test_a_group_of_thousands_is_told_within_bounds(bench: Bench) -> None:
    alerts = tuple(an_alert(f"alert-{n}", instance=f"host-{n}") for n in range(3000))
    assert (await bench.send(told(bench.spec, alerts=alerts))).outcome == Delivered()
    size = sum(len(call.body) for call in bench.http.calls)
    size += sum(len(mail.message) for mail in bench.smtp.mails)
    assert 0 < size < 2_000_000


async def test_every_attempt_carries_the_same_mark(bench: Bench) -> None:
    for _ in range(2):
        await bench.send(told(bench.spec))
    marks = {call.headers["Idempotency-Key"] for call in bench.http.calls}
    marks |= {
        email.message_from_bytes(mail.message)["Message-Id"].partition("@")[0][1:]
        for mail in bench.smtp.mails
    }
    assert marks == {told(bench.spec).id}


def test_the_introduction_is_complete(bench: Bench) -> None:
    spec = bench.spec
    assert spec.key.endswith("_configs")
    assert issubclass(spec.config, IntegrationConfig)
    assert spec.config.__doc__
    assert bench.way.endpoint
    assert bench.way.timeout.total_seconds() > 0


def test_a_bare_entry_is_judged_and_not_a_crash(bench: Bench) -> None:
    bare = bench.spec.merge(bench.spec.config(), Defaults())
    assert bench.spec.check(bare)
