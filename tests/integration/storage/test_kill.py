"""kill -9 at any moment loses nothing that was acknowledged."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tocsin.model.tenant import TenantId
from tocsin.storage.stores import open_sqlite

A = TenantId("a")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
ACKNOWLEDGED = 300  # lines to wait for before the kill

PROGRAM = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tocsin.model.events import Delta, EntryKind, LogEntry
from tocsin.model.labels import EMPTY
from tocsin.model.notification import Notification, Reason
from tocsin.model.tenant import TenantId
from tocsin.storage.stores import open_sqlite

A = TenantId("a")
NOW = datetime(2026, 1, 1, tzinfo=UTC)

async def one(stores, worker):
    n = 0
    while True:
        body = f"{worker}-{n}".encode()
        seq = await stores.alerts.append(A, LogEntry(EntryKind.ALERTS, NOW, body))
        print("entry", seq, body.decode(), flush=True)
        row = Notification(body.decode(), A, "r", "i", "g", EMPTY, (), Reason.FIRST, NOW)
        await stores.alerts.commit(A, seq=seq, delta=Delta((row,)))
        print("row", seq, row.id, flush=True)
        n += 1

async def main():
    stores = open_sqlite(Path(sys.argv[1]))
    await asyncio.gather(*(one(stores, worker) for worker in range(20)))

asyncio.run(main())
"""


def acknowledged_until_killed(data_dir: Path) -> list[list[str]]:
    """Run the program, kill it after some lines, return every whole line it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdout is not None
    with process, process.stdout as out:
        lines = [out.readline() for _ in range(ACKNOWLEDGED)]
        process.send_signal(signal.SIGKILL)
        lines += out.readlines()
    return [line.split() for line in lines if line.endswith("\n")]


async def test_what_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    lines = acknowledged_until_killed(tmp_path)
    assert len(lines) >= ACKNOWLEDGED
    stores = open_sqlite(tmp_path)
    log = await stores.alerts.tail(A, after=0, limit=10**6)
    outbox = await stores.outbox.claim(A, now=T0, limit=10**6, lease=timedelta(minutes=1))
    applied = await stores.snapshots.applied(A)
    await stores.close()
    entries = {(kept.seq, kept.entry.body.decode()) for kept in log}
    rows = {row.notification.id for row in outbox}
    assert {(int(seq), body) for kind, seq, body in lines if kind == "entry"} <= entries
    assert {name for kind, _, name in lines if kind == "row"} <= rows
    assert applied >= max(int(seq) for kind, seq, _ in lines if kind == "row")
    assert rows <= {body for _, body in entries}
