"""From the outbox over a real socket to a receiver that fails at first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from receiver_setup import read_receiver, setup_of

from tocsin.model.clock import Clock
from tocsin.model.notification import Final
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.dispatch import Dispatcher
from tocsin.notification_dispatcher.fakes import FakeSmtp, MemoryOutbox, a_notification
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.transport import AiohttpTransport
from tocsin.telemetry.metrics import Registry

ACME = TenantId("acme")


class WallClock(Clock):
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max((when - self.now()).total_seconds(), 0))


class Receiver:
    """Answers 503 to the first request and 200 to the rest."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[Any] = []
        self.satisfied = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length"))
        self.bodies.append(json.loads(await reader.readexactly(int(size.split(b":")[1]))))
        self.heads.append(head)
        status = b"503 Busy" if len(self.heads) == 1 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        if len(self.heads) > 1:
            self.satisfied.set()


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    server.close()


async def test_a_notification_arrives_at_the_second_attempt_with_the_same_key(
    receiver: tuple[Receiver, str],
) -> None:
    told, url = receiver
    outbox, http, clock = MemoryOutbox(), AiohttpTransport(), WallClock()
    dispatcher = Dispatcher(
        Wire(http, FakeSmtp()),
        outbox=outbox,
        clock=clock,
        rng=lambda: 0.0,
        registry=Registry(version="test"),
    )
    await dispatcher.start(ACME, setup_of([read_receiver(webhook_configs=[{"url": url}])]))
    outbox.commit(ACME, [a_notification()])
    async with asyncio.timeout(10):
        await told.satisfied.wait()
    await dispatcher.stop()
    await http.close()
    assert [report.final for report in outbox.reports] == [Final.DELIVERED]
    mark = b"Idempotency-Key: " + a_notification().id.encode()
    assert [mark in head for head in told.heads] == [True, True]
    assert told.bodies[0] == told.bodies[1]
    assert told.bodies[0]["alerts"][0]["labels"]["alertname"] == "HighLoad"
