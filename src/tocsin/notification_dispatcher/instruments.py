"""The metrics of this room; `alertmanager_…` where the meaning is the same as there."""

from __future__ import annotations

from tocsin.telemetry.metrics import Registry


class Instruments:
    """Counters and histograms of sending. `integration` is the provider's name."""

    def __init__(self, registry: Registry) -> None:
        """Register every instrument in `registry`."""
        by_integration = ("integration",)
        self.notifications = registry.counter(
            "alertmanager_notifications",
            "Notifications of which a first attempt was made.",
            by_integration,
        )
        self.failed = registry.counter(
            "alertmanager_notifications_failed",
            "Notifications rejected, given up, or not delivered within five minutes; each once.",
            ("integration", "reason"),
        )
        self.requests = registry.counter(
            "alertmanager_notification_requests", "Attempts to notify.", by_integration
        )
        self.requests_failed = registry.counter(
            "alertmanager_notification_requests_failed",
            "Attempts to notify that failed.",
            by_integration,
        )
        self.latency = registry.latency(
            "alertmanager_notification_latency_seconds",
            "How long one attempt took, in seconds.",
            by_integration,
        )
        self.waited = registry.latency(
            "tocsin_outbox_first_attempt_delay_seconds",
            "Time from the flush of a group to the first attempt, in seconds.",
            by_integration,
        )
        self.in_flight = registry.gauge(
            "tocsin_outbox_in_flight", "Claimed notifications, being sent or waiting for a place."
        )
        self.dead = registry.counter(
            "tocsin_outbox_dead_letters", "Notifications given up for their age.", by_integration
        )
        self.deferred = registry.counter(
            "tocsin_outbox_deferred", "Claimed notifications put off: their endpoint is backed up."
        )
        self.provider_errors = registry.counter(
            "tocsin_outbox_provider_errors", "Unexpected errors of providers.", by_integration
        )
        self.store_errors = registry.counter(
            "tocsin_outbox_store_errors", "Failed claims from, or reports to, the outbox."
        )
