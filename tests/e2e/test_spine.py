"""From a real metric to a real notification, for two tenants, over kill -9."""

from __future__ import annotations

import json
import secrets
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from house import (
    Mailbox,
    Process,
    Webhook,
    answers,
    eventually,
    free_port,
    program,
    request,
    running,
    wait_ready,
)

from tocsin.security.tokens import ENTROPY_BYTES, mint

RULES = """\
groups:
  - name: memory
    interval: 1s
    rules:
      - alert: MemoryIsFree
        expr: node_memory_MemFree_bytes{{job="exporter"}} > {bound}
        labels: {{severity: info}}
        annotations: {{summary: '{{{{ $labels.instance }}}} has memory'}}
"""


@dataclass(slots=True)
class Spine:
    """A running server with two tenants, and everything that listens to it."""

    folder: Path
    server: Process
    url: str
    hook: Webhook
    mail: Mailbox
    tokens: dict[str, str]

    def ready(self) -> None:
        wait_ready(self.server, f"{self.url}/-/ready")

    def query(self, tenant: str, expr: str) -> list[Any]:
        path = f"{self.url}/t/{tenant}/prometheus/api/v1/query?query={expr}"
        status, body = answers(path, token=self.tokens[tenant])
        assert status == 200, body
        return list(json.loads(body)["data"]["result"])

    def alerts(self, tenant: str) -> list[Any]:
        url = f"{self.url}/t/{tenant}/api/v2/alerts"
        status, body = answers(url, token=self.tokens[tenant])
        assert status == 200, body
        return list(json.loads(body))


@pytest.fixture
def spine(tmp_path: Path, installed: Path) -> Iterator[Spine]:
    exporter_port, port = free_port(), free_port()
    exporter = Process(
        [program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{exporter_port}"],
        tmp_path / "exporter.log",
    )
    hook, mail = Webhook(), Mailbox()
    minted = {name: mint(secrets.token_bytes(ENTROPY_BYTES)) for name in ("a", "b")}
    (tmp_path / "rules.yml").write_text(RULES.format(bound=0))
    (tmp_path / "tocsin.yaml").write_text(
        configuration(
            {name: m.sha256 for name, m in minted.items()}, exporter_port, hook, mail.port
        )
    )
    server = Process(
        [
            str(installed / "tocsin"),
            "serve",
            f"--config={tmp_path / 'tocsin.yaml'}",
            f"--data-dir={tmp_path / 'data'}",
            f"--listen=127.0.0.1:{port}",
        ],
        tmp_path / "tocsin.log",
    )
    tokens = {name: m.plain.reveal() for name, m in minted.items()}
    with running(hook, mail, exporter.start(), server.start()):
        house = Spine(tmp_path, server, f"http://127.0.0.1:{port}", hook, mail, tokens)
        house.ready()
        yield house


def configuration(digests: dict[str, str], exporter: int, hook: Webhook, smtp: int) -> str:
    return textwrap.dedent(f"""\
        tenants:
          - id: a
            tokens: [{{name: t, sha256: {digests["a"]}}}]
            system_metrics: {{enabled: true, interval: 1s}}
            scrape_configs:
              - job_name: exporter
                scrape_interval: 1s
                static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
            rule_files: [rules.yml]
            alertmanager:
              global:
                smtp_smarthost: 127.0.0.1:{smtp}
                smtp_from: tocsin@example.org
                smtp_require_tls: false
              route: {{receiver: team, group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}
              receivers:
                - name: team
                  webhook_configs: [{{url: "{hook.url("a")}"}}]
                  email_configs: [{{to: oncall@example.org, send_resolved: true}}]
          - id: b
            tokens: [{{name: t, sha256: {digests["b"]}}}]
            system_metrics: {{enabled: false}}
            alertmanager:
              route:
                receiver: team
                group_by: [alertname]
                group_wait: 1s
                group_interval: 1s
                repeat_interval: 1h
              receivers:
                - name: team
                  webhook_configs: [{{url: "{hook.url("b")}"}}]
        """)


def told(hook: Webhook, path: str, status: str) -> list[Any]:
    return [t for t in hook.told if t.path == path and t.body["status"] == status]


def test_a_real_metric_becomes_one_webhook_and_one_mail_and_resolves_on_reload(
    spine: Spine,
) -> None:
    spine.hook.wait(lambda _: told(spine.hook, "a", "firing"), what="tenant a told by webhook")
    spine.mail.wait(lambda mails: mails, what="tenant a told by mail")
    (alert,) = told(spine.hook, "a", "firing")[0].body["alerts"]
    assert alert["labels"]["alertname"] == "MemoryIsFree"
    assert alert["annotations"]["summary"].endswith("has memory")
    assert spine.query("a", "node_memory_MemFree_bytes")
    assert {s["metric"]["job"] for s in spine.query("a", "up==1")} == {"exporter", "node"}
    assert spine.query("b", "up") == []
    assert spine.alerts("b") == []

    spine.folder.joinpath("rules.yml").write_text(RULES.format(bound="1e18"))
    spine.hook.wait(lambda _: told(spine.hook, "a", "resolved"), what="resolution by webhook")
    spine.mail.wait(
        lambda mails: [m for m in mails if "RESOLVED" in str(m["Subject"])],
        what="resolution by mail",
    )
    assert len(told(spine.hook, "a", "firing")) == 1
    assert len(told(spine.hook, "a", "resolved")) == 1
    assert len(spine.mail.mails) == 2
    assert told(spine.hook, "b", "firing") == []


def test_a_bad_file_changes_nothing_and_says_so(spine: Spine) -> None:
    spine.hook.wait(lambda _: told(spine.hook, "a", "firing"), what="tenant a told")
    path = spine.folder / "tocsin.yaml"
    good = path.read_text()
    path.write_text(good.replace("scrape_configs", "scrape_confgs"))
    eventually(lambda: "scrape_configs" in spine.server.tail(), what="the fault in the log")
    assert spine.alerts("a")
    assert spine.query("a", "up==1")


def test_a_real_prometheus_and_amtool_work_on_the_tenants_mount(spine: Spine) -> None:
    prometheus, amtool = program("prometheus"), program("amtool")
    port, folder = free_port(), spine.folder / "prometheus"
    folder.mkdir()
    folder.joinpath("token").write_text(spine.tokens["b"])
    folder.joinpath("rules.yml").write_text(
        "groups: [{name: g, interval: 1s, rules: [{alert: FromPrometheus, expr: vector(1)}]}]\n"
    )
    folder.joinpath("prometheus.yml").write_text(
        textwrap.dedent(f"""\
            global: {{evaluation_interval: 1s}}
            rule_files: [rules.yml]
            alerting:
              alertmanagers:
                - path_prefix: /t/b
                  authorization: {{credentials_file: token}}
                  static_configs: [{{targets: ["{spine.url.removeprefix("http://")}"]}}]
            """)
    )
    peer = Process(
        [
            prometheus,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--rules.alert.resend-delay=2s",  # what it sends before discovery is dropped
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        folder / "prometheus.log",
        cwd=folder,
    )
    http = folder / "amtool.yml"
    http.write_text(f"authorization: {{credentials_file: {folder / 'token'}}}\n")

    def am(*arguments: str) -> str:
        base = [amtool, f"--alertmanager.url={spine.url}/t/b", f"--http.config.file={http}"]
        done = subprocess.run(
            [*base, *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            env={"HOME": str(folder)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with running(peer.start()):
        spine.hook.wait(lambda _: told(spine.hook, "b", "firing"), what="Prometheus' alert")
        assert "FromPrometheus" in am("alert", "query", "-o", "simple")
        silence = am(
            "silence", "add", "alertname=FromPrometheus", "--comment=test", "--author=me"
        ).strip()
        assert silence in am("silence", "query", "-q")
        state = eventually(
            lambda: [a for a in spine.alerts("b") if a["status"]["state"] == "suppressed"],
            what="the alert suppressed",
        )
        assert state[0]["status"]["silencedBy"] == [silence]
        am("silence", "expire", silence)
        assert am("silence", "query", "-q").strip() == ""
    assert {x["labels"]["alertname"] for x in spine.alerts("a")} == {"MemoryIsFree"}


def test_kill_nine_loses_nothing_that_was_acknowledged(spine: Spine) -> None:
    names = [f"Kept{n}" for n in range(20)]
    url = f"{spine.url}/t/b/api/v2"
    for name in names:
        body = [{"labels": {"alertname": name}}]
        assert request("POST", f"{url}/alerts", token=spine.tokens["b"], body=body)[0] == 200
    silence = {
        "matchers": [{"name": "alertname", "value": "Quiet", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2096-01-01T00:00:00Z",
        "createdBy": "me",
        "comment": "kept",
    }
    status, made = request("POST", f"{url}/silences", token=spine.tokens["b"], body=silence)
    assert status == 200, made
    spine.server.kill()
    spine.server.start()
    spine.ready()
    assert {a["labels"]["alertname"] for a in spine.alerts("b")} == set(names)
    _, listed = answers(f"{url}/silences", token=spine.tokens["b"])
    assert [s["id"] for s in json.loads(listed)] == [json.loads(made)["silenceID"]]
    spine.hook.wait(
        lambda _: {n for t in told(spine.hook, "b", "firing") for n in t.names} == set(names),
        what="every acknowledged alert notified",
    )
    assert spine.server.stop() == 0
