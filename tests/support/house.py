"""Real things the slow tests live with: processes, loopback webhooks, a mail server, free ports.

Waits are on conditions with a deadline. A foreign process has no event to wait for, so it is
asked again until the deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared"


def shared(path: str) -> Path:
    """Return a file of the shared material; skip the test where it is absent."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"../shared/{path} is not here")
    return found


def program(*names: str) -> str:
    """Return the first of these programs that is installed; skip the test when none is."""
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.skip(f"{names[0]} is not installed (scripts/install_test_programs.sh)")


def from_source() -> dict[str, str]:
    """Return an environment in which `python -m tocsin` is this checkout."""
    return {**os.environ, "PYTHONPATH": str(PROJECT / "src")}


def free_port() -> int:
    """Return a port that was free a moment ago, below the range clients get theirs from.

    A client that retries a dead port inside that range can connect to itself.
    """
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def eventually(holds: Callable[[], Any], *, within: float = 30.0, what: str) -> Any:
    """Return the first true answer of `holds`; fail with `what` when the deadline passes."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while not (answer := holds()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:.0f} s: {what}")
        pause.wait(0.05)
    return answer


@dataclass(slots=True)
class Process:
    """A program of the test's own, in a process group of its own."""

    command: Sequence[str]
    log: Path
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Start the program; its output is appended to `log`."""
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.cwd,
                env={**os.environ, **self.env},
                start_new_session=True,
            )
        return self

    @property
    def alive(self) -> bool:
        """Tell whether the program runs."""
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        assert self._popen is not None
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL the whole group, as a power cut would."""
        if self._popen is not None and self.alive:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def stop(self, *, within: float = 35.0) -> int:
        """SIGTERM, wait, and return the exit status; kill and fail past the deadline."""
        assert self._popen is not None
        if self.alive:
            self._popen.terminate()
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self.command[0]} did not stop in {within:.0f} s: {self.tail()}")

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-4000:]


def answers(url: str, *, token: str = "") -> tuple[int, str]:
    """Return status and body of a GET; (0, reason) when nobody answers."""
    return request("GET", url, token=token)


def request(method: str, url: str, *, token: str = "", body: Any = None) -> tuple[int, str]:
    """Return status and body of a request with a JSON body; (0, reason) when nobody answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    call = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(call, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait_ready(process: Process, url: str) -> None:
    """Wait until the server answers 200; fail with the end of its log."""

    def ready_or_dead() -> bool:
        return not process.alive or answers(url)[0] == 200

    eventually(ready_or_dead, what=f"{url} ready")
    assert process.alive, process.tail()


@dataclass(frozen=True, slots=True)
class Told:
    """One webhook request."""

    path: str
    key: str
    body: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Return the alert names in it, in order."""
        return [alert["labels"].get("alertname", "") for alert in self.body["alerts"]]


class Webhook:
    """A loopback webhook that keeps what it is told."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.told: list[Told] = []
        self._more = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str = "hook") -> str:
        """Return the address of a path."""
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def wait(self, holds: Callable[[list[Told]], Any], *, within: float = 30.0, what: str) -> Any:
        """Return the first true answer of `holds` over what was told so far."""
        with self._more:
            if not self._more.wait_for(lambda: holds(self.told), within):
                heard = [(t.path, t.body["status"], t.names) for t in self.told]
                pytest.fail(f"not within {within:.0f} s: {what}; heard {heard}")
            return holds(self.told)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers.get("Idempotency-Key", "")
                with hook._more:
                    hook.told.append(Told(self.path.strip("/"), key, json.loads(body)))
                    hook._more.notify_all()
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class Mailbox:
    """A real SMTP server on loopback that keeps every message."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.mails: list[EmailMessage] = []
        self._more = threading.Condition()
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep one message (called by aiosmtpd)."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        with self._more:
            self.mails.append(message)
            self._more.notify_all()
        return "250 kept"

    def wait(self, holds: Callable[[list[EmailMessage]], Any], *, what: str) -> Any:
        """Return the first true answer of `holds` over the mail so far; 30 s at most."""
        with self._more:
            if not self._more.wait_for(lambda: holds(self.mails), 30):
                subjects = [str(m["Subject"]) for m in self.mails]
                pytest.fail(f"not within 30 s: {what}; mail so far {subjects}")
            return holds(self.mails)

    def close(self) -> None:
        """Stop listening."""
        self._controller.stop()


@contextlib.contextmanager
def running(*things: Webhook | Mailbox | Process) -> Iterator[None]:
    """Stop all of these at the end, in the reverse order, whatever happens."""
    with contextlib.ExitStack() as stack:
        for thing in things:
            stack.callback(thing.kill if isinstance(thing, Process) else thing.close)
        yield
