"""A real Prometheus of the test's own, and how it is asked."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from house import Process, free_port, program, running, wait_ready

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Page:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


@dataclass(slots=True)
class Peer:
    """An HTTP server on loopback; one connection, kept open."""

    address: str
    prefix: str = ""
    token: str = ""
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(self.address, timeout=WITHIN_S)

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Page:
        """Return the answer; a connection that was closed meanwhile is opened again."""
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            self._connection.request(method, self.prefix + path, body, {**shown, **(headers or {})})
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            self._connection.request(method, self.prefix + path, body, {**shown, **(headers or {})})
            answer = self._connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Page(answer.status, named, answer.read())

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Page:
        """Return the answer of the API to a GET."""
        query = f"?{urlencode(params)}" if params else ""
        return self.send("GET", f"/api/v1{path}{query}")

    def post(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Page:
        """Return the answer of the API to a form."""
        return self.send("POST", f"/api/v1{path}", urlencode(params).encode(), FORM)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def prometheus(folder: Path, configuration: str, *flags: str, address: str = "") -> Iterator[Peer]:
    """Run a Prometheus with `configuration` in `folder`, its data included."""
    listen = address or f"127.0.0.1:{free_port()}"
    (folder / "prometheus.yml").write_text(configuration)
    process = Process(
        [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         f"--web.listen-address={listen}", *flags],
        folder / "prometheus.log",
        cwd=folder,
    )  # fmt: skip
    with running(process.start()):
        wait_ready(process, f"http://{listen}/-/ready")
        peer = Peer(listen)
        yield peer
        peer.close()
