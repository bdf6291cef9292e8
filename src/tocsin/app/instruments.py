"""The desk's own metrics: configuration, stores, and how late the loop is."""

from __future__ import annotations

from datetime import datetime

from tocsin.telemetry.metrics import Registry

_HASH_DIGITS = 12  # 48 bits: a float64 holds them exactly, as upstream's hash metric does


class ConfigInstruments:
    """What became of the last reload, in our names and in Alertmanager's."""

    def __init__(self, registry: Registry) -> None:
        """Register the gauges; once per registry."""
        gauge = registry.gauge
        self._good = [
            gauge(f"{family}_config_last_reload_successful", "1 if the last reload succeeded.")
            for family in ("tocsin", "alertmanager")
        ]
        self._when = [
            gauge(
                f"{family}_config_last_reload_success_timestamp_seconds",
                "When a configuration was last put in force.",
            )
            for family in ("tocsin", "alertmanager")
        ]
        self._hash = [
            gauge(f"{family}_config_hash", "Hash of the configuration in force.")
            for family in ("tocsin", "alertmanager")
        ]

    def loaded(self, digest: str, now: datetime) -> None:
        """Note that a configuration is in force."""
        for good, when, hashed in zip(self._good, self._when, self._hash, strict=True):
            good.set(1)
            when.set(now.timestamp())
            hashed.set(int(digest[:_HASH_DIGITS], 16))

    def refused(self) -> None:
        """Note that a configuration was refused."""
        for good in self._good:
            good.set(0)


class StoreGauges:
    """How much the stores hold, by tenant."""

    def __init__(self, registry: Registry) -> None:
        """Register the gauges; once per registry."""
        tenant = ("tenant",)
        self.series = registry.gauge("tocsin_series", "Series in the metric store.", tenant)
        self.outbox = registry.gauge(
            "tocsin_outbox_pending", "Notifications that wait to be sent.", tenant
        )
        self.lag = registry.gauge(
            "tocsin_loop_lag_seconds", "How late the event loop was with its last chore."
        )
