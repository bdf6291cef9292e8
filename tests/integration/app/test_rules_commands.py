"""`tocsin rules …` against a running server, and against one that speaks Mimir's ruler API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from click.testing import CliRunner, Result
from house import answers, free_port

from tocsin.app.facade import AlertManager
from tocsin.cli.main import main
from tocsin.security.tokens import ENTROPY_BYTES, mint

TEAM = """\
groups:
  - name: g
    labels: { team: x }
    rules:
      - alert: Always
        expr: vector(1)   >   0
        annotations: { summary: it is }
      - record: one
        expr: vector(1)
"""
TOKENS = {"editor": mint(b"e" * ENTROPY_BYTES), "viewer": mint(b"v" * ENTROPY_BYTES)}


class Bench:
    """A server of one tenant, files beside it, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tokens = [
            f"{{name: {name}, role: {name}, sha256: {token.sha256}}}"
            for name, token in TOKENS.items()
        ]
        (folder / "tocsin.yaml").write_text(
            f"tenants: [{{id: acme, tokens: [{', '.join(tokens)}], evaluation_interval: 1s,\n"
            "  system_metrics: {enabled: false}, groups: [{name: own, rules: [{record: own,\n"
            f"  expr: vector(2)}}]}}]}}]\nserver: {{listen: ['127.0.0.1:{free_port()}']}}\n"
        )
        for name, token in TOKENS.items():
            (folder / f"{name}.token").write_text(token.plain.reveal())
        self.manager = AlertManager.from_config(folder / "tocsin.yaml")
        self.manager.start_monitoring()

    def file(self, name: str, text: str = TEAM) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def run(self, *arguments: str, by: str = "editor") -> Result:
        token = f"--token-file={self.folder / by}.token"
        where = [f"--url={self.manager.url}", token, "--tenant=acme"]
        verb, *rest = arguments
        return CliRunner().invoke(main, ["rules", verb, *where, *rest])

    def loaded(self) -> dict[str, list[str]]:
        url = f"{self.manager.url}/t/acme/prometheus/api/v1/rules"
        _, body = answers(url, token=TOKENS["viewer"].plain.reveal())
        groups = json.loads(body)["data"]["groups"]
        return {group["file"]: [rule["name"] for rule in group["rules"]] for group in groups}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.manager.stop()


def codes(*results: Result) -> list[int]:
    return [result.exit_code for result in results]


def test_files_are_compared_brought_there_and_the_same_then(bench: Bench) -> None:
    path = bench.file("team.yml")
    before = bench.run("diff", path)
    assert before.exit_code == 1
    assert before.stdout.startswith("--- server/team\n+++ team\n@@ ")
    assert "+      - alert: Always\n" in before.stdout
    dry = bench.run("sync", "--dry-run", path)
    assert (dry.exit_code, dry.stdout) == (1, before.stdout)
    assert bench.loaded() == {"tocsin.yaml": ["own"]}
    done = bench.run("sync", path)
    assert (done.exit_code, done.stderr) == (0, "team: added\n")
    assert bench.loaded() == {"tocsin.yaml": ["own"], "rules.d/team": ["Always", "one"]}
    assert codes(bench.run("diff", path), bench.run("sync", "--dry-run", path)) == [0, 0]
    laid_out_anew = bench.file("team.yml", TEAM.replace("vector(1)   >   0", "vector(1) > 0"))
    assert bench.run("diff", laid_out_anew).exit_code == 0


def test_what_no_file_gives_is_taken_away(bench: Bench) -> None:
    one, two = bench.file("one.yml"), bench.file("two.yml", "namespace: second\n" + TEAM)
    assert bench.run("sync", one, two).exit_code == 0
    changed = bench.file("one.yml", TEAM.replace("Always", "Ever"))
    kept = bench.run("sync", "--ignored-namespaces=second", changed)
    assert (kept.exit_code, kept.stderr) == (0, "one: changed\n")
    assert bench.run("diff", "--namespaces=one", changed).exit_code == 0
    gone = bench.run("sync", changed)
    assert (gone.exit_code, gone.stderr) == (0, "second: removed\n")
    assert bench.loaded() == {"tocsin.yaml": ["own"], "rules.d/one": ["Ever", "one"]}


def test_differences_are_told_as_json(bench: Bench) -> None:
    got = bench.run("diff", "-o", "json", bench.file("team.yml"))
    (one,) = json.loads(got.stdout)["differences"]
    assert (one["namespace"], one["action"]) == ("team", "add")
    assert "Always" in one["diff"]


def test_rules_are_listed_and_printed(bench: Bench) -> None:
    bench.run("sync", bench.file("team.yml"))
    table = bench.run("list", by="viewer").stdout.splitlines()
    assert [line.split() for line in table] == [["NAMESPACE", "GROUP", "RULES"], ["team", "g", "2"]]
    (group,) = json.loads(bench.run("list", "-o", "json").stdout)["groups"]
    assert group == {"namespace": "team", "group": "g", "rules": 2}
    assert bench.run("get", "team").stdout == TEAM
    assert yaml.safe_load(bench.run("get", "team", "g").stdout)["rules"][1]["record"] == "one"
    missing = bench.run("get", "other"), bench.run("get", "team", "h")
    assert codes(*missing) == [2, 2]
    assert "no namespace 'other'" in missing[0].stderr
    assert "has no group 'h'" in missing[1].stderr


def test_what_is_loaded_can_be_compared_and_not_changed(bench: Bench) -> None:
    path = bench.file("team.yml")
    bench.run("sync", path)
    chosen = ("--api=prometheus", "--namespaces=team", path)
    assert bench.run("diff", *chosen).exit_code == 0
    bench.file("team.yml", TEAM.replace("it is", "it was"))
    got = bench.run("diff", *chosen)
    assert got.exit_code == 1
    assert "+          summary: it was" in got.stdout
    refused = bench.run("sync", *chosen)
    assert refused.exit_code == 2
    assert "are changed in those files" in refused.stderr
    everything = bench.run("sync", "--api=prometheus", path)
    assert everything.exit_code == 2


def test_who_may_not_edit_rules_is_told(bench: Bench) -> None:
    got = bench.run("sync", bench.file("team.yml"), by="viewer")
    assert got.exit_code == 2
    assert "HTTP 403: this credential may not edit-rules" in got.stderr


def test_faulty_files_are_told_with_their_places_and_nothing_is_sent(bench: Bench) -> None:
    bad = bench.file("bad.yml", "namespace: x\ngroups:\n  - name: g\n    rules: [{alert: A}]\n")
    twin = bench.file("twin.yml", 'namespace: "x"\ngroups: []\n')
    got = bench.run("sync", bad, twin, str(bench.folder / "absent.yml"))
    assert got.exit_code == 2
    assert "bad.yml:4:13: field 'expr' must be set in rule" in got.stderr
    assert 'a namespace "x" was given already' in got.stderr
    assert "absent.yml" in got.stderr
    assert bench.loaded() == {"tocsin.yaml": ["own"]}


def test_a_server_that_does_not_answer_is_told(bench: Bench) -> None:
    bench.manager.stop()
    dead = f"--url=http://127.0.0.1:{free_port()}"
    got = CliRunner().invoke(main, ["rules", "diff", dead, bench.file("team.yml")])
    assert got.exit_code == 4
    assert "cannot reach" in got.stderr


def test_only_one_choice_of_namespaces_is_taken(bench: Bench) -> None:
    got = bench.run("diff", "--namespaces=a", "--ignored-namespaces=b", bench.file("team.yml"))
    assert got.exit_code == 2
    assert "not both" in got.stderr


class Mimir:
    """A ruler API as Mimir has it, in memory: one tenant's groups by namespace and name."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, parts: list[str], body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            found = {name: list(groups.values()) for name, groups in self.rules.items()}
            return (200, yaml.safe_dump(found).encode()) if found else (404, b"no rule groups")
        if method == "POST":
            group = yaml.safe_load(body)
            self.rules.setdefault(parts[0], {})[group["name"]] = group
        elif len(parts) == 2:
            del self.rules[parts[0]][parts[1]]
        else:
            del self.rules[parts[0]]
        return 202, b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mimir = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                root, _, rest = self.path.partition("/prometheus/config/v1/rules")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                tenant = self.headers.get("X-Scope-OrgID", "")
                mimir.asked.append((self.command, self.path, tenant))
                parts = [unquote(part) for part in rest.strip("/").split("/") if part]
                answer = (404, b"page not found") if root else (0, b"")
                status, text = answer if root else mimir.answer(self.command, parts, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def mimir() -> Iterator[Mimir]:
    made = Mimir()
    yield made
    made.close()


def test_rules_of_a_mimir_are_brought_up_to_date_group_by_group(
    mimir: Mimir, tmp_path: Path
) -> None:
    def run(verb: str, *arguments: str) -> Result:
        where = ["--api=mimir", f"--url={mimir.url}", "--tenant=acme"]
        return CliRunner().invoke(main, ["rules", verb, *where, *arguments])

    path = tmp_path / "a b.yml"
    path.write_text(TEAM + "  - name: h\n    tocsin: { x: 1 }\n    rules: []\n")
    assert run("list").stdout.split() == ["NAMESPACE", "GROUP", "RULES"]
    assert codes(run("diff", str(path)), run("sync", str(path)), run("diff", str(path))) == [
        1,
        0,
        0,
    ]
    assert mimir.rules["a b"].keys() == {"g", "h"}
    assert mimir.rules["a b"]["h"] == {"name": "h"}
    mimir.asked.clear()
    path.write_text(TEAM.replace("Always", "Ever"))
    assert run("sync", str(path)).exit_code == 0
    root = "/prometheus/config/v1/rules"
    assert mimir.asked == [
        ("GET", root, "acme"),
        ("POST", f"{root}/a%20b", "acme"),
        ("DELETE", f"{root}/a%20b/h", "acme"),
    ]
    assert yaml.safe_load(run("get", "a b", "g").stdout)["rules"][0]["alert"] == "Ever"
    other = tmp_path / "other.yml"
    other.write_text("groups: []\n")
    assert run("sync", str(other)).exit_code == 0
    assert mimir.rules == {}


def test_a_server_without_the_api_is_no_empty_mimir(mimir: Mimir, tmp_path: Path) -> None:
    path = tmp_path / "team.yml"
    path.write_text(TEAM)
    url = f"--url={mimir.url}/elsewhere"
    got = CliRunner().invoke(main, ["rules", "diff", "--api=mimir", url, str(path)])
    assert got.exit_code == 2
    assert "HTTP 404: page not found" in got.stderr
