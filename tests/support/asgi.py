"""Asks an ASGI application in process: no socket, no server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answered:
    """What the application sent; status 0: nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return msgspec.json.decode(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    url: str,
    *,
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    gone: asyncio.Future[Message] | None = None,
) -> Answered:
    """Return the answer to one request; the path is decoded once, as a server does.

    The caller stays until it is answered; `gone` is the message that it has left.
    """
    raw, _, query = url.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(n.lower().encode(), v.encode()) for n, v in headers or []],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 9093),
        "state": {},
    }
    sent: list[Message] = []
    left = gone or asyncio.get_running_loop().create_future()
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        found = next(given, None)
        return found if found is not None else await left

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    nothing: Message = {"status": 0, "headers": []}
    head = next((m for m in sent if m["type"] == "http.response.start"), nothing)
    parts = [m.get("body", b"") for m in sent if m["type"] == "http.response.body"]
    shown = {n.decode().lower(): v.decode() for n, v in head["headers"]}
    return Answered(head["status"], shown, b"".join(parts))
