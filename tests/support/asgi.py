"""Asks an ASGI application in process: no socket, no server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answered:
    """What the application sent."""

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
) -> Answered:
    """Return the answer to one request; the path is decoded once, as a server does."""
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
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(given, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = next(m for m in sent if m["type"] == "http.response.start")
    parts = [m.get("body", b"") for m in sent if m["type"] == "http.response.body"]
    shown = {n.decode().lower(): v.decode() for n, v in head["headers"]}
    return Answered(head["status"], shown, b"".join(parts))
