"""The numbers of the alert stage under Alertmanager's names, with the tenant as a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tocsin.alert_manager.views import StageStatus
from tocsin.model.alert import Alert
from tocsin.model.tenant import TenantId

Statuses = Callable[[], Mapping[TenantId, StageStatus]]


class Instruments:
    """Counters of what came in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the counters; once per registry."""
        self._received = Counter(
            "alertmanager_alerts_received_total",
            "The total number of received alerts.",
            ("tenant", "status", "version"),
            registry=registry,
        )
        self._invalid = Counter(
            "alertmanager_alerts_invalid_total",
            "The total number of received alerts that were invalid.",
            ("tenant", "version"),
            registry=registry,
        )

    def received(
        self, tenant: TenantId, alerts: Iterable[Alert], *, now: datetime, invalid: int
    ) -> None:
        """Count one batch."""
        for alert in alerts:
            self._received.labels(tenant, alert.phase(now), "v2").inc()
        self._invalid.labels(tenant, "v2").inc(invalid)


class StageCollector(Collector):
    """Gauges computed when they are scraped. Register it with a registry."""

    def __init__(self, statuses: Statuses) -> None:
        """Keep the source of the numbers; it is called once per scrape."""
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges of every tenant."""
        alerts = GaugeMetricFamily(
            "alertmanager_alerts", "How many alerts by state.", labels=("tenant", "state")
        )
        silences = GaugeMetricFamily(
            "alertmanager_silences", "How many silences by state.", labels=("tenant", "state")
        )
        groups = GaugeMetricFamily(
            "alertmanager_dispatcher_aggregation_groups",
            "Number of active aggregation groups.",
            labels=("tenant",),
        )
        in_flight = GaugeMetricFamily(
            "tocsin_notifications_in_flight",
            "Notifications decided whose delivery has not ended.",
            labels=("tenant",),
        )
        for tenant, status in self._statuses().items():
            alerts.add_metric((tenant, "active"), status.firing)
            alerts.add_metric((tenant, "suppressed"), status.suppressed)
            alerts.add_metric((tenant, "unprocessed"), 0)
            for state, count in status.silences.items():
                silences.add_metric((tenant, state.value), count)
            groups.add_metric((tenant,), status.groups)
            in_flight.add_metric((tenant,), status.in_flight)
        return alerts, silences, groups, in_flight
