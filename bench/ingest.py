"""Taking samples in over HTTP: CPU of Tocsin and of a real Prometheus.

    python bench/ingest.py [--series N] [--rounds 20] [--targets 8] [--per-target 100] [--layouts 1]

Both run as they are installed, each on one core, with their logs on disk; whoever sends and
serves runs on another core and is not counted.

    remote write   version 1.0, 2,000 series in a request with one sample each; a target has 100
                   of them and a time of its own; one series in ten is always 0. Two
                   connections, each with its own series. A round is 10 scrapes of all series.
                   With more than one layout the series are put into requests in that many ways,
                   one after the other, on one connection, as by a sender that fills requests up.
    scrape         targets with pages of 10,000 series each, text format 0.0.4, not compressed;
                   every value grows from page to page. Interval 1 s, a round is a second.

CPU is what the threads of the process ran (/proc/<pid>/task/*/schedstat). The numbers are
medians over the rounds: `..._cpu_ratio` is Prometheus' CPU per sample over Tocsin's,
`remote_write_samples_per_s` what two connections brought in, `scrape_samples_per_s` samples for
a second of CPU. Both servers are asked for what they hold, and it must be what was sent: else
the exit status is 1. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt
from peer import free_port, machine, prometheus, prometheus_version, say

from tocsin.model.version import VERSION

SEED = 20261124
PROJECT = Path(__file__).resolve().parents[1]
PER_REQUEST = 2_000
STEP_MS, STEPS = 15_000, 10  # between scrapes that are written; scrapes in a round
WARM = 5  # rounds before the first that counts
PAGE_SERIES, VARIANTS = 10_000, 8
SENDERS, SERVERS = 0, 1  # cores
TOLERANCE = 1e-9
WRITE = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process in nanosecond steps, which the ticks of stat are not."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@dataclass
class Server:
    """A server that runs: where it is, and what is measured of it."""

    name: str
    pid: int
    port: int
    prefix: str

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)

    def query(self, expr: str, at_s: float) -> dict[str, float]:
        """Return the values of an instant query by their labels, as JSON."""
        form = urllib.parse.urlencode({"query": expr, "time": f"{at_s:.3f}"})
        connection = self.connect()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", f"{self.prefix}/api/v1/query", form, headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        if answer["status"] != "success":
            sys.exit(f"{self.name} cannot answer {expr}: {answer}")
        rows = answer["data"]["result"]
        return {json.dumps(row["metric"], sort_keys=True): float(row["value"][1]) for row in rows}


@contextmanager
def tocsin(folder: Path, scrape: str = "") -> Iterator[Server]:
    """Start `tocsin serve` with one tenant on its core; stop it afterwards."""
    port, file = free_port(), folder / "tocsin.yaml"
    file.write_text(
        "server: {auth: none}\n"
        "storage: {retention: 24h}\n"
        "tenants:\n"
        "  - id: bench\n"
        "    system_metrics: {enabled: false}\n"
        "    query: {max_series: 1000000}\n" + scrape
    )
    arguments = [f"--config={file}", f"--data-dir={folder / 'data'}", f"--listen=127.0.0.1:{port}"]
    with (folder / "tocsin.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "serve", *arguments],
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        )
        try:
            os.sched_setaffinity(process.pid, {SERVERS})
            server = Server("tocsin", process.pid, port, "/prometheus")
            _wait_ready(server, process)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def _wait_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        connection = server.connect()
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    sys.exit("tocsin did not become ready")


@contextmanager
def peer(folder: Path, config: str = "global: {}\n") -> Iterator[Server]:
    """Start Prometheus on the same core."""
    with prometheus(folder, core=SERVERS, config=config) as started:
        yield Server("prometheus", started.pid, started.port, "")


# -- remote write --------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def chunk(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def labels_of(number: int, per_target: int) -> dict[str, str]:
    """Return the labels of a series, in their order."""
    target, own = divmod(number, per_target)
    return {
        "__name__": f"http_requests_{own % 4}_total",
        "code": ("200", "302", "404", "500")[own % 4],
        "instance": f"10.0.{target // 250}.{target % 250}:8080",
        "job": f"service-{target // 10}",
        "method": ("GET", "POST", "PUT", "DELETE", "PATCH")[own % 5],
        "path": f"/api/v1/items/{own}",
    }


@dataclass
class Request:
    """One remote write request, of which values and times are filled in for each scrape."""

    numbers: npt.NDArray[np.int64]
    per_target: int
    body: Bytes = field(init=False)
    _values: npt.NDArray[np.intp] = field(init=False)
    _times: npt.NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        """Lay the request out once."""
        body, values, times = bytearray(), list[int](), list[int]()
        for number in self.numbers.tolist():
            pairs = labels_of(number, self.per_target).items()
            named = [chunk(1, chunk(1, n.encode()) + chunk(2, v.encode())) for n, v in pairs]
            value = b"" if zero(number) else b"\x09" + bytes(8)
            sample = chunk(2, value + b"\x10" + bytes(6))
            body += chunk(1, b"".join(named) + sample)
            times.append(len(body) - 6)
            if value:
                values.append(len(body) - 15)
        self.body = np.frombuffer(bytes(body), np.uint8).copy()
        self._values = np.array(values)[:, None] + np.arange(8)
        self._times = np.array(times)[:, None] + np.arange(6)

    def packed(self, at_ms: int, values: Floats) -> bytes:
        """Return the body of one scrape; `values` are those of all series of the run."""
        numbers = self.numbers
        own = values[numbers[~zero(numbers)]]
        self.body[self._values] = own.view(np.uint8).reshape(-1, 8)
        phases = numbers // self.per_target * 37 % (STEP_MS - 1_000)
        digits = (at_ms + phases)[:, None] >> np.arange(0, 42, 7)
        self.body[self._times] = digits & 0x7F | np.array([0x80] * 5 + [0])
        return bytes(cramjam.snappy.compress_raw(self.body.tobytes()))


def zero(number: Any) -> Any:
    """Tell whether a series, or each of some, is always 0."""
    return number % 10 == 7


@dataclass
class Written:
    """What one server cost in each round, and what it held in the end."""

    cpu: list[float]  # seconds per million samples
    rate: list[float]  # samples a second
    held: dict[str, dict[str, float]]


def layouts_of(series: int, per_target: int, count: int) -> list[list[Request]]:
    """Return the ways in which the series are put into requests."""
    every = np.arange(series)
    turned = (np.roll(every, -each * (series // count)) for each in range(count))
    firsts = range(0, series, PER_REQUEST)
    return [
        [Request(numbers[first : first + PER_REQUEST], per_target) for first in firsts]
        for numbers in turned
    ]


def write_rounds(
    server: Server, layouts: Sequence[Sequence[Request]], rounds: int, start_ms: int
) -> Written:
    """Write a history to a server, round by round."""
    series = sum(len(each.numbers) for each in layouts[0])
    connections = [server.connect() for _ in range(2 if len(layouts) == 1 else 1)]
    found, values = Written([], [], {}), np.random.default_rng(SEED)
    for number in range(WARM + rounds):
        lanes: list[list[bytes]] = [[] for _ in connections]
        for step in range(number * STEPS, (number + 1) * STEPS):
            drawn = values.integers(1, 10**9, series) / values.choice([1, 1, 100], series)
            for place, each in enumerate(layouts[step % len(layouts)]):
                body = each.packed(start_ms + step * STEP_MS, drawn)
                lanes[place % len(lanes)].append(body)
        began, before = time.perf_counter(), cpu_seconds(server.pid)
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(partial(send, server), connections, lanes))
        took, used = time.perf_counter() - began, cpu_seconds(server.pid) - before
        if number >= WARM:
            found.cpu.append(used / (series * STEPS) * 1e6)
            found.rate.append(series * STEPS / took)
    at_s = (start_ms + (WARM + rounds) * STEPS * STEP_MS - 1) / 1000  # no sample on an edge
    found.held = {expr: server.query(expr, at_s) for expr in _ASKED}
    return found


def send(server: Server, connection: http.client.HTTPConnection, bodies: Sequence[bytes]) -> None:
    """Send requests one after the other."""
    for body in bodies:
        connection.request("POST", f"{server.prefix}/api/v1/write", body, WRITE)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{server.name} refused a write: {answer.status} {text.decode()[:300]}")


# -- scraping ------------------------------------------------------------------------------------


@dataclass
class Pages:
    """Serves pages: each time one is asked for, its next variant."""

    texts: list[bytes] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    served: int = 0
    port: int = 0
    _asked: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the variants."""
        drawn = np.random.default_rng(SEED)
        begin, step = drawn.integers(1, 10**7, PAGE_SERIES), drawn.integers(1, 100, PAGE_SERIES)
        for number in range(VARIANTS):
            grown = (begin + number * step).tolist()
            values = [n / 1000 if place % 4 == 0 else n for place, n in enumerate(grown)]
            self.sums.append(float(sum(values)))
            self.texts.append(page(number, values))

    def next(self, path: str) -> bytes:
        """Return the page that is next under a path."""
        number = self._asked.get(path, 0)
        self._asked[path] = number + 1
        self.served += 1
        return self.texts[number % VARIANTS]


def page(variant: int, values: Sequence[float]) -> bytes:
    """Return a page in text format 0.0.4."""
    lines = ["# TYPE bench_variant gauge", f"bench_variant {variant}"]
    for number, value in enumerate(values):
        family, own = divmod(number, 20)
        if not own:
            name = f"page_metric_{family}_total"
            lines += [f"# HELP {name} What the benchmark counts.", f"# TYPE {name} counter"]
        code, method = ("200", "302", "404", "500")[own % 4], ("GET", "POST")[own % 2]
        labels = f'code="{code}",method="{method}",path="/api/v1/items/{own}"'
        lines.append(f"page_metric_{family}_total{{{labels}}} {value}")
    return "\n".join([*lines, ""]).encode()


@contextmanager
def serving(pages: Pages) -> Iterator[None]:
    """Serve pages on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            text = pages.next(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a server that is stopped drops its connections."""

    server = Quiet(("127.0.0.1", 0), Handler)
    pages.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scrape_config(port: int, targets: int, indent: str = "") -> str:
    """Return YAML with one job for each target, in both servers' words."""
    jobs = "".join(
        f"{indent}  - job_name: page-{number}\n"
        f"{indent}    metrics_path: /{number}\n"
        f"{indent}    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        for number in range(targets)
    )
    scraping = f"{indent}scrape_configs:\n{jobs}"
    return f"{indent}scrape_interval: 1s\n{scraping}" if indent else scraping


@dataclass
class Read:
    """What scraping cost one server in each round (CPU seconds per million samples)."""

    cpu: list[float]
    wrong: list[str]


def scrape_rounds(server: Server, pages: Pages, targets: int, rounds: int) -> Read:
    """Watch a server scrape, a second each round."""
    found = Read([], [])
    per_page = PAGE_SERIES + 1
    for number in range(WARM + rounds):
        served, before = pages.served, cpu_seconds(server.pid)
        time.sleep(1)
        samples = (pages.served - served) * per_page
        if number >= WARM:
            found.cpu.append((cpu_seconds(server.pid) - before) / samples * 1e6)
    time.sleep(2)  # until everything of two seconds ago is stored
    found.wrong = wrong_pages(server, pages, targets, time.time() - 2)
    return found


def wrong_pages(server: Server, pages: Pages, targets: int, at_s: float) -> list[str]:
    """Return the targets of which a server does not hold the page it was given last."""
    names = '{__name__=~"page_metric_.*"}'
    variants = server.query("max by (job) (bench_variant)", at_s)
    sums = server.query(f"sum by (job) ({names})", at_s)
    counts = server.query(f"count by (job) ({names})", at_s)
    wrong = [] if len(variants) == len(counts) == targets else [f"{len(variants)} targets"]
    for job, variant in variants.items():
        expected = pages.sums[int(variant)]
        if counts.get(job) != PAGE_SERIES or not near(sums.get(job, 0.0), expected):
            wrong.append(f"{job}: {counts.get(job)} series, {sums.get(job)} for {expected}")
    return wrong


# -- both ----------------------------------------------------------------------------------------


def near(one: float, other: float) -> bool:
    """Tell whether two values are the same but for the order of additions."""
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other))


def differences(ours: Written, theirs: Written, *, samples: int) -> list[str]:
    """Return how the answers of two servers differ, and from what was sent."""
    found = []
    for expr, expected in theirs.held.items():
        got = ours.held[expr]
        same = got.keys() == expected.keys()
        if not same or not all(near(got[key], value) for key, value in expected.items()):
            found.append(f"{expr}: {len(got)} rows for {len(expected)}")
    held = list(ours.held[_COUNTED].values())
    return found if held == [samples] else [*found, f"{held} samples for {samples}"]


_SERIES = '{__name__=~"http_requests_._total"}'
_COUNTED = f"sum(count_over_time({_SERIES}[4h]))"
_ASKED = (
    _COUNTED,
    f"count by (__name__, code) ({_SERIES})",
    f"sum by (job) ({_SERIES})",
    f"sum by (method) (sum_over_time({_SERIES}[10m]))",
)


def each(run: Callable[[Server], Any], scrape: Callable[[str], str]) -> tuple[Any, Any]:
    """Return what a run gives with Tocsin and with Prometheus, one after the other."""
    with tempfile.TemporaryDirectory() as folder, tocsin(Path(folder), scrape("    ")) as server:
        ours = run(server)
    text = "global: {scrape_interval: 1s}\n" + scrape("")
    with tempfile.TemporaryDirectory() as folder, peer(Path(folder), text) as server:
        return ours, run(server)


def main(args: Sequence[str]) -> int:
    """Measure both ways in, and compare."""
    parser = argparse.ArgumentParser(description="CPU of taking samples in over HTTP.")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--per-target", type=int, default=100)
    parser.add_argument("--layouts", type=int, default=1)
    given = parser.parse_args(args)
    os.sched_setaffinity(0, {SENDERS})
    version = prometheus_version()
    say(f"tocsin {VERSION}, prometheus {version}, {machine()}")
    start_ms = int(time.time()) * 1000 - (WARM + given.rounds) * STEPS * STEP_MS
    layouts = layouts_of(given.series, given.per_target, given.layouts)
    written, theirs = each(
        lambda server: write_rounds(server, layouts, given.rounds, start_ms), lambda _: ""
    )
    wrong = differences(written, theirs, samples=given.series * STEPS * (WARM + given.rounds))
    tell("remote write", written.cpu, theirs.cpu)
    pages = Pages()
    with serving(pages):
        read, peers = each(
            lambda server: scrape_rounds(server, pages, given.targets, given.rounds),
            lambda indent: scrape_config(pages.port, given.targets, indent),
        )
    tell("scrape", read.cpu, peers.cpu)
    wrong += [*read.wrong, *peers.wrong]
    for difference in wrong:
        say(f"DIFFERENT: {difference}")
    median = statistics.median
    print(
        json.dumps(
            {
                "bench": "ingest",
                "series": given.series,
                "rounds": given.rounds,
                "per_target": given.per_target,
                "layouts": given.layouts,
                "prometheus_version": version,
                "tocsin_version": VERSION,
                "remote_write_cpu_ratio": round(median(theirs.cpu) / median(written.cpu), 2),
                "remote_write_samples_per_s": round(median(written.rate)),
                "remote_write_samples_per_s_prometheus": round(median(theirs.rate)),
                "remote_write_cpu_s_per_million": round(median(written.cpu), 4),
                "remote_write_cpu_s_per_million_prometheus": round(median(theirs.cpu), 4),
                "scrape_cpu_ratio": round(median(peers.cpu) / median(read.cpu), 2),
                "scrape_samples_per_s": round(1e6 / median(read.cpu)),
                "scrape_cpu_s_per_million": round(median(read.cpu), 4),
                "scrape_cpu_s_per_million_prometheus": round(median(peers.cpu), 4),
                "equal": not wrong,
                "machine": machine(),
            }
        )
    )
    return 1 if wrong else 0


def tell(what: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Say what a run has shown."""
    here, there = statistics.median(ours), statistics.median(theirs)
    say(f"{what}: {here:.3f} CPU s per million samples, prometheus {there:.3f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
