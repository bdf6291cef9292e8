"""`tocsin validate`: does the whole way hold, from a metric to a delivered notification?

Every step is a question to the running server, asked as a user's programs would ask it. The
last one posts an alert and waits for it on a loopback port, through the tenant's own
receiver `tocsin-validate` (`tocsin init` writes one).
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from tocsin.cli.client import Client
from tocsin.cli.home import DEFAULT_HOME, DEFAULT_PORT, HOME_VARIABLE
from tocsin.cli.main import EXIT_ERROR
from tocsin.config_loader.load import load
from tocsin.config_loader.loaded import TenantSettings
from tocsin.model.errors import ConfigError
from tocsin.model.secret import Secret

RECEIVER = "tocsin-validate"
LABEL = "tocsin_validate"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was asked, and the answer."""

    what: str
    passed: bool
    detail: str


@dataclass(slots=True)
class Listener:
    """A loopback webhook that remembers the alert names it was told, by path."""

    port: int
    heard: dict[str, set[str]] = field(default_factory=dict)

    def serve(self) -> ThreadingHTTPServer:
        """Start listening in a thread. Raises OSError when the port is taken."""
        heard = self.heard

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                names = {a["labels"].get("alertname", "") for a in json.loads(body)["alerts"]}
                heard.setdefault(self.path, set()).update(names)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Hook)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option(
    "--data-dir",
    "folder",
    envvar=HOME_VARIABLE,
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="The folder that was given to `up`.",
)
@click.option("--timeout", "timeout_s", type=float, default=30.0, help="Seconds a step may take.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def validate(port: int, folder: Path, timeout_s: float, output: str) -> None:
    """Check a running server from end to end; exit 0 only when every check passed."""
    checks = []
    for check in _all_checks(f"http://127.0.0.1:{port}", folder, timeout_s):
        checks.append(check)
        if output == "text":
            click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.what}: {check.detail}")
    failed = sum(not check.passed for check in checks)
    if output == "json":
        click.echo(json.dumps({"passed": not failed, "checks": [asdict(c) for c in checks]}))
    else:
        click.echo(f"{len(checks) - failed} of {len(checks)} checks passed")
    sys.exit(EXIT_ERROR if failed else 0)


def _all_checks(url: str, folder: Path, timeout_s: float) -> Iterator[Check]:
    path = folder / "tocsin.yaml"
    try:
        loaded = load(path)
    except ConfigError as error:
        yield Check("configuration", passed=False, detail=str(error))
        return
    names = [tenant.id for tenant in loaded.config.tenants]
    yield Check("configuration", passed=True, detail=f"{path} is valid; tenants {', '.join(names)}")
    ready = _ask(Client(url), "GET", "/-/ready")
    yield Check("ready", passed=ready == 200, detail=f"{url}/-/ready answers {ready}")
    if ready != 200:
        return
    for tenant in loaded.config.tenants:
        token = _token(folder, tenant.id)
        try:
            yield from _tenant_checks(_Tenant(tenant.id, tenant, Client(url, token), timeout_s))
        except OSError as error:
            detail = f"{url} no longer answers: {error}"
            yield Check(f"{tenant.id}: connection", passed=False, detail=detail)


@dataclass(frozen=True, slots=True)
class _Tenant:
    name: str
    settings: TenantSettings
    client: Client
    timeout_s: float

    def query(self, expr: str) -> list[Any]:
        """Return the result of an instant query, empty when the server does not answer one."""
        path = f"/t/{self.name}/prometheus/api/v1/query"
        reply = self.client.call("GET", path, params={"query": expr}).json() or {}
        result = (reply.get("data") or {}).get("result", [])
        return result if isinstance(result, list) else []


def _tenant_checks(tenant: _Tenant) -> Iterator[Check]:
    if not tenant.client.token:
        detail = "no token file under tokens/; make one with `tocsin init` or put it there"
        yield Check(f"{tenant.name}: token", passed=False, detail=detail)
        return
    yield _scrape_check(tenant)
    yield _rules_check(tenant)
    yield _delivery_check(tenant)
    stranger = Client(tenant.client.url).call("GET", f"/t/{tenant.name}/api/v2/alerts").status
    detail = f"a request without a token is answered {stranger}"
    yield Check(f"{tenant.name}: closed to strangers", passed=stranger == 401, detail=detail)


def _scrape_check(tenant: _Tenant) -> Check:
    """Every target was scraped and is up, and samples arrive."""
    path = f"/t/{tenant.name}/prometheus/api/v1/targets"

    def scraped() -> bool:
        data = (tenant.client.call("GET", path).json() or {}).get("data") or {}
        return all(t["health"] != "unknown" for t in data.get("activeTargets", []))

    _wait(lambda: scraped() and bool(tenant.query("up")), tenant.timeout_s)
    up, down = tenant.query("up == 1"), tenant.query("up == 0")
    names = ", ".join(sorted(s["metric"].get("job", "?") for s in up))
    what = f"{tenant.name}: scrape"
    if down:
        bad = ", ".join(s["metric"].get("instance", "?") for s in down)
        return Check(what, passed=False, detail=f"down: {bad}")
    return Check(what, passed=bool(up), detail=f"up: {names}" if up else "no target is up")


def _rules_check(tenant: _Tenant) -> Check:
    """Every rule was evaluated, without an error."""
    path = f"/t/{tenant.name}/prometheus/api/v1/rules"

    def rules() -> list[Any]:
        data = (tenant.client.call("GET", path).json() or {}).get("data") or {}
        return [rule for group in data.get("groups", []) for rule in group["rules"]]

    what = f"{tenant.name}: rules"
    _wait(lambda: all(r["health"] != "unknown" for r in rules()), tenant.timeout_s)
    found = rules()
    bad = [f"{r['name']} is {r['health']} {r.get('lastError', '')}" for r in found]
    bad = [text for text, rule in zip(bad, found, strict=True) if rule["health"] != "ok"]
    if bad:
        return Check(what, passed=False, detail="; ".join(bad))
    return Check(what, passed=True, detail=f"{len(found)} evaluated without error")


def _delivery_check(tenant: _Tenant) -> Check:
    """A posted alert reaches a webhook."""
    what = f"{tenant.name}: notification"
    address = _webhook_of(tenant.settings)
    if address is None:
        detail = (
            f"no receiver {RECEIVER!r} with a loopback webhook: add one, routed by "
            f'{LABEL}="true" (see `tocsin init`)'
        )
        return Check(what, passed=False, detail=detail)
    listener = Listener(address.port or 80)
    try:
        server = listener.serve()
    except OSError as error:
        detail = f"cannot listen on 127.0.0.1:{listener.port}: {error}"
        return Check(what, passed=False, detail=detail)
    try:
        return _post_and_wait(tenant, listener, address.path, what)
    finally:
        server.shutdown()
        server.server_close()


def _post_and_wait(tenant: _Tenant, listener: Listener, path: str, what: str) -> Check:
    name = f"TocsinValidate{uuid.uuid4().hex[:12]}"
    labels = {"alertname": name, LABEL: "true", "severity": "info"}
    began = time.monotonic()
    status = _ask(tenant.client, "POST", f"/t/{tenant.name}/api/v2/alerts", [{"labels": labels}])
    if status != 200:
        return Check(what, passed=False, detail=f"posting an alert is answered {status}")
    heard = _wait(lambda: name in listener.heard.get(path, ()), tenant.timeout_s)
    end = {"labels": labels, "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    _ask(tenant.client, "POST", f"/t/{tenant.name}/api/v2/alerts", [end])
    where = f"loopback webhook on port {listener.port}"
    if heard:
        took = time.monotonic() - began
        return Check(what, passed=True, detail=f"test alert reached a {where} in {took:.1f} s")
    detail = f"test alert did not reach the {where} in {tenant.timeout_s:.0f} s"
    return Check(what, passed=False, detail=detail)


def _webhook_of(settings: TenantSettings) -> urllib.parse.SplitResult | None:
    """Return the loopback address of the validation receiver, None when there is none."""
    for receiver in settings.alertmanager.receivers:
        for integration in receiver.integrations if receiver.name == RECEIVER else ():
            url = getattr(integration.config, "url", None)
            address = urllib.parse.urlsplit(url.reveal() if isinstance(url, Secret) else "")
            if address.hostname in ("127.0.0.1", "localhost"):
                return address
    return None


def _token(folder: Path, tenant: str) -> str:
    path = folder / "tokens" / f"{tenant}.token"
    return path.read_text().strip() if path.exists() else ""


def _ask(client: Client, method: str, path: str, body: Any = None) -> int:
    """Return the status of an answer, 0 when there is none."""
    try:
        return client.call(method, path, body=body).status
    except OSError:
        return 0


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.1)
    return until()
