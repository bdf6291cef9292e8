"""The listener: sockets bound first, so that a chosen port is known and 503 can be answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tocsin.config_loader.server import split_address
from tocsin.model.errors import TocsinError
from tocsin.telemetry.logs import get_logger

BACKLOG = 2048
_log = get_logger("web")


class CannotListen(TocsinError):
    """An address cannot be listened on; the message says which and why."""


class _Quiet(uvicorn.Server):
    """uvicorn, with signals left to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class Listener:
    """Serves one ASGI application on some addresses."""

    def __init__(self, app: ASGIApp) -> None:
        """Serve `app`; nothing is bound yet."""
        config = uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
            backlog=BACKLOG,
        )
        self._server = _Quiet(config)
        self._sockets: list[socket.socket] = []
        self._task: asyncio.Task[None] | None = None
        self.addresses: tuple[str, ...] = ()
        """What is listened on, `host:port`, the port really taken."""

    async def start(self, addresses: Sequence[str]) -> None:
        """Bind and begin to answer. Raises CannotListen; `stop` then closes what was bound."""
        for address in addresses:
            self._sockets.append(_bound(address))
        self.addresses = tuple(_name(sock) for sock in self._sockets)
        serving = self._server.serve(sockets=self._sockets)
        self._task = asyncio.create_task(serving, name="listener")
        for address in self.addresses:
            _log.info("Listening on", address=address)

    @property
    def url(self) -> str:
        """Return how the first address is reached; every interface is called by the host's name."""
        host, port = split_address(self.addresses[0])
        if host in ("0.0.0.0", "::"):  # noqa: S104 - told apart, not listened on
            host = socket.gethostname()
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Take no more connections, finish what was asked, close. Idempotent."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None
        while self._sockets:
            self._sockets.pop().close()


def _bound(address: str) -> socket.socket:
    """Return a listening socket for `host:port`; an empty host is every interface."""
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return _listening(min(found, key=lambda each: each[0] != socket.AF_INET))
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror or error}") from error


def _listening(info: tuple[Any, ...]) -> socket.socket:
    """Return a listening socket for one result of getaddrinfo. Raises OSError."""
    family, kind, protocol, _, where = info
    with contextlib.ExitStack() as undo:
        sock = socket.socket(family, kind, protocol)
        undo.callback(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        undo.pop_all()
    return sock


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
