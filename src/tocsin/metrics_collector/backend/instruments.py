"""What backends tell of themselves, by tenant."""

from __future__ import annotations

from contextlib import suppress

from tocsin.telemetry.metrics import Registry


class BackendInstruments:
    """Counters of questions to backends and of results written there."""

    def __init__(self, registry: Registry) -> None:
        """Register everything; once per registry."""
        tenant = ("tenant",)
        self.queries = registry.counter(
            "tocsin_backend_queries_total",
            "Expressions of rules asked at a backend.",
            (*tenant, "outcome"),
        )
        self.duration = registry.latency(
            "tocsin_backend_query_duration_seconds",
            "How long a backend took to answer a rule, waiting and second try included.",
            tenant,
        )
        self.retries = registry.counter(
            "tocsin_backend_query_retries_total", "Expressions asked a second time.", tenant
        )
        self.shared = registry.counter(
            "tocsin_backend_queries_shared_total",
            "Expressions not asked because an equal one had been, for the same time.",
            tenant,
        )
        self.isolated = registry.gauge(
            "tocsin_backend_isolated",
            "1 while the backend may be asked for the tenant; 0 while isolation is not shown.",
            tenant,
        )
        self.written = registry.counter(
            "tocsin_backend_write_samples_total",
            "Samples of rules for the backend by what became of them.",
            (*tenant, "outcome"),
        )
        self.waiting = registry.gauge(
            "tocsin_backend_write_queue_samples", "Samples that wait to be written.", tenant
        )
        self.write_retries = registry.counter(
            "tocsin_backend_write_retries_total", "Requests to write that were tried again.", tenant
        )

    def forget(self, tenant: str) -> None:
        """Show a tenant's gauges no longer: it has no backend now."""
        for gauge in (self.isolated, self.waiting):
            with suppress(KeyError):
                gauge.remove(tenant)
