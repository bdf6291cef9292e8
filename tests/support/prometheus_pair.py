"""A real Prometheus and our server, both with the same samples, written by remote write."""

from __future__ import annotations

import secrets
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from house import PROJECT, Process, free_port, running, wait_ready
from prometheus_peer import Peer, prometheus

from tocsin.metrics_collector.backend.encode import HEADERS, Point, write_request
from tocsin.model.labels import Labels
from tocsin.security.tokens import ENTROPY_BYTES, mint

STEP_S = 15
SPAN_S = 20 * 60


@dataclass(slots=True)
class Pair:
    """Both servers; the samples end at `end_s`, a whole minute."""

    ours: Peer
    theirs: Peer
    end_s: int


def samples(end_s: int) -> list[tuple[Labels, Sequence[Point]]]:
    """Return gauges, counters that fall, a histogram, and series that come late and end early."""
    times = range(end_s - SPAN_S, end_s + 1, STEP_S)
    found: list[tuple[Labels, Sequence[Point]]] = []

    def add(name: str, values: Sequence[float], *, first: int = 0, **labels: str) -> None:
        points = [(times[first + i] * 1000, value) for i, value in enumerate(values)]
        found.append((Labels.of({"__name__": name, **labels}), points))

    count = len(times)
    for number, job in enumerate(("api", "db", "web")):
        add("up", [float((i + number) % 7 > 0) for i in range(count)], job=job, instance=f"{job}:1")
        for code in ("200", "500"):
            add("requests_total", [float(i % 30 * (number + 1)) for i in range(count)],
                job=job, code=code)  # fmt: skip
    for le, rise in (("0.1", 1), ("0.5", 3), ("+Inf", 4)):
        add("latency_bucket", [float(i * rise) for i in range(count)], job="api", le=le)
    add("late", [1.5, float("nan"), float("inf"), -0.0], first=count - 4, job="api")
    add("early", [1.0, 2.0, 3.0], job="api", note='q"\\\n')
    return found


@contextmanager
def tocsin(folder: Path, tenant: str = "", *, server: str = "") -> Iterator[Peer]:
    """Run our server with one tenant `a`; `tenant` and `server` are more of their YAML."""
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    listen = f"127.0.0.1:{free_port()}"
    (folder / "tocsin.yaml").write_text(
        f"server: {{{server}}}\n"
        "tenants:\n"
        "  - id: a\n"
        f"    tokens: [{{name: t, sha256: {minted.sha256}}}]\n"
        "    system_metrics: {enabled: false}\n" + textwrap.indent(textwrap.dedent(tenant), "    ")
    )
    process = Process(
        [sys.executable, "-m", "tocsin", "serve", "--config=tocsin.yaml", "--data-dir=data-tocsin",
         f"--listen={listen}"],
        folder / "tocsin.log",
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )  # fmt: skip
    with running(process.start()):
        wait_ready(process, f"http://{listen}/-/ready")
        peer = Peer(listen, "/prometheus", minted.plain.reveal())
        yield peer
        peer.close()


@contextmanager
def pair(folder: Path, *, rules: str = "", jobs: str = "") -> Iterator[Pair]:
    """Run both with the samples; `rules` are groups that both evaluate, `jobs` what both scrape.

    PROMETHEUS stands for the address of the real one.
    """
    end_s, address = int(time.time()) // 60 * 60, f"127.0.0.1:{free_port()}"
    scraped = f"scrape_configs:\n{jobs.replace('PROMETHEUS', address)}\n" if jobs else ""
    (folder / "rules.yml").write_text(f"groups:\n{textwrap.indent(rules, '  ') or '  []'}\n")
    theirs = (
        textwrap.dedent("""\
        global: {scrape_interval: 1h, evaluation_interval: 1s}
        rule_files: [rules.yml]
        """)
        + scraped
    )
    receiver = "--web.enable-remote-write-receiver"
    ours = "rule_files: [rules.yml]\nevaluation_interval: 1s\n" + scraped
    with (
        prometheus(folder, theirs, receiver, address=address) as peer,
        tocsin(folder, ours) as server,
    ):
        body = write_request(samples(end_s))
        for each in (peer, server):
            answer = each.send("POST", "/api/v1/write", body, HEADERS)
            assert answer.status in (200, 204), answer.body
        yield Pair(server, peer, end_s)
