"""Verbs that ask a server: what they send, what they print, and how they end."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result
from house import answers, free_port

from tocsin.app.facade import AlertManager
from tocsin.cli.main import main

AMBIGUOUS = (  # fails whatever the store holds: two elements on the right for one on the left
    'vector(1) + on() (vector(1) or label_replace(vector(2), "a", "b", "", ""))'
)


class Peer:
    """A loopback server that answers everything the same way and remembers what was asked.

    With `only`, every other path is not there.
    """

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.only = ""
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.hangs_up_after: int | None = None

    def answer(self, body: Any, status: int = 200) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply("")

            def do_POST(self) -> None:
                self.reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def reply(self, form: str) -> None:
                url = urlsplit(self.path)
                token = self.headers.get("Authorization", "")
                peer.asked.append((url.path, parse_qs(url.query or form), token))
                if peer.hangs_up_after is not None and len(peer.asked) > peer.hangs_up_after:
                    self.close_connection = True
                    return
                here = peer.only in ("", url.path)
                body = peer.body if here else b"not here"
                self.send_response(peer.status if here else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), env=env)


def vector(*elements: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": metric, "value": [5, value]} for metric, value in elements]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_an_instant_query_is_printed_as_prometheus_prints_it(peer: Peer) -> None:
    up = {"__name__": "up", "job": "a", "z": 'q"'}
    peer.answer({**vector((up, "1"), ({"__name__": "up"}, "0"), ({}, "2")), "warnings": ["w!"]})
    got = run("query", "instant", f"--url={peer.url}/", "--time=5", "up")
    assert got.exit_code == 0
    assert got.stdout == 'up{job="a", z="q\\""} => 1 @[5]\nup => 0 @[5]\n{} => 2 @[5]\n'
    assert got.stderr == "w!\n"
    assert peer.asked == [("/prometheus/api/v1/query", {"query": ["up"], "time": ["5"]}, "")]


@pytest.mark.parametrize("kind", ["scalar", "string"])
def test_a_scalar_and_a_string_are_one_line(peer: Peer, kind: str) -> None:
    peer.answer({"status": "success", "data": {"resultType": kind, "result": [5, "2"]}})
    assert run("query", "instant", f"--url={peer.url}", "1+1").stdout == f"{kind}: 2 @[5]\n"


def test_a_range_query_prints_every_point(peer: Peer) -> None:
    series = {"metric": {"job": "a"}, "values": [[0, "1"], [15, "2"]]}
    peer.answer({"status": "success", "data": {"resultType": "matrix", "result": [series]}})
    arguments = ["--start=0", "--end=15", f"--url={peer.url}", "up"]
    assert run("query", "range", *arguments).stdout == '{job="a"} =>\n1 @[0]\n2 @[15]\n'
    asked = {"query": ["up"], "start": ["0"], "end": ["15"], "step": ["1"]}
    assert peer.asked == [("/prometheus/api/v1/query_range", asked, "")]
    raw = run("query", "range", "-o", "json", *arguments)
    assert json.loads(raw.stdout)["result"] == [series]
    table = run("query", "range", "-o", "table", "--step=15s", *arguments)
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["job", "MIN", "MAX", "LAST", "TREND"],
        ["a", "1", "2", "2", "▁█"],
    ]


@pytest.mark.parametrize(
    ("flags", "bounds"),
    [
        (["--end=1000"], "700 1000 1"),
        (["--end=1000.5", "--start=1970-01-01T00:00:00Z"], "1970-01-01T00:00:00Z 1000.5 4"),
        (["--end=1000.25"], "700.250 1000.25 1"),
        (["--end=10", "--start=5", "--step=1m"], "5 10 1m"),
        (["--end=10", "--start=5", "--step=0.5"], "5 10 0.5"),
    ],
)
def test_a_range_without_bounds_is_that_of_promtool(
    peer: Peer, flags: list[str], bounds: str
) -> None:
    peer.answer({"status": "success", "data": {"resultType": "matrix", "result": []}})
    assert run("query", "range", "up", f"--url={peer.url}", *flags).exit_code == 0
    _, asked, _ = peer.asked[0]
    assert [asked[name] for name in ("start", "end", "step")] == [[b] for b in bounds.split()]


def test_series_are_listed(peer: Peer) -> None:
    found = [{"__name__": "up", "job": "a"}, {"job": "b"}]
    peer.answer({"status": "success", "data": found, "warnings": ["cut"]})
    flags = ["--match=up", "--match=down", "--start=1", "--end=2", "--limit=3"]
    got = run("query", "series", f"--url={peer.url}", *flags)
    assert got.stdout == '{__name__="up", job="a"}\n{job="b"}\n'
    assert got.stderr == "cut\n"
    asked = {"match[]": ["up", "down"], "start": ["1"], "end": ["2"], "limit": ["3"]}
    assert peer.asked == [("/prometheus/api/v1/series", asked, "")]
    raw = run("query", "series", f"--url={peer.url}", "-o", "json", *flags)
    assert json.loads(raw.stdout) == found


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ([], "/labels"),
        (["job"], "/label/job/values"),
        (["a.b_c/%"], "/label/U__a_2e_b__c_2f__25_/values"),
    ],
)
def test_labels_are_listed(peer: Peer, name: list[str], path: str) -> None:
    peer.answer({"status": "success", "data": ["a", "b"]})
    got = run("query", "labels", f"--url={peer.url}", *name)
    assert got.stdout == "a\nb\n"
    assert peer.asked == [(f"/prometheus/api/v1{path}", {}, "")]


def test_any_server_with_the_api_can_be_asked(peer: Peer) -> None:
    peer.answer(vector())
    assert run("query", "instant", "up", f"--url={peer.url}/prometheus/").exit_code == 0
    peer.only = "/api/v1/query"
    header = ["--header=X-Scope-OrgID: acme", "--header", "Authorization:Basic eA=="]
    assert run("query", "instant", "up", f"--url={peer.url}", *header).exit_code == 0
    assert [(path, token) for path, _, token in peer.asked] == [
        ("/prometheus/api/v1/query", ""),
        ("/prometheus/api/v1/query", "Basic eA=="),
        ("/api/v1/query", "Basic eA=="),
    ]
    peer.only = "/nothing"
    got = run("query", "instant", "up", f"--url={peer.url}")
    assert got.exit_code == 1
    assert got.stderr == f"{peer.url}/api/v1/query: HTTP 404: not here\n"


def test_a_long_question_is_sent_in_a_form(peer: Peer) -> None:
    peer.answer(vector())
    query = " + ".join(["up"] * 1000)
    assert run("query", "instant", query, f"--url={peer.url}").exit_code == 0
    assert peer.asked == [("/prometheus/api/v1/query", {"query": [query]}, "")]


def test_what_the_server_says_is_wrong_is_shown_as_promtool_shows_it(peer: Peer) -> None:
    peer.answer({"status": "error", "errorType": "bad_data", "error": "no such thing"}, 400)
    for verb in (["instant", "up"], ["labels"], ["series", "--match=up"]):
        got = run("query", *verb, f"--url={peer.url}")
        assert (got.exit_code, got.stderr) == (1, "query error: bad_data: no such thing\n")


@pytest.mark.parametrize(
    "data", [5, {"resultType": "vector"}, {"resultType": "vector", "result": [{"value": 1}]}]
)
def test_what_is_no_answer_of_the_api_is_said(peer: Peer, data: object) -> None:
    peer.answer({"status": "success", "data": data})
    got = run("query", "instant", "up", f"--url={peer.url}")
    assert got.exit_code == 1
    assert "no answer of Prometheus's API" in got.stderr


def test_tenant_and_token_come_from_flags_or_the_environment(peer: Peer, tmp_path: Path) -> None:
    token = tmp_path / "a.token"
    token.write_text("s3cr3t\n")
    peer.answer(vector())
    by_flags = [f"--url={peer.url}", f"--token-file={token}", "--tenant=acme"]
    env = {"TOCSIN_URL": peer.url, "TOCSIN_TOKEN_FILE": str(token), "TOCSIN_TENANT": "acme"}
    assert run("query", "instant", *by_flags, "up").exit_code == 0
    assert run("query", "instant", "up", env=env).exit_code == 0
    path, _, header = peer.asked[0]
    assert (path, header) == ("/t/acme/prometheus/api/v1/query", "Bearer s3cr3t")
    assert peer.asked[1] == peer.asked[0]


def a_delivery(*attempts: dict[str, Any]) -> dict[str, Any]:
    told = {
        "flushed_at": "2026-01-01T00:00:00.123456Z",
        "receiver": "team",
        "integration": "webhook[0]",
    }
    return {"notification": told, "state": "delivered", "attempts": list(attempts)}


def test_deliveries_are_a_table(peer: Peer) -> None:
    tried = {"status": "503", "reason": "busy"}, {"status": "200", "reason": ""}
    peer.answer({"items": [a_delivery(*tried), a_delivery()], "next": None})
    got = run("deliveries", f"--url={peer.url}", "--receiver=team", "--limit=5")
    head, first, second = (line.split() for line in got.stdout.splitlines())
    assert head == ["FLUSHED", "STATE", "RECEIVER", "INTEGRATION", "TRY", "LAST"]
    assert first == ["2026-01-01T00:00:00.123", "delivered", "team", "webhook[0]", "2", "200"]
    assert second[-1] == "0"
    assert peer.asked[0][:2] == (
        "/api/tocsin/v1/deliveries",
        {"limit": ["5"], "receiver": ["team"]},
    )
    raw = run("deliveries", f"--url={peer.url}", "-o", "json")
    assert len(json.loads(raw.stdout)) == 2
    assert peer.asked[1][1] == {"limit": ["20"]}


VERBS = [
    ["query", "instant", "up"],
    ["query", "range", "--start=0", "--end=1", "up"],
    ["query", "series", "--match=up"],
    ["query", "labels"],
    ["deliveries"],
]


@pytest.mark.parametrize("verb", VERBS)
def test_a_server_that_is_not_there_is_exit_code_4(verb: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    got = run(*verb, f"--url={url}")
    assert got.exit_code == 4
    assert got.stderr.startswith(f"cannot reach {url}: ")


def test_what_does_not_speak_http_is_exit_code_4() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-peer\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        got = run("query", "instant", "up", f"--url=http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert got.exit_code == 4
    assert "does not speak HTTP" in got.stderr


@pytest.mark.parametrize("status", [400, 401, 403, 422, 503])
def test_a_refusal_is_shown_and_is_exit_code_1(peer: Peer, status: int) -> None:
    peer.answer(b"no \xff\n", status)
    got = run("query", "instant", "up", f"--url={peer.url}")
    assert got.exit_code == 1
    assert f"HTTP {status}: no \ufffd" in got.stderr


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b"", b"\xff"])
def test_an_answer_that_is_none_of_ours_is_said(peer: Peer, body: bytes) -> None:
    peer.answer(body)
    got = run("deliveries", f"--url={peer.url}")
    assert got.exit_code == 1
    assert "no answer of Tocsin's" in got.stderr


def test_loopback_is_asked_directly_whatever_the_proxy(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    peer.answer(vector())
    assert run("query", "instant", "up", f"--url={peer.url}").exit_code == 0
    elsewhere = run("query", "instant", "up", "--url=http://tocsin.test")
    assert elsewhere.exit_code == 4


class Deployment:
    """A folder that `init` wrote, and a server in this process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        run("init", f"--dir={folder}", f"--port={self.port}", "--tenant=acme")
        self.manager = AlertManager.from_config(folder / "tocsin.yaml")

    def validate(self, *flags: str) -> Result:
        where = [f"--port={self.port}", f"--data-dir={self.folder}"]
        return run("validate", *where, "--timeout=20", *flags)

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "tocsin.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.manager.stop()


def test_validate_checks_a_sound_deployment_from_end_to_end(deployment: Deployment) -> None:
    deployment.manager.start_monitoring()
    got = deployment.validate()
    assert got.exit_code == 0, got.output
    for what in ("configuration", "ready", "acme: scrape", "acme: rules", "acme: notification"):
        assert f"ok    {what}: " in got.stdout
    assert "closed to strangers: a request without a token is answered 401" in got.stdout
    assert got.stdout.splitlines()[-1] == "6 of 6 checks passed"
    token = deployment.folder / "tokens" / "acme.token"
    listed = run("deliveries", f"--url={deployment.manager.url}", f"--token-file={token}")
    assert "tocsin-validate" in listed.stdout
    assert "delivered" in listed.stdout


def test_validate_says_that_nothing_answers(deployment: Deployment) -> None:
    got = deployment.validate("-o", "json")
    assert got.exit_code == 1
    report = json.loads(got.stdout)
    assert report["passed"] is False
    assert [c["passed"] for c in report["checks"]] == [True, False]
    assert report["checks"][1]["detail"].endswith("/-/ready answers 0")


def test_validate_tells_what_is_wrong_with_the_file(deployment: Deployment) -> None:
    deployment.edit("group_wait", "group_wiat")
    got = deployment.validate()
    assert got.exit_code == 1
    assert "FAIL  configuration: " in got.stdout
    assert "group_wait" in got.stdout


def test_validate_needs_the_tenants_token(deployment: Deployment) -> None:
    deployment.manager.start_monitoring()
    (deployment.folder / "tokens" / "acme.token").unlink()
    got = deployment.validate()
    assert "FAIL  acme: token: no token file under tokens/" in got.stdout
    assert got.exit_code == 1


def test_validate_tells_of_targets_that_are_down_and_rules_that_fail(
    deployment: Deployment,
) -> None:
    dead = free_port()
    deployment.edit(
        "    evaluation_interval: 5s\n",
        "    evaluation_interval: 1s\n"
        "    scrape_configs:\n"
        "      - job_name: dead\n"
        "        scrape_interval: 1s\n"
        f'        static_configs: [{{ targets: ["127.0.0.1:{dead}"] }}]\n',
    )
    deployment.edit(
        "    rule_packs:\n      - system\n",
        "    groups:\n      - name: host\n        rules:\n"
        f"          - {{ alert: Broken, expr: '{AMBIGUOUS}' }}\n",
    )
    deployment.edit(
        "name: tocsin-validate\n          webhook_configs",
        "name: tocsin-validate\n          slack_configs",
    )
    deployment.edit("url: ", "api_url: ")
    deployment.manager.start_monitoring()
    got = deployment.validate()
    assert got.exit_code == 1
    assert f"FAIL  acme: scrape: down: 127.0.0.1:{dead}" in got.stdout
    assert "FAIL  acme: rules: Broken is err " in got.stdout
    assert "FAIL  acme: notification: no receiver 'tocsin-validate' with a loopback" in got.stdout


def test_validate_says_when_its_port_is_taken(deployment: Deployment) -> None:
    deployment.manager.start_monitoring()
    with socket.create_server(("127.0.0.1", deployment.port + 4)):
        got = deployment.validate()
    assert (
        f"FAIL  acme: notification: cannot listen on 127.0.0.1:{deployment.port + 4}" in got.stdout
    )


def test_validate_says_when_the_token_may_not_post(
    deployment: Deployment,
) -> None:
    deployment.edit("name: first, role: tenant-admin", "name: first, role: viewer")
    deployment.manager.start_monitoring()
    got = deployment.validate()
    assert "FAIL  acme: notification: posting an alert is answered 403" in got.stdout


def test_validate_says_when_nothing_arrives(deployment: Deployment) -> None:
    deployment.edit("matchers: ['tocsin_validate=\"true\"']", "matchers: [nobody=here]")
    deployment.edit("system_metrics: { enabled: true", "system_metrics: { enabled: false")
    deployment.manager.start_monitoring()
    got = deployment.validate("--timeout=0.2")
    assert "FAIL  acme: scrape: no target is up" in got.stdout
    assert "FAIL  acme: notification: test alert did not reach the loopback webhook" in got.stdout


def test_validate_tells_when_the_server_goes_away(deployment: Deployment, peer: Peer) -> None:
    peer.hangs_up_after = 1
    got = run("validate", f"--port={peer.port}", f"--data-dir={deployment.folder}")
    assert got.exit_code == 1
    assert f"ok    ready: {peer.url}/-/ready answers 200" in got.stdout
    assert f"FAIL  acme: connection: {peer.url} no longer answers" in got.stdout


@pytest.fixture
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process of its own find what this one imports."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.usefixtures("_importable")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_up_serves_in_the_background_and_down_ends_it(tmp_path: Path) -> None:
    port = free_port()
    where = [f"--port={port}", f"--data-dir={tmp_path / 'home'}"]
    started = run("up", *where)
    try:
        assert started.exit_code == 0, started.output
        assert "configuration: " in started.stdout
        assert "(new)" in started.stdout
        assert f"ready: http://127.0.0.1:{port}" in started.stdout
        again = run("up", *where)
        assert again.exit_code == 0
        assert "(kept)" in again.stdout
        assert (
            f"already running, pid {started.stdout.split('pid ')[1].split(',')[0]}" in again.stdout
        )
        status = run("status", *where)
        assert (status.exit_code, "ready on" in status.stdout) == (0, True)
        other = run("up", f"--port={port}", f"--data-dir={tmp_path / 'other'}")
        assert other.exit_code == 1
        assert f"port {port} is taken by another program" in other.stderr
    finally:
        ended = run("down", *where)
    assert ended.exit_code == 0
    assert "server: stopped, pid " in ended.stdout
    assert answers(f"http://127.0.0.1:{port}/-/ready")[0] == 0
    assert run("status", *where).exit_code == 1


@pytest.mark.usefixtures("_importable")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_up_shows_the_end_of_the_log_when_the_server_ends(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("sevrer: {}\n")
    got = run("up", f"--port={free_port()}", f"--data-dir={tmp_path}")
    assert got.exit_code == 1
    assert "server: ended; the end of " in got.stderr
    assert "the configuration is refused" in got.stderr
