"""Back-filling beside `promtool tsdb create-blocks-from`, and rules a Prometheus has loaded."""

from __future__ import annotations

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from house import answers, eventually, program, running
from rule_bench import Peer

from tocsin.cli.client import Client
from tocsin.cli.main import main
from tocsin.metrics_collector.backend.encode import HEADERS, Point, write_request
from tocsin.model.labels import Labels

MINUTE = 60
RULES = """\
groups:
  - name: past
    interval: 1m
    rules:
      - record: host:load:max
        expr: max   by (host) (load)
        labels: { made: later }
      - record: load:hosts
        expr: count(load{disk="1"}) > 1
      - alert: Busy
        expr: load > 100
        for: 5m
        labels: { severity: page }
        annotations: { summary: "{{ $labels.host }}" }
"""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    made = Peer(tmp_path)
    (tmp_path / "rules.yml").write_text(RULES)
    with running(made.process):
        yield made.start()


def write(peer: Peer, samples: dict[Labels, list[Point]]) -> None:
    reply = Client(peer.url).send("POST", "/api/v1/write", write_request(samples.items()), HEADERS)
    assert reply.status == 204, reply.body


def tocsin(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", *arguments])


def promtool(*arguments: str | Path) -> str:
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def dumped(folder: Path) -> dict[str, list[tuple[float, int]]]:
    """Return value and time (ms) of every sample in a folder of blocks, by labels as text."""
    (folder / "wal").mkdir(exist_ok=True)  # promtool wants a whole data directory
    found = defaultdict(list)
    for line in promtool("tsdb", "dump", folder).splitlines():
        labels, value, at = re.fullmatch(r"(\{.*\}) (\S+) (\d+)", line).groups()  # type: ignore[union-attr]  # every line is one
        found[labels].append((float(value), int(at)))
    return dict(found)


def test_the_past_of_rules_is_that_of_promtool(peer: Peer) -> None:
    end = int(time.time()) // MINUTE * MINUTE - 10 * MINUTE
    start = end - 40 * MINUTE
    times = [at * 1000 for at in range(start - 5 * MINUTE, end + 1, 15)]
    names = [{"host": host, "disk": disk} for host in ("a", "b", "c") for disk in "12"]
    write(
        peer,
        {
            Labels.of({"__name__": "load", **labels}): [(at, float(index)) for at in times]
            for index, labels in enumerate(names)
        },
    )
    rules, out = peer.folder / "rules.yml", peer.folder / "ours.om"
    span = [f"--start={start}", f"--end={end}"]
    got = tocsin("backfill", f"--source={peer.url}", f"--output={out}", *span, str(rules))
    assert got.exit_code == 0, got.output
    ours, theirs = peer.folder / "ours", peer.folder / "theirs"
    promtool("tsdb", "create-blocks-from", "openmetrics", out, ours)
    flags = (*span, f"--url={peer.url}", f"--output-dir={theirs}")
    promtool("tsdb", "create-blocks-from", "rules", *flags, rules)
    here, there = dumped(ours), dumped(theirs)
    assert here.keys() == there.keys()
    assert len(here) == 4
    for labels, samples in here.items():
        assert {value for value, _ in samples} == {value for value, _ in there[labels]}
        assert len(samples) == 41
        assert abs(len(samples) - len(there[labels])) <= 1, "promtool's rounds have a phase"


def test_a_prometheus_may_be_given_a_past_and_is_not_given_it_twice(peer: Peer) -> None:
    end = int(time.time()) // MINUTE * MINUTE
    start = end - 20 * MINUTE
    load = Labels.of({"__name__": "load", "host": "a", "disk": "1"})
    write(peer, {load: [(at * 1000, 1.0) for at in range(start, end + 1, 15)]})
    ends = [f"--source={peer.url}", f"--write-url={peer.url}/api/v1/write"]
    span = [f"--start={start}", f"--end={end}"]
    run = ("backfill", *ends, *span, str(peer.folder / "rules.yml"))
    first, second = tocsin(*run), tocsin(*run)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert first.stdout.startswith("host:load:max (past): 21 samples written, 0 were there\n")
    assert second.stdout.startswith("host:load:max (past): 0 samples written, 21 were there\n")


def test_rules_a_prometheus_has_loaded_are_compared(peer: Peer) -> None:
    path = peer.folder / "rules.yml"
    (peer.folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
    peer.kill()
    peer.start()
    url = f"{peer.url}/api/v1/rules"
    eventually(lambda: "Busy" in answers(url)[1], what="the rules are loaded")
    where = ("--api=prometheus", f"--url={peer.url}")
    same = tocsin("diff", *where, str(path))
    assert same.exit_code == 0, same.output
    listed = tocsin("list", *where).stdout.split()
    assert listed[3:] == ["rules", "past", "3"]
    path.write_text(RULES.replace("load > 100", "load > 200"))
    changed = tocsin("diff", *where, str(path))
    assert changed.exit_code == 1
    assert "-        expr: load > 100\n+        expr: load > 200\n" in changed.stdout
