"""What the configuration says of keeping samples, brought to the metric store."""

from __future__ import annotations

from tocsin.config_loader.loaded import Config
from tocsin.config_loader.server import StorageConfig
from tocsin.timeseries.config import TsdbConfig
from tocsin.timeseries.options import Keeping
from tocsin.timeseries.store import MetricStore


def keep(series: MetricStore, config: Config) -> None:
    """Put retention, sizes and windows of every tenant in force."""
    series.set_total_size(config.storage.retention_size or None)
    for tenant in config.tenants:
        series.set_keeping(tenant.id, keeping_of(tenant.tsdb, config.storage))


def keeping_of(tenant: TsdbConfig, storage: StorageConfig) -> Keeping:
    """Return how one tenant's samples are kept: what it says itself comes first."""
    window = tenant.out_of_order_time_window
    return Keeping(
        retention=storage.retention if tenant.retention is None else tenant.retention,
        retention_size=tenant.retention_size or None,
        out_of_order_window=storage.out_of_order_time_window if window is None else window,
    )
