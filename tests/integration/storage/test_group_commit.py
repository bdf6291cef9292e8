"""One thread writes, and what is queued while it commits shares the next commit."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.model.errors import LimitExceeded, NotDurable
from tocsin.storage.sqlite.writer import Writer

INSERT = "INSERT INTO t (n) VALUES (?)"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(tmp_path / "t.db", isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    yield made
    made.close()


class Held:
    """A writer that is busy until `go`: what is submitted meanwhile makes one batch."""

    def __init__(self, connection: sqlite3.Connection, *, queue_bytes: int = 10**6) -> None:
        self.statements: list[str] = []
        self._gate = threading.Event()
        self.writer = Writer(connection, asyncio.get_running_loop(), queue_bytes=queue_bytes)
        self._started = threading.Event()
        self.writer.submit(self._wait)
        self._started.wait(30)
        connection.set_trace_callback(self.statements.append)

    def insert(self, n: int) -> "asyncio.Future[int]":
        return self.writer.submit(lambda connection: put(connection, n))

    def go(self) -> None:
        self._gate.set()

    def _wait(self, _: sqlite3.Connection) -> None:
        self._started.set()
        self._gate.wait(30)


def put(connection: sqlite3.Connection, n: int) -> int:
    connection.execute(INSERT, (n,))
    return n


def kept(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


async def test_jobs_queued_during_a_commit_share_the_next_one(
    connection: sqlite3.Connection,
) -> None:
    held = Held(connection)
    futures = [held.insert(n) for n in range(500)]
    held.go()
    assert await asyncio.gather(*futures) == list(range(500))
    await held.writer.close()
    assert held.statements.count("BEGIN IMMEDIATE") == 1
    assert held.statements.count("COMMIT") == 2  # the gate's own, and one for all


async def test_results_come_in_the_order_of_the_queue(connection: sqlite3.Connection) -> None:
    held = Held(connection)
    order: list[int] = []
    for n in range(50):
        held.insert(n).add_done_callback(lambda done: order.append(done.result()))
    held.go()
    await held.writer.close()
    await asyncio.sleep(0)
    assert order == list(range(50))


async def test_a_job_that_breaks_a_constraint_fails_alone(connection: sqlite3.Connection) -> None:
    held = Held(connection)
    futures = [held.insert(n) for n in (1, 2, 2, 3)]
    held.go()
    results = await asyncio.gather(*futures, return_exceptions=True)
    await held.writer.close()
    assert isinstance(results[2], NotDurable)
    assert "UNIQUE" in str(results[2])
    assert results[:2] + results[3:] == [1, 2, 3]
    assert kept(connection) == [1, 2, 3]


async def test_what_a_faulty_job_wrote_before_its_fault_is_undone(
    connection: sqlite3.Connection,
) -> None:
    def faulty(connection: sqlite3.Connection) -> None:
        put(connection, 7)
        raise KeyError("a bug")

    held = Held(connection)
    good, bad = held.insert(1), held.writer.submit(faulty)
    held.go()
    assert await good == 1
    with pytest.raises(KeyError):
        await bad
    await held.writer.close()
    assert kept(connection) == [1]


async def test_a_statement_that_is_wrong_fails_alone(connection: sqlite3.Connection) -> None:
    held = Held(connection)
    good = held.insert(1)
    bad = held.writer.submit(lambda connection: connection.execute("SELECT nothing FROM nowhere"))
    held.go()
    assert await good == 1
    with pytest.raises(NotDurable):
        await bad
    await held.writer.close()


async def test_when_the_disk_is_full_everybody_in_the_batch_hears_it(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("CREATE TABLE big (body BLOB)")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    held = Held(connection)
    futures: list[asyncio.Future[object]] = [
        held.writer.submit(lambda connection: put(connection, 1)),
        held.writer.submit(
            lambda connection: connection.execute("INSERT INTO big VALUES (zeroblob(100000))")
        ),
    ]
    held.go()
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [NotDurable, NotDurable]
    assert "full" in str(results[0])
    assert await held.insert(2) == 2
    await held.writer.close()
    assert kept(connection) == [2]


async def test_a_listener_hears_before_the_waiter(connection: sqlite3.Connection) -> None:
    writer = Writer(connection, asyncio.get_running_loop(), queue_bytes=100)
    heard: list[str] = []
    future = writer.submit(
        lambda connection: put(connection, 1), committed=lambda n: heard.append(f"listener {n}")
    )
    future.add_done_callback(lambda _: heard.append("waiter"))
    await writer.close()
    await asyncio.sleep(0)
    assert heard == ["listener 1", "waiter"]


async def test_a_listener_that_fails_stops_nobody(
    connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    fault = KeyError("a bug")

    def listen(_: int) -> None:
        raise fault

    held = Held(connection)
    first = held.writer.submit(lambda connection: put(connection, 1), committed=listen)
    unwatched = held.writer.submit(lambda connection: put(connection, 2), committed=listen)
    unwatched.cancel()
    last = held.insert(3)
    held.go()
    assert [await first, await last] == [1, 3]
    await held.writer.close()
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.exc_info[1] for record in logged if record.exc_info] == [fault, fault]


async def test_over_the_bound_an_append_is_told_to_come_back(
    connection: sqlite3.Connection,
) -> None:
    held = Held(connection, queue_bytes=100)
    accepted = held.writer.submit(lambda connection: put(connection, 1), size=90)
    with pytest.raises(LimitExceeded, match="90 bytes wait") as refused:
        await held.writer.submit(lambda connection: put(connection, 2), size=20)
    assert refused.value.retry_after_s == 1
    unsized = held.insert(3)
    held.go()
    assert [await accepted, await unsized] == [1, 3]
    assert held.writer.waiting_bytes == 0
    assert await held.writer.submit(lambda connection: put(connection, 4), size=500) == 4
    await held.writer.close()


async def test_a_failed_batch_gives_its_bytes_back(connection: sqlite3.Connection) -> None:
    writer = Writer(connection, asyncio.get_running_loop(), queue_bytes=100)
    for _ in range(2):
        with pytest.raises(NotDurable):
            await writer.submit(lambda connection: connection.execute("nonsense"), size=90)
    assert writer.waiting_bytes == 0
    await writer.close()


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(
    connection: sqlite3.Connection,
) -> None:
    held = Held(connection)
    futures = [held.insert(n) for n in range(20)]
    closing = [asyncio.ensure_future(held.writer.close()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NotDurable, match="closed"):
        await held.insert(99)
    held.go()
    await asyncio.gather(*closing)
    assert [future.result() for future in futures] == list(range(20))
    assert kept(connection) == list(range(20))


def test_the_thread_ends_when_its_loop_is_gone(connection: sqlite3.Connection) -> None:
    async def leave() -> Held:
        held = Held(connection)
        held.insert(1)
        return held

    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(leave())
    loop.close()
    held.go()
    held.writer._thread.join(30)
    assert not held.writer._thread.is_alive()
