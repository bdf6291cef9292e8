"""Faults that really happen to a server: its packs notice, and its webhook is told.

What is noticed comes from the server itself: its scrapes, and its own metrics (`self_metrics`).
"""

from __future__ import annotations

import asyncio
import textwrap
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from house import Told, Webhook, free_port, request

from tocsin.app.lifecycle import Runtime
from tocsin.config_loader.load import load
from tocsin.security.tokens import digest

OPERATOR, TOKEN = "token-of-the-operator", "token-of-acme"
WITHIN_S = 60.0
CONFIG = """\
server:
  listen: ["127.0.0.1:0"]
  tokens: [{{ name: operator, role: platform-admin, sha256: {operator} }}]
storage: {{ path: data }}
reload: {{ watch: false }}
tenants:
  - id: other
  - id: acme
    tokens: [{{ name: first, sha256: {token} }}]
    scrape_interval: 200ms
    scrape_timeout: 200ms
    scrape_configs: [{{ job_name: shop, static_configs: [{{ targets: ["127.0.0.1:{port}"] }}] }}]
    self_metrics: {{ enabled: true, interval: 200ms, instance: here }}
    evaluation_interval: 200ms
    resend_delay: 200ms
    rule_packs:
      - {{ name: system, for: {{ TargetDown: 200ms }} }}
      - {{ name: security, set: {{ logins_failed: 5 }} }}
      - name: tocsin
        for:
          TocsinConfigReloadFailed: 0s
          TocsinRulesFailing: 0s
          TocsinNotificationsFailing: 0s
{more}
    alertmanager:
      route:
        receiver: team
        group_by: ["..."]
        group_wait: 1ms
        group_interval: 200ms
        routes: [{{ receiver: gone, matchers: ['to="nobody"'] }}]
      receivers:
        - {{ name: team, webhook_configs: [{{ url: "{hook}" }}] }}
        - {{ name: gone, webhook_configs: [{{ url: "http://127.0.0.1:{port}/gone" }}] }}
"""
MANY_TO_MANY = """\
    groups:
      - name: broken
        rules: [{ record: broken, expr: 'up * on () up' }]
"""


class Shop:
    """A scrape target that can die, and that knows no webhook."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    def open(self) -> None:
        """Begin to answer."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _Answers)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def die(self) -> None:
        """Answer no more. Idempotent."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(200, b"shop_open 1\n")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(404, b"gone\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(slots=True)
class Town:
    """A server with its packs, the target it scrapes and the webhook it tells."""

    folder: Path
    hook: Webhook = field(default_factory=Webhook)
    shop: Shop = field(default_factory=Shop)
    runtime: Runtime = field(init=False)

    @property
    def file(self) -> Path:
        return self.folder / "tocsin.yaml"

    def write(self, more: str = "") -> None:
        """Write the configuration; `more` are lines of the tenant."""
        text = CONFIG.format(
            operator=digest(OPERATOR),
            token=digest(TOKEN),
            port=self.shop.port,
            hook=self.hook.url("team"),
            more=more.rstrip("\n"),
        )
        self.file.write_text(textwrap.dedent(text))

    async def start(self) -> None:
        self.shop.open()
        self.write()
        self.runtime = Runtime(lambda: load(self.file))
        await self.runtime.start()

    async def stop(self) -> None:
        await self.runtime.stop()
        await asyncio.to_thread(self.shop.die)
        await asyncio.to_thread(self.hook.close)

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> int:
        url = self.runtime.url + path
        status, _ = await asyncio.to_thread(request, method, url, token=token, body=body)
        return status

    async def told(self, name: str, status: str = "firing") -> dict[str, str]:
        """Wait until the webhook was told of an alert; return its labels."""

        def found(heard: list[Told]) -> dict[str, str] | None:
            alerts = (alert for told in heard for alert in told.body["alerts"])
            of_name = (a for a in alerts if a["labels"]["alertname"] == name)
            return next((a["labels"] for a in of_name if a["status"] == status), None)

        wait, what = self.hook.wait, f"{name} {status}"
        labels = await asyncio.to_thread(wait, found, within=WITHIN_S, what=what)
        assert isinstance(labels, dict)
        return labels

    def has_told(self, name: str) -> bool:
        """Tell whether the webhook has been told of an alert."""
        return any(name in told.names for told in list(self.hook.told))


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    made = Town(tmp_path)
    await made.start()
    yield made
    await made.stop()


pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("logging_as_before")]


async def test_the_watchdog_is_heard_at_once(town: Town) -> None:
    labels = await town.told("Watchdog")
    assert labels == {"alertname": "Watchdog", "pack": "tocsin", "severity": "info"}


async def test_a_target_that_dies_is_told_and_so_is_its_return(town: Town) -> None:
    await asyncio.to_thread(town.shop.die)
    labels = await town.told("TargetDown")
    assert (labels["job"], labels["severity"]) == ("shop", "critical")
    town.shop.open()
    await town.told("TargetDown", "resolved")


async def test_guessing_tokens_at_a_tenant_is_told_to_it(town: Town) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not town.has_told("LoginBruteForce"):
            path = "/t/acme/prometheus/api/v1/query?query=1"
            assert await town.ask("GET", path, "guess") == 401
    labels = await town.told("LoginBruteForce")
    assert labels["severity"] == "critical"
    assert "127" not in labels["source"]


async def test_a_token_used_at_another_tenant_is_told_to_its_own(town: Town) -> None:
    await town.told("Watchdog")
    assert await town.ask("GET", "/t/other/prometheus/api/v1/query?query=1", TOKEN) == 403
    labels = await town.told("CrossTenantAccessAttempt")
    assert labels["control"] == "ISO27001-A.8.3"


async def test_a_configuration_that_is_refused_is_told_until_it_is_mended(town: Town) -> None:
    good = town.file.read_text()
    town.file.write_text(good + "    no_such_key: 1\n")
    assert await town.ask("POST", "/-/reload", OPERATOR) == 500
    await town.told("TocsinConfigReloadFailed")
    town.file.write_text(good)
    assert await town.ask("POST", "/-/reload", OPERATOR) == 200
    await town.told("TocsinConfigReloadFailed", "resolved")


async def test_a_rule_that_cannot_be_evaluated_is_told(town: Town) -> None:
    town.write(MANY_TO_MANY)
    assert await town.ask("POST", "/-/reload", OPERATOR) == 200
    assert (await town.told("TocsinRulesFailing"))["severity"] == "critical"


async def test_a_receiver_that_refuses_is_told_to_another(town: Town) -> None:
    number = 0
    async with asyncio.timeout(WITHIN_S):
        while not town.has_told("TocsinNotificationsFailing"):
            number += 1
            alert = {"labels": {"alertname": "Any", "to": "nobody", "number": str(number)}}
            assert await town.ask("POST", "/t/acme/api/v2/alerts", TOKEN, [alert]) == 200
    labels = await town.told("TocsinNotificationsFailing")
    assert labels["integration"] == "webhook"
