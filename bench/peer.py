"""A real Prometheus beside us: started, fed, asked, and measured. Shared by the benchmarks."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cramjam

_TICKS = os.sysconf("SC_CLK_TCK")
_READY_S = 60


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def machine() -> str:
    """Return what the numbers were measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    return f"{model[1] if model else 'unknown CPU'}, {os.cpu_count()} cores"


def say(text: str) -> None:
    """Tell how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def prometheus_version() -> str:
    """Return the version on PATH; exits with a clear message when there is none."""
    program = shutil.which("prometheus")
    if program is None:
        sys.exit("prometheus is not on PATH: apt-get install prometheus")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\S+)", told.stdout + told.stderr)
    return found[1] if found else "unknown"


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass
class Prometheus:
    """A running Prometheus, pinned to one core."""

    port: int
    pid: int
    connection: http.client.HTTPConnection

    def write(self, body: bytes) -> None:
        """Send one remote write 1.0 request; `body` is not compressed yet."""
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        packed = bytes(cramjam.snappy.compress_raw(body))
        self.connection.request("POST", "/api/v1/write", packed, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"prometheus refused a write: {answer.status} {text.decode()[:300]}")

    def query(self, expr: str, at_ms: int) -> list[dict[str, Any]]:
        """Return the elements of an instant query."""
        form = urllib.parse.urlencode({"query": expr, "time": f"{at_ms / 1000:.3f}"})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.connection.request("POST", "/api/v1/query", form, headers)
        answer = json.loads(self.connection.getresponse().read())
        if answer["status"] != "success":
            sys.exit(f"prometheus cannot answer {expr}: {answer}")
        return list(answer["data"]["result"])

    def settle(self) -> None:
        """Wait until background work (compaction, garbage collection) has calmed down."""
        deadline = time.monotonic() + 120
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            before = cpu_seconds(self.pid)
            time.sleep(0.5)
            quiet = quiet + 1 if cpu_seconds(self.pid) - before <= 0.02 else 0


@contextmanager
def prometheus(folder: Path, *, core: int, config: str = "global: {}\n") -> Iterator[Prometheus]:
    """Start a Prometheus with a remote write receiver on one core; stop it afterwards."""
    port, file = free_port(), folder / "prometheus.yml"
    file.write_text(config)
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--query.max-samples=500000000",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
            env=os.environ | {"GOMAXPROCS": "1"},
        )
        try:
            os.sched_setaffinity(process.pid, {core})
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            _wait_ready(connection, process)
            yield Prometheus(port, process.pid, connection)
        finally:
            process.terminate()
            process.wait(60)


def _wait_ready(connection: http.client.HTTPConnection, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection.request("GET", "/-/ready")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
        except OSError:
            connection.close()
        time.sleep(0.1)
    sys.exit("prometheus did not become ready")
