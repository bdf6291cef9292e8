"""The desk's own metrics: configuration, stores, and how late the loop is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from tocsin.security.audit import AuditEvent, Trail
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.tenant_store import TenantStats

_QUERY_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WORK_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)  # a month merged takes minutes
_HASH_DIGITS = 12  # 48 bits: a float64 holds them exactly, as upstream's hash metric does


@dataclass(frozen=True, slots=True)
class ConfigState:
    """When a configuration was last put in force, and whether that was the last attempt."""

    loaded_at: datetime | None = None
    successful: bool = True


class ConfigInstruments:
    """What became of the last reload, in our names and in Alertmanager's."""

    def __init__(self, registry: Registry) -> None:
        """Register the gauges; once per registry."""
        gauge = registry.gauge
        self.state = ConfigState()
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
        self.state = ConfigState(now)
        for good, when, hashed in zip(self._good, self._when, self._hash, strict=True):
            good.set(1)
            when.set(now.timestamp())
            hashed.set(int(digest[:_HASH_DIGITS], 16))

    def refused(self) -> None:
        """Note that a configuration was refused."""
        self.state = replace(self.state, successful=False)
        for good in self._good:
            good.set(0)


class AuditInstruments:
    """Events of the audit trail, by tenant; an empty tenant is nobody's, or the platform's."""

    def __init__(self, registry: Registry) -> None:
        """Register the counter; once per registry."""
        self._events = registry.counter(
            "audit_events_total", "Events written to the audit trail.", ("tenant",)
        )

    def counted(self, trail: Trail) -> Trail:
        """Return a trail that counts what `trail` has taken."""

        def take(event: AuditEvent) -> None:
            trail(event)
            self._events.labels(event.tenant).inc()

        return take


class StoreGauges:
    """How much the stores hold, by tenant."""

    def __init__(self, registry: Registry) -> None:
        """Register the gauges; once per registry."""
        tenant = ("tenant",)
        self.series = registry.gauge("tocsin_series", "Series in the metric store.", tenant)
        self.tsdb = TsdbInstruments(registry)
        self.outbox = registry.gauge(
            "tocsin_outbox_pending", "Notifications that wait to be sent.", tenant
        )
        self.lag = registry.gauge(
            "tocsin_loop_lag_seconds", "How late the event loop was with its last chore."
        )


class TsdbInstruments:
    """The metric store's files, by tenant, and the work on them, by kind."""

    def __init__(self, registry: Registry) -> None:
        """Register everything; once per registry."""
        tenant, kind = ("tenant",), ("work",)
        gauge = registry.gauge
        self.samples = gauge("tocsin_tsdb_head_samples", "Samples in memory.", tenant)
        self.log_bytes = gauge("tocsin_tsdb_log_bytes", "Bytes of the log on disk.", tenant)
        self.lost_bytes = gauge(
            "tocsin_tsdb_log_lost_bytes",
            "Bytes of the log found torn or unreadable at the last start.",
            tenant,
        )
        self.blocks = gauge("tocsin_tsdb_blocks", "Blocks on disk.", tenant)
        self.block_bytes = gauge("tocsin_tsdb_block_bytes", "Bytes of the blocks on disk.", tenant)
        self.block_samples = gauge("tocsin_tsdb_block_samples", "Samples in blocks.", tenant)
        self.tombstones = gauge(
            "tocsin_tsdb_tombstones", "Deletions whose samples are not off the disk yet.", tenant
        )
        self.damaged = gauge(
            "tocsin_tsdb_damaged",
            "Places found damaged in blocks since the start; their samples are missing.",
            tenant,
        )
        self.seconds = registry.latency(
            "tocsin_tsdb_work_duration_seconds",
            "How long a piece of work on blocks took: seal, merge, delete, read, snapshot.",
            kind,
            buckets=_WORK_BUCKETS,
        )
        self.failed = registry.counter(
            "tocsin_tsdb_work_failures_total", "Pieces of work on blocks that failed.", kind
        )

    def show(self, tenant: str, stats: TenantStats) -> None:
        """Bring the gauges of one tenant up to date."""
        self.samples.labels(tenant).set(stats.samples)
        self.log_bytes.labels(tenant).set(stats.wal_bytes)
        self.lost_bytes.labels(tenant).set(stats.lost_bytes)
        self.blocks.labels(tenant).set(stats.blocks)
        self.block_bytes.labels(tenant).set(stats.block_bytes)
        self.block_samples.labels(tenant).set(stats.block_samples)
        self.tombstones.labels(tenant).set(stats.tombstones)
        self.damaged.labels(tenant).set(len(stats.faults))


class QueryInstruments:
    """Ad-hoc queries, by tenant; those of rules are counted by the rule stage."""

    def __init__(self, registry: Registry) -> None:
        """Register everything; once per registry."""
        tenant = ("tenant",)
        self.running = registry.gauge(
            "tocsin_queries_in_flight", "Ad-hoc queries that are evaluated.", tenant
        )
        self.waiting = registry.gauge(
            "tocsin_queries_waiting", "Ad-hoc queries that wait for their turn.", tenant
        )
        self.failed = registry.counter(
            "tocsin_query_failures_total",
            "Ad-hoc queries without an answer, by reason: timeout, queue, samples, query, …",
            ("tenant", "reason"),
        )
        self.seconds = registry.latency(
            "tocsin_query_duration_seconds",
            "How long ad-hoc queries took, their wait included.",
            tenant,
            buckets=_QUERY_BUCKETS,
        )
        self.samples = registry.counter(
            "tocsin_query_samples_total", "Samples that ad-hoc queries read.", tenant
        )
