"""The metric stage's own metrics."""

from __future__ import annotations

from tocsin.telemetry.metrics import Registry


class MetricInstruments:
    """Counters of collection, by tenant."""

    def __init__(self, registry: Registry) -> None:
        """Register everything; once per registry."""
        tenant = ("tenant",)
        self.targets = registry.gauge("tocsin_scrape_targets", "Scrape targets.", tenant)
        self.dropped = registry.gauge(
            "tocsin_scrape_targets_dropped", "Discovered targets that relabelling drops.", tenant
        )
        self.unusable = registry.gauge(
            "tocsin_scrape_targets_unusable",
            "Discovered targets without a usable address, interval or timeout.",
            tenant,
        )
        self.discovery_failures = registry.counter(
            "tocsin_discovery_failures_total",
            "Looks for targets that failed; the last good targets stay.",
            (*tenant, "mechanism"),
        )
        self.scrapes = registry.counter("tocsin_scrapes_total", "Scrapes.", (*tenant, "outcome"))
        self.missed = registry.counter(
            "tocsin_scrapes_missed_total",
            "Scrapes left out because the one before took too long.",
            tenant,
        )
        self.samples = registry.counter(
            "tocsin_samples_collected_total", "Samples stored.", (*tenant, "source")
        )
        self.refused = registry.counter(
            "tocsin_samples_refused_total",
            "Samples the store refused.",
            (*tenant, "source", "reason"),
        )
        self.exemplars = registry.counter(
            "tocsin_exemplars_dropped_total", "Exemplars received and not kept.", tenant
        )
        self.histograms = registry.counter(
            "tocsin_native_histograms_refused_total",
            "Native histograms received and not stored.",
            tenant,
        )
        self.requests = registry.counter(
            "tocsin_remote_write_requests_total",
            "Remote write requests.",
            (*tenant, "version", "outcome"),
        )
        self.otlp_requests = registry.counter(
            "tocsin_otlp_requests_total", "OTLP requests.", (*tenant, "encoding", "outcome")
        )
        self.points_rejected = registry.counter(
            "tocsin_otlp_data_points_rejected_total",
            "OTLP data points not stored.",
            (*tenant, "reason"),
        )
        self.delta_series = registry.gauge(
            "tocsin_otlp_delta_series", "Series whose deltas are being added up.", tenant
        )
        self.failures = registry.counter(
            "tocsin_collection_failures_total",
            "Rounds that ended in an error nobody expected.",
            (*tenant, "source"),
        )
