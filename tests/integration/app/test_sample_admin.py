"""Samples are deleted, cleaned away and copied in a real store, beside the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.api.prometheus_form import BEGINNING_MS, END_MS
from tocsin.app.sample_admin import StoreAdmin
from tocsin.model.clock import Clock
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.promql.parser import parse_selector
from tocsin.timeseries.options import Options
from tocsin.timeseries.store import MetricStore

ACME, OTHER = tenant_id("acme"), tenant_id("other")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Later(Clock):
    """A clock that stands some hours after the samples."""

    def now(self) -> datetime:
        return T0 + timedelta(hours=9)

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetricStore]:
    store = MetricStore(tmp_path / "metrics", Options())
    for tenant in (ACME, OTHER):
        for hour in range(9):
            at_ms = to_ms(T0 + timedelta(hours=hour))
            names = ("up", "down")
            samples = [Sample(Labels.of({"__name__": n}), at_ms, float(hour)) for n in names]
            store.append_samples(tenant, samples)
    yield store
    store.close()


def counted(store: MetricStore) -> dict[str, int]:
    return {
        f"{tenant}/{series.labels.value('__name__')}": series.times.size
        for tenant in (ACME, OTHER)
        for series in store.select(
            tenant, parse_selector('{__name__=~".+"}'), start_ms=BEGINNING_MS, end_ms=END_MS
        )
    }


async def test_samples_are_deleted_and_then_taken_off_the_disk(
    store: MetricStore, tmp_path: Path
) -> None:
    admin, up = StoreAdmin(store, Later(), tmp_path / "snapshots"), parse_selector("up")
    store.expire(ACME, to_ms(Later().now()))  # most of it is in blocks now
    start_ms, end_ms = to_ms(T0 + timedelta(hours=1)), to_ms(T0 + timedelta(hours=2))
    await admin.delete_series(ACME, up, start_ms=start_ms, end_ms=end_ms)
    wanted = {"acme/up": 7, "acme/down": 9, "other/up": 9, "other/down": 9}
    assert counted(store) == wanted
    assert store.stats(ACME).block_samples == 16
    await admin.clean_tombstones(ACME)
    assert counted(store) == wanted
    assert store.stats(ACME).block_samples == 14
    await admin.delete_series(ACME, up, start_ms=BEGINNING_MS, end_ms=END_MS)
    del wanted["acme/up"]
    assert counted(store) == wanted


async def test_a_copy_of_one_tenant_opens_as_a_store(store: MetricStore, tmp_path: Path) -> None:
    admin = StoreAdmin(store, Later(), tmp_path / "snapshots")
    store.expire(ACME, to_ms(Later().now()))
    names = {await admin.snapshot(ACME) for _ in range(2)}
    assert len(names) == 2
    for name in names:
        assert name.startswith("20260101T090000Z-")
        copy = MetricStore(tmp_path / "snapshots" / name, Options())
        assert counted(copy) == {"acme/up": 9, "acme/down": 9}
        copy.close()
