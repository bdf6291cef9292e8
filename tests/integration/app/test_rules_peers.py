"""What `tocsin rules` makes of servers that answer oddly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.main import main

RULES = "groups: [{name: g, rules: [{record: r, expr: up}]}]\n"


class Odd:
    """A server that gives its answers one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                odd.asked.append(self.path.partition("?")[0])
                status, body = odd.answers[0]
                if len(odd.answers) > 1:
                    odd.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def odd() -> Iterator[Odd]:
    made = Odd()
    yield made
    made.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments])


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = tmp_path / "team.yml"
    found.write_text(RULES)
    return str(found)


@pytest.mark.parametrize(
    ("api", "status", "body", "why"),
    [
        ("mimir", 200, b"a: [", "no YAML"),
        ("mimir", 200, b"team: [{name: g, rules: [{record: r, expr: 'up +'}]}]", "cannot be read"),
        ("mimir", 500, b"", "HTTP 500: (empty)"),
        ("prometheus", 200, b"{}", "no answer of Prometheus' API"),
        ("prometheus", 200, b"<html>", "no answer of Prometheus' API"),
        ("prometheus", 404, b'{"error": "nothing here"}', "HTTP 404: nothing here"),
        ("tocsin", 401, b'{"title": "a valid token is required"}', "HTTP 401: a valid token"),
    ],
)
def test_an_odd_answer_is_trouble(
    odd: Odd, path: str, *, api: str, status: int, body: bytes, why: str
) -> None:
    odd.answers = [(status, body)]
    got = run("diff", f"--api={api}", f"--url={odd.url}", path)
    assert got.exit_code == 2
    assert why in got.stderr


def test_files_of_one_name_keep_their_folders(odd: Odd) -> None:
    rule = {"type": "recording", "name": "r", "query": "up"}
    groups: list[dict[str, Any]] = [
        {"name": "g", "file": f"{folder}/team.yml", "rules": [rule]} for folder in "ab"
    ]
    groups.append({"name": "g", "file": "c/own.rules.yml", "rules": [], "interval": 15})
    odd.answers = [(200, json.dumps({"status": "success", "data": {"groups": groups}}).encode())]
    got = run("list", "--api=prometheus", "-o", "json", f"--url={odd.url}")
    listed = [(each["namespace"], each["rules"]) for each in json.loads(got.stdout)["groups"]]
    assert listed == [("a/team.yml", 1), ("b/team.yml", 1), ("own", 0)]


def test_an_empty_mimir_has_no_rules(odd: Odd) -> None:
    odd.answers = [(200, b"")]
    assert run("list", "--api=mimir", f"--url={odd.url}").stdout.split()[3:] == []


SPAN = ("--start=0", "--end=3600")


def matrix(*series: Mapping[str, object]) -> tuple[int, bytes]:
    data = {"resultType": "matrix", "result": list(series)}
    return 200, json.dumps({"status": "success", "data": data}).encode()


def test_a_server_that_is_busy_is_asked_again(
    odd: Odd, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tocsin.cli.backfill_peers.time.sleep", pauses.append)
    odd.answers = [(429, b""), (503, b""), matrix()]
    got = run("backfill", f"--url={odd.url}", *SPAN, path)
    assert got.exit_code == 0, got.output
    assert pauses == [0.5, 1]
    odd.answers = [(503, b"starting")]
    stopped = run("backfill", f"--url={odd.url}", *SPAN, path)
    assert stopped.exit_code == 1
    assert "HTTP 503: starting" in stopped.stderr
    assert len(pauses) == 2 + 5


def test_native_histograms_are_told_of(odd: Odd, path: str) -> None:
    odd.answers = [matrix({"metric": {"a": "b"}, "histograms": []})]
    got = run("backfill", f"--url={odd.url}", *SPAN, path)
    assert got.exit_code == 1
    assert "native histograms are not supported" in got.stderr


def test_many_results_are_written_in_several_requests(odd: Odd, path: str) -> None:
    values = [[60 * index, "1"] for index in range(61)]
    series = [{"metric": {"i": str(index)}, "values": values} for index in range(200)]
    odd.answers = [matrix(*series), matrix(), (204, b"")]
    got = run("backfill", f"--url={odd.url}", *SPAN, path)
    assert got.exit_code == 0, got.output
    assert "12200 samples written" in got.stdout
    assert odd.asked.count("/prometheus/api/v1/write") == 3


def test_results_that_become_one_series_stop_the_run(odd: Odd, tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_text("groups: [{name: g, rules: [{record: r, expr: up, labels: {i: ''}}]}]\n")
    series = [{"metric": {"i": str(index)}, "values": [[0, "1"]]} for index in range(2)]
    odd.answers = [matrix(*series)]
    got = run("backfill", f"--url={odd.url}", *SPAN, str(path))
    assert got.exit_code == 1
    assert "same labelset" in got.stderr
