"""`tocsin rules backfill`: the past of recording rules, read from and written to a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result
from house import answers, free_port

from tocsin.app.facade import AlertManager
from tocsin.cli.client import Client, Reply
from tocsin.cli.main import main
from tocsin.metrics_collector.backend.encode import HEADERS, write_request
from tocsin.model.labels import Labels
from tocsin.security.tokens import ENTROPY_BYTES, mint

TOKEN = mint(b"t" * ENTROPY_BYTES)
RULES = """\
groups:
  - name: g
    interval: 60s
    rules:
      - record: host:load:max
        expr: max by (host) (load)
        labels: { made: later }
      - alert: NotEvaluated
        expr: load > 5
      - record: load:total
        expr: sum(host:load:max)
"""
MINUTE = 60
HOUR = 3600


class Bench:
    """A server with three hours of data of two hosts, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tocsin.yaml").write_text(
            f"tenants: [{{id: acme, tokens: [{{name: t, sha256: {TOKEN.sha256}}}],\n"
            "  system_metrics: {enabled: false}}]\n"
            f"server: {{listen: ['127.0.0.1:{free_port()}']}}\n"
        )
        (folder / "token").write_text(TOKEN.plain.reveal())
        (folder / "rules.yml").write_text(RULES)
        self.manager = AlertManager.from_config(folder / "tocsin.yaml")
        self.manager.start_monitoring()
        self.start = (int(time.time()) - 3 * HOUR) // MINUTE * MINUTE
        self.end = self.start + 3 * HOUR - 10 * MINUTE
        self.write(
            {
                Labels.of({"__name__": "load", "host": host, "disk": disk}): [
                    (at * 1000, float(at % 7 + len(host)))
                    for at in range(self.start, self.end + 1, 30)
                ]
                for host in ("a", "bb")
                for disk in "12"
            }
        )

    @property
    def url(self) -> str:
        return f"{self.manager.url}/t/acme/prometheus"

    def write(self, samples: dict[Labels, list[tuple[int, float]]]) -> None:
        client = Client(self.url, TOKEN.plain.reveal())
        reply = client.send("POST", "/api/v1/write", write_request(samples.items()), HEADERS)
        assert reply.status == 204, reply.body

    def run(self, *arguments: str, rules: str = "rules.yml") -> Result:
        where = [f"--url={self.manager.url}", f"--token-file={self.folder / 'token'}"]
        span = [f"--start={self.start}", f"--end={self.end}"]
        path = str(self.folder / rules)
        return CliRunner().invoke(
            main, ["rules", "backfill", *where, "--tenant=acme", *span, *arguments, path]
        )

    def samples(self, selector: str) -> dict[Labels, list[tuple[float, float]]]:
        params = urlencode({"query": f"{selector}[4h]", "time": self.end})
        _, body = answers(f"{self.url}/api/v1/query?{params}", token=TOKEN.plain.reveal())
        found: list[Any] = json.loads(body)["data"]["result"]
        return {
            Labels.of(each["metric"]): [(at, float(value)) for at, value in each["values"]]
            for each in found
        }


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.manager.stop()


def test_rules_get_a_past_and_read_each_others(bench: Bench) -> None:
    got = bench.run()
    assert got.exit_code == 0, got.output
    times = list(range(bench.start, bench.end + 1, MINUTE))
    recorded = bench.samples("host:load:max")
    assert [(dict(labels)["host"], dict(labels)["made"]) for labels in recorded] == [
        ("a", "later"),
        ("bb", "later"),
    ]
    assert all([at for at, _ in points] == times for points in recorded.values())
    (total,) = bench.samples("load:total").values()
    assert total == [(at, 2.0 * (at % 7) + 3.0) for at in times]
    assert got.stdout == (
        f"host:load:max (g): {2 * len(times)} samples written, 0 were there\n"
        f"load:total (g): {len(times)} samples written, 0 were there\n"
    )


def test_a_second_run_writes_nothing(bench: Bench) -> None:
    bench.run()
    before = bench.samples("{made='later'}")
    got = bench.run("--format=json")
    assert got.exit_code == 0, got.output
    rules = json.loads(got.stdout)["rules"]
    assert [(rule["written"], rule["present"] > 100) for rule in rules] == [(0, True)] * 2
    assert bench.samples("{made='later'}") == before


def test_an_interrupted_run_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Client.send
    writes = []

    def fails_at_the_second_write(
        self: Client, method: str, path: str, *more: Any, **named: Any
    ) -> Reply:
        if path.endswith("/write"):
            writes.append(path)
            if len(writes) == 2:
                return Reply(403, b"taken away")
        return sent(self, method, path, *more, **named)

    monkeypatch.setattr(Client, "send", fails_at_the_second_write)
    got = bench.run()
    assert got.exit_code == 1
    assert "stopped: " in got.stderr
    assert "HTTP 403: taken away" in got.stderr
    assert "run it again to go on" in got.stderr
    again = bench.run()
    assert again.exit_code == 0, again.output
    (total,) = bench.samples("load:total").values()
    assert len(total) == len(range(bench.start, bench.end + 1, MINUTE))


def test_a_file_of_openmetrics_is_whole_or_not_there(bench: Bench) -> None:
    (bench.folder / "one.yml").write_text(RULES.partition("      - alert")[0])
    out = bench.folder / "past.om"
    got = bench.run(f"--output={out}", rules="one.yml")
    assert got.exit_code == 0, got.output
    lines = out.read_text().splitlines()
    assert lines[0] == "# TYPE host:load:max unknown"
    assert lines[1].startswith('host:load:max{host="a",made="later"} ')
    assert (lines[1].split()[2], lines[-1]) == (f"{bench.start}.000", "# EOF")
    assert bench.samples("host:load:max") == {}
    refused = bench.run(f"--output={bench.folder / 'no.om'}", rules="rules.yml")
    assert refused.exit_code == 1
    assert "load:total (g) reads host:load:max (g)" in refused.stderr
    assert not list(bench.folder.glob("no.om*"))


def test_a_dry_run_says_what_would_be_asked(bench: Bench) -> None:
    got = bench.run("--dry-run")
    assert got.stdout == (
        "host:load:max (g): 171 evaluations in 2 range queries\n"
        "load:total (g): 171 evaluations in 2 range queries\n"
    )
    assert bench.samples("host:load:max") == {}


def test_rules_may_be_asked_elsewhere(bench: Bench) -> None:
    token = f"--header=Authorization: Bearer {TOKEN.plain.reveal()}"
    got = bench.run(f"--source={bench.url}", f"--write-url={bench.url}/api/v1/write", token)
    assert got.exit_code == 0, got.output
    assert bench.samples("load:total")
    refused = bench.run(f"--source={bench.url}", token)
    assert refused.exit_code == 1
    assert "give --source and --write-url of one server, or neither" in refused.stderr


def test_what_the_server_refuses_is_told(bench: Bench) -> None:
    newer = Labels.of({"__name__": "load:total"})
    bench.write({newer: [(int(time.time()) * 1000, 1.0)]})
    got = bench.run()
    assert got.exit_code == 1
    assert "load:total (g): HTTP 400: " in got.stderr
    assert "out of bounds" in got.stderr
    assert bench.samples("host:load:max"), "the others were written"


def test_an_expression_that_fails_stops_the_run(bench: Bench) -> None:
    (bench.folder / "bad.yml").write_text(
        "groups: [{name: g, rules: [{record: r, expr: load * on () load}]}]\n"
    )
    got = bench.run(rules="bad.yml")
    assert got.exit_code == 1
    assert "HTTP 422: " in got.stderr


def test_a_server_that_is_away_is_asked_again_and_then_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tocsin.cli.backfill_peers.time.sleep", pauses.append)
    dead = f"--source=http://127.0.0.1:{free_port()}"
    got = bench.run(dead, "--write-url=http://127.0.0.1:1/")
    assert got.exit_code == 4
    assert "cannot reach" in got.stderr
    assert pauses == [0.5, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--start=x"], "--start"),
        (["--start=9999999999"], "the end lies before the start"),
        (["--eval-interval=0"], "longer than nothing"),
        (["--eval-interval=x"], "--eval-interval"),
        (["--header=x"], "write NAME: VALUE"),
        (["--source=ftp://x", "--write-url=http://x"], "no http or https address"),
        (["--end=0001-01-01T00:00:00Z"], "zero time"),
    ],
)
def test_what_cannot_be_is_refused(bench: Bench, arguments: list[str], why: str) -> None:
    got = bench.run(*arguments)
    assert got.exit_code == 2, got.output
    assert why in got.stderr


def test_faulty_files_are_told_with_their_places(bench: Bench) -> None:
    (bench.folder / "bad.yml").write_text("groups:\n  - name: g\n    rules: [{record: r}]\n")
    assert "bad.yml:3:13: field 'expr'" in bench.run(rules="bad.yml").stderr
    assert bench.run(rules="absent.yml").exit_code == 1


def test_times_may_be_written_as_rfc_3339(bench: Bench) -> None:
    got = bench.run("--start=2026-01-01T00:00:00Z", "--end=2026-01-01T01:00:00+00:00", "--dry-run")
    assert "61 evaluations in 1 range queries" in got.stdout
