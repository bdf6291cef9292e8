"""One whole Tocsin in this process: start, reload, stop, with real sockets, files and webhooks."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from house import Told, Webhook, eventually, request

from tocsin.app.lifecycle import Runtime
from tocsin.app.overrides import Overrides
from tocsin.app.server import CannotListen
from tocsin.config_loader.load import load
from tocsin.model.errors import ConfigError, StoreUnusable
from tocsin.security.tokens import digest

OPERATOR = "token-of-the-operator"
GOOD = "tocsin_config_last_reload_successful"
TENANT = """\
  - id: {name}
    tokens: [{{ name: first, sha256: {digest} }}]
    system_metrics: {{ enabled: false }}
    evaluation_interval: 1s
    {extra}
    alertmanager:
      route: {{ receiver: team, group_by: [alertname], group_wait: 10ms, group_interval: 100ms }}
      receivers:
        - name: team
          webhook_configs: [{{ url: "{url}" }}]
"""


@dataclass(slots=True)
class Town:
    """A configuration in a folder, the webhook its tenants tell, and the server it makes."""

    folder: Path
    hook: Webhook
    server: str = ""
    watch: bool = False
    tenants: dict[str, str] = field(default_factory=dict)
    runtimes: list[Runtime] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "tocsin.yaml"

    def write(self) -> None:
        """Write the configuration: `tenants` maps an id to lines of its own."""
        told = "".join(
            TENANT.format(name=n, digest=digest(f"token-of-{n}"), extra=e, url=self.hook.url(n))
            for n, e in self.tenants.items()
        )
        operator = f"{{ name: operator, role: platform-admin, sha256: {digest(OPERATOR)} }}"
        head = f"""\
            server:
              listen: ["127.0.0.1:0"]
              tokens: [{operator}]
              {self.server}
            storage: {{ path: data }}
            reload: {{ watch: {str(self.watch).lower()} }}
            tenants:
            """
        self.file.write_text(textwrap.dedent(head) + told)

    async def start(self, overrides: Overrides | None = None) -> Runtime:
        """Start a server; the fixture stops it."""
        runtime = Runtime(lambda: load(self.file), overrides)
        self.runtimes.append(runtime)
        await runtime.start()
        return runtime

    @property
    def url(self) -> str:
        return self.runtimes[-1].url

    def asked(self, method: str, path: str, who: str, body: Any = None) -> tuple[int, str]:
        token = {"": "", "operator": OPERATOR}.get(who, f"token-of-{who}")
        return request(method, self.url + path, token=token, body=body)

    async def ask(self, method: str, path: str, who: str = "", body: Any = None) -> tuple[int, str]:
        """Return status and body; `who` is a tenant or "operator"."""
        return await asyncio.to_thread(self.asked, method, path, who, body)

    async def eventually(self, method: str, path: str, who: str, text: str) -> None:
        """Wait until an answer holds `text`."""

        def holds() -> bool:
            return text in self.asked(method, path, who)[1]

        await asyncio.to_thread(eventually, holds, what=f"{text} in {path}")

    async def post(self, tenant: str, name: str, **labels: str) -> int:
        alert = {"labels": {"alertname": name, **labels}}
        return (await self.ask("POST", f"/t/{tenant}/api/v2/alerts", tenant, [alert]))[0]

    async def alerts(self, tenant: str) -> list[str]:
        status, body = await self.ask("GET", f"/t/{tenant}/api/v2/alerts", tenant)
        assert status == 200, body
        return sorted(alert["labels"]["alertname"] for alert in json.loads(body))

    async def told(self, path: str, name: str) -> Told:
        """Wait until the webhook was told of an alert."""

        def found(heard: list[Told]) -> Told | None:
            return next((t for t in heard if t.path == path and name in t.names), None)

        told = await asyncio.to_thread(self.hook.wait, found, what=f"{path} told of {name}")
        assert isinstance(told, Told)
        return told

    async def metric(self, name: str) -> float:
        _, page = await self.ask("GET", "/metrics", "operator")
        (line,) = [text for text in page.splitlines() if text.startswith(f"{name} ")]
        return float(line.split()[1])


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    hook = Webhook()
    made = Town(tmp_path, hook, tenants={"a": "", "b": ""})
    made.write()
    yield made
    for runtime in made.runtimes:
        await runtime.stop()
    await asyncio.to_thread(hook.close)


async def test_a_posted_alert_reaches_the_webhook_of_its_tenant_alone(town: Town) -> None:
    runtime = await town.start()
    assert runtime.ready()
    assert (await town.ask("GET", "/-/ready"))[0] == 200
    assert await town.post("a", "Down", severity="critical") == 200
    told = await town.told("a", "Down")
    assert told.body["receiver"] == "team"
    assert told.body["externalURL"] == f"{town.url}/t/a"
    assert await town.alerts("a") == ["Down"]
    assert await town.alerts("b") == []
    assert {t.path for t in town.hook.told} == {"a"}
    _, log = await town.ask("GET", "/api/tocsin/v1/deliveries", "a")
    assert json.loads(log)["items"][0]["notification"]["receiver"] == "team"
    _, log = await town.ask("GET", "/api/tocsin/v1/deliveries", "b")
    assert json.loads(log)["items"] == []


async def test_a_rule_fires_for_its_own_tenant(town: Town) -> None:
    rule = "groups: [{name: g, rules: [{alert: Always, expr: vector(1) > 0}]}]"
    town.tenants["a"] = rule
    town.write()
    await town.start()
    await town.told("a", "Always")
    assert await town.alerts("b") == []
    _, body = await town.ask("GET", "/t/a/prometheus/api/v1/query?query=ALERTS", "a")
    (series,) = json.loads(body)["data"]["result"]
    assert series["metric"]["alertname"] == "Always"


async def test_stopping_closes_the_door_and_may_be_done_twice(town: Town) -> None:
    runtime = await town.start()
    url = runtime.url
    await runtime.stop()
    assert not runtime.ready()
    assert (await asyncio.to_thread(request, "GET", f"{url}/-/ready"))[0] == 0
    await runtime.stop()


async def test_what_was_never_started_has_no_desk_and_stops(town: Town) -> None:
    runtime = Runtime(lambda: load(town.file))
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = runtime.url
    await runtime.stop()


async def test_what_was_acknowledged_is_there_after_a_restart(town: Town) -> None:
    runtime = await town.start()
    await town.post("a", "Kept")
    await town.told("a", "Kept")
    await runtime.stop()
    await town.start()
    assert await town.alerts("a") == ["Kept"]


async def test_a_reload_adds_changes_and_removes_tenants(town: Town) -> None:
    runtime = await town.start()
    await town.post("a", "Before")
    await town.told("a", "Before")
    old = await town.ask("GET", "/t/b/api/v2/alerts", "b")
    assert old[0] == 200
    town.tenants = {"a": "", "c": ""}
    town.write()
    written = town.file.read_text()
    town.file.write_text(written.replace(town.hook.url("a"), town.hook.url("a-changed")))
    await runtime.reload()
    await town.post("a", "After")
    await town.told("a-changed", "After")
    assert await town.alerts("a") == ["After", "Before"]
    await town.post("c", "New")
    await town.told("c", "New")
    assert (await town.ask("GET", "/t/b/api/v2/alerts", "b"))[0] == 401
    assert (await town.ask("GET", "/t/b/api/v2/alerts", "a"))[0] == 403


async def test_a_tenant_that_comes_back_has_what_it_had(town: Town) -> None:
    runtime = await town.start()
    await town.post("b", "Kept")
    del town.tenants["b"]
    town.write()
    await runtime.reload()
    town.tenants["b"] = ""
    town.write()
    await runtime.reload()
    assert await town.alerts("b") == ["Kept"]
    await town.told("b", "Kept")


async def test_a_file_that_is_refused_changes_nothing(town: Town) -> None:
    runtime = await town.start()
    assert await town.metric(GOOD) == 1
    since = await town.metric("tocsin_config_last_reload_success_timestamp_seconds")
    good = town.file.read_text()
    town.file.write_text(good.replace("group_wait", "group_wiat"))
    with pytest.raises(ConfigError, match="group_wait"):
        await runtime.reload()
    assert await town.metric(GOOD) == 0
    assert await town.metric("alertmanager_config_last_reload_successful") == 0
    assert await town.metric("tocsin_config_last_reload_success_timestamp_seconds") == since
    await town.post("a", "Still")
    await town.told("a", "Still")
    town.file.write_text(good)
    await runtime.reload()
    assert await town.metric(GOOD) == 1


async def test_a_reload_that_fails_half_way_leaves_every_tenant_as_it_was(town: Town) -> None:
    runtime = await town.start()
    town.tenants = {"a": "", "b": "", "c": ""}
    town.write()
    (town.folder / "bad.tmpl").write_text("{{ if }}")
    text = town.file.read_text().replace(town.hook.url("a"), town.hook.url("a-changed"))
    head, mark, tail = text.rpartition("    alertmanager:\n")
    town.file.write_text(f"{head}{mark}      templates: [bad.tmpl]\n{tail}")
    assert (await town.ask("POST", "/-/reload", "operator"))[0] == 500
    assert await town.metric(GOOD) == 0
    await town.post("a", "Still")
    await town.told("a", "Still")
    assert (await town.ask("GET", "/t/c/api/v2/alerts", "c"))[0] == 401
    town.write()
    await runtime.reload()
    await town.post("c", "Mended")
    await town.told("c", "Mended")


async def test_only_the_operator_reloads_over_http(town: Town) -> None:
    await town.start()
    assert (await town.ask("POST", "/-/reload"))[0] == 401
    assert (await town.ask("POST", "/-/reload", "a"))[0] == 403
    town.tenants["c"] = ""
    town.write()
    assert await town.ask("POST", "/-/reload", "operator") == (200, "")
    assert await town.alerts("c") == []
    town.file.write_text("tenants: [")
    status, words = await town.ask("POST", "/-/reload", "operator")
    assert status == 500
    assert words.startswith("failed to reload config: ")
    assert "tocsin.yaml:2:1: not valid YAML" in words


async def test_an_edited_file_is_taken_over_by_itself(town: Town) -> None:
    town.watch = True
    town.write()
    await town.start()
    written = town.file.read_text()
    town.file.write_text(written.replace("group_wait", "group_wiat"))
    await town.eventually("GET", "/metrics", "operator", f"{GOOD} 0.0")
    town.tenants["c"] = ""
    town.write()
    await town.eventually("GET", "/metrics", "operator", f"{GOOD} 1.0")
    assert await town.alerts("c") == []


async def test_a_setting_that_needs_a_restart_says_so(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await town.start()
    url = runtime.url
    town.server = "route_prefix: /new"
    town.write()
    await runtime.reload()
    assert runtime.url == url
    assert (await town.ask("GET", "/-/ready"))[0] == 200
    told = [r for r in caplog.records if r.getMessage() == "takes effect at the next start"]
    assert [r.__dict__["fields"]["setting"] for r in told] == ["server.route_prefix"]


async def test_flags_win_over_the_file_at_every_reload(town: Town) -> None:
    notes = ("--cluster.peer changes nothing",)
    overrides = Overrides(data_dir=town.folder / "elsewhere", route_prefix="/base", notes=notes)
    runtime = await town.start(overrides)
    assert runtime.url.endswith("/base")
    assert (await town.ask("GET", "/-/ready"))[0] == 200
    await runtime.reload()
    assert (town.folder / "elsewhere").is_dir()
    assert not (town.folder / "data").exists()


async def test_a_second_server_on_the_same_data_is_refused_in_words(town: Town) -> None:
    await town.start()
    with pytest.raises(StoreUnusable, match=r"in use|another process"):
        await town.start()
    town.runtimes.pop()
    assert (await town.ask("GET", "/-/ready"))[0] == 200


async def test_a_start_that_fails_closes_what_it_opened(town: Town) -> None:
    first = await town.start()
    address = first.url.removeprefix("http://")
    taken = Overrides(listen=("127.0.0.1:0", address), data_dir=town.folder / "other")
    with pytest.raises(CannotListen, match=f"cannot listen on {address}"):
        await town.start(taken)
    town.runtimes.pop()
    again = Overrides(data_dir=town.folder / "other")
    await town.start(again)


async def test_a_bad_file_starts_nothing(town: Town) -> None:
    town.file.write_text("tenants: []\nsevrer: {}\n")
    with pytest.raises(ConfigError, match="server"):
        await town.start()
    town.runtimes.pop()
    assert not (town.folder / "data").exists()
