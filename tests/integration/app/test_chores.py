"""What has to be done now and then is done, and a failure stops nothing."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tocsin.app.chores import COUNT_EVERY, SYNC_EVERY, TIDY_EVERY, Chores
from tocsin.app.clock import SystemClock
from tocsin.app.instruments import StoreGauges
from tocsin.model.clock import Clock
from tocsin.model.errors import NotDurable
from tocsin.model.labels import Labels
from tocsin.model.series import Layout
from tocsin.model.tenant import tenant_id
from tocsin.storage.stores import open_sqlite
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Keeping, Options
from tocsin.timeseries.store import MetricStore

ACME = tenant_id("acme")
NOW = datetime.now(UTC)
CHORES = 3  # that wait at the same time


class Leaping(Clock):
    """A clock that leaps to the next time anybody waits for; nothing wakes after `end`."""

    def __init__(self, end: timedelta) -> None:
        self._now, self._end = NOW, NOW + end
        self.done = asyncio.Event()
        self._waiting: list[tuple[datetime, int, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._waiting, (when, id(woken), woken))
        if len(self._waiting) == CHORES:
            self._leap()
        await woken.wait()

    def _leap(self) -> None:
        """Wake who waits for the earliest time; all of them wait now."""
        when, _, woken = heapq.heappop(self._waiting)
        if when > self._end:
            self.done.set()
        else:
            self._now = when
            woken.set()


@pytest.fixture
async def chores(tmp_path: Path) -> AsyncIterator[Chores]:
    stores = open_sqlite(tmp_path / "data")
    retention = Options(retention=timedelta(hours=1))
    series = MetricStore(tmp_path / "metrics", retention)
    yield Chores(
        series=series,
        stores=stores,
        clock=Leaping(TIDY_EVERY + SYNC_EVERY),
        gauges=StoreGauges(Registry(version="test")),
        tenants=lambda: (ACME,),
        history=lambda: timedelta(days=1),
    )
    series.close()
    await stores.close()


def add(chores: Chores, name: str, at: datetime) -> None:
    layout = Layout(name, (Labels.of({"__name__": name}),))
    chores.series.append(ACME, layout, round(at.timestamp() * 1000), np.array([1.0]))


async def test_gauges_tell_what_the_stores_hold(chores: Chores) -> None:
    add(chores, "up", NOW)
    await chores.sync()
    await chores.count()
    assert chores.gauges.series.labels(ACME)._value.get() == 1
    assert chores.gauges.outbox.labels(ACME)._value.get() == 0


async def test_samples_past_their_retention_go(chores: Chores) -> None:
    add(chores, "old", NOW - timedelta(minutes=59))
    await chores.tidy()
    assert chores.series.stats(ACME).series == 1
    chores.clock = Leaping(timedelta(0))
    chores.clock._now = NOW + timedelta(hours=3)
    await chores.tidy()
    assert chores.series.stats(ACME).series == 0


async def test_samples_go_into_blocks_and_the_work_is_timed(chores: Chores, tmp_path: Path) -> None:
    add(chores, "up", NOW)
    chores.series.set_keeping(ACME, Keeping(timedelta(days=9)))
    chores.clock = Leaping(timedelta(0))
    chores.clock._now = NOW + timedelta(hours=4)
    await chores.tidy()
    await chores.count()
    page = chores.gauges.tsdb
    assert page.blocks.labels(ACME)._value.get() == 1
    assert page.block_samples.labels(ACME)._value.get() == 1
    assert page.samples.labels(ACME)._value.get() == 0
    assert page.seconds.labels("seal")._sum.get() > 0
    assert len(list((tmp_path / "metrics" / ACME / "blocks").iterdir())) == 1


async def test_one_tenants_bad_disk_keeps_no_other_from_being_tidied(
    chores: Chores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tenant_id("other")
    chores.tenants = lambda: (ACME, other)
    for tenant in (ACME, other):
        layout = Layout("up", (Labels.of({"__name__": "up"}),))
        chores.series.append(tenant, layout, round(NOW.timestamp() * 1000), np.array([1.0]))
        chores.series.set_keeping(tenant, Keeping(timedelta(days=9)))
    (tmp_path / "metrics" / ACME / "blocks").symlink_to("/proc/self")  # no file can be made there
    chores.clock = Leaping(timedelta(0))
    chores.clock._now = NOW + timedelta(hours=4)
    await chores.tidy()
    assert chores.series.stats(other).blocks == 1
    assert chores.series.stats(ACME).blocks == 0
    assert chores.gauges.tsdb.failed.labels("seal")._value.get() == 1
    assert "chore failed" in caplog.text


async def test_a_damaged_block_is_told_of_once(
    chores: Chores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "metrics" / ACME / "blocks"
    folder.mkdir(parents=True)
    (folder / "1-2-0123456789ABCDEFGHJKMNPQRS.blk").write_bytes(b"damaged")
    chores.series.close()
    chores.series = MetricStore(tmp_path / "metrics")
    for _ in range(2):
        await chores.count()
    assert caplog.text.count("block damaged") == 1
    assert chores.gauges.tsdb.damaged.labels(ACME)._value.get() == 1


async def test_each_chore_has_its_period_and_a_failure_does_not_end_it(
    chores: Chores, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def noting(name: str, fault: Exception | None = None) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            done.append(name)
            if fault:
                raise fault

        return work

    assert isinstance(chores.clock, Leaping)
    running = [
        asyncio.create_task(chores._every(SYNC_EVERY, noting("sync", OSError("disk")))),
        asyncio.create_task(chores._every(COUNT_EVERY, noting("count", NotDurable("gone")))),
        asyncio.create_task(chores._every(TIDY_EVERY, noting("tidy"))),
    ]
    await asyncio.wait_for(chores.clock.done.wait(), 30)
    for task in running:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*running)
    assert done.count("tidy") == 1
    assert done.count("sync") >= TIDY_EVERY / SYNC_EVERY - 1
    assert done.count("count") >= TIDY_EVERY / COUNT_EVERY - 1
    assert "chore failed" in caplog.text


async def test_a_bug_in_a_chore_does_not_end_it(
    chores: Chores, caplog: pytest.LogCaptureFixture
) -> None:
    chores.clock = SystemClock()
    rounds, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            enough.set()
            await asyncio.Event().wait()
        raise KeyError("x")

    running = asyncio.create_task(chores._every(timedelta(0), work))
    await asyncio.wait_for(enough.wait(), 30)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert caplog.text.count("chore failed by a bug") == 2


async def test_chores_run_until_they_are_cancelled(chores: Chores) -> None:
    assert isinstance(chores.clock, Leaping)
    add(chores, "up", NOW)
    task = asyncio.create_task(chores.run())
    await asyncio.wait_for(chores.clock.done.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert chores.gauges.series.labels(ACME)._value.get() == 1
