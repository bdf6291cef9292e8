"""What a configuration says of keeping samples reaches the metric store, also at a reload."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tocsin.app.keeping import keep, keeping_of
from tocsin.config_loader.load import load
from tocsin.model.errors import ConfigError
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Keeping
from tocsin.timeseries.store import MetricStore

CONFIG = """
storage: {retention: 30d, retention_size: 50GB, out_of_order_time_window: 10m}
tenants:
  - id: plain
  - id: own
    tsdb: {retention: 2d, retention_size: 1GB, out_of_order_time_window: 0s}
"""
HOUR = 3_600_000


def test_a_tenants_own_word_comes_before_that_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(CONFIG)
    config = load(path).config
    plain, own = config.tenants
    assert keeping_of(plain.tsdb, config.storage) == Keeping(
        retention=timedelta(days=30), out_of_order_window=timedelta(minutes=10)
    )
    assert keeping_of(own.tsdb, config.storage) == Keeping(
        retention=timedelta(days=2), retention_size=1 << 30, out_of_order_window=timedelta(0)
    )
    assert config.storage.retention_size == 50 << 30


def test_without_a_word_samples_stay_fifteen_days_and_windows_are_the_sources_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text("tenant: plain\n")
    config = load(path).config
    assert keeping_of(config.tenants[0].tsdb, config.storage) == Keeping(timedelta(days=15))


def test_a_size_that_is_none_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text("tenant: plain\ntsdb: {retention_size: 50}\n")
    with pytest.raises(ConfigError, match=r"tocsin.yaml:2:\d+: not a valid size: '50'"):
        load(path)


def test_a_reload_changes_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    tenant = TenantId("plain")
    store = MetricStore(tmp_path / "metrics")
    sample = Sample(Labels.of({"__name__": "up"}), 0, 1.0)
    try:
        for retention, left in (("30d", 1), ("1d", 0)):
            path.write_text(f"tenant: plain\nstorage: {{retention: {retention}}}\n")
            keep(store, load(path).config)
            store.append_samples(tenant, [sample])
            store.expire(tenant, 40 * HOUR)
            assert len(store.select(tenant, [], start_ms=0, end_ms=1)) == left
    finally:
        store.close()
