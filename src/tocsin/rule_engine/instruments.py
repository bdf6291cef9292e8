"""The rule stage's own metrics. No label holds a value from rules or alerts but the tenant."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from tocsin.model.tenant import TenantId
from tocsin.telemetry.metrics import Registry

_EVALUATION_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class RuleInstruments:
    """Counters and histograms of rule evaluation, by tenant."""

    def __init__(self, registry: Registry) -> None:
        """Register everything; once per registry."""
        tenant = ("tenant",)
        self.evaluations = registry.counter(
            "tocsin_rule_evaluations_total", "Rule evaluations.", tenant
        )
        self.warnings = registry.counter(
            "tocsin_rule_evaluation_warnings_total",
            "Rule evaluations whose expression gave warnings.",
            tenant,
        )
        self.failures = registry.counter(
            "tocsin_rule_evaluation_failures_total", "Rule evaluations that failed.", tenant
        )
        self.duration = registry.latency(
            "tocsin_rule_evaluation_duration_seconds",
            "How long one rule took.",
            tenant,
            buckets=_EVALUATION_BUCKETS,
        )
        self.group_duration = registry.latency(
            "tocsin_rule_group_duration_seconds",
            "How long one round of a rule group took, sending included.",
            tenant,
            buckets=_EVALUATION_BUCKETS,
        )
        self.iterations = registry.counter(
            "tocsin_rule_group_iterations_total", "Rounds of rule groups, missed ones too.", tenant
        )
        self.missed = registry.counter(
            "tocsin_rule_group_iterations_missed_total",
            "Rounds left out because the one before took too long.",
            tenant,
        )
        self.lag = registry.gauge(
            "tocsin_rule_group_evaluation_lag_seconds",
            "How late the last round of any rule group began.",
            tenant,
        )
        self.groups = registry.gauge("tocsin_rule_groups", "Rule groups loaded.", tenant)
        self.refused = registry.counter(
            "tocsin_rule_samples_refused_total",
            "Samples of rules that the store refused.",
            ("tenant", "reason"),
        )
        self.sent = registry.counter(
            "tocsin_rule_alerts_sent_total", "Alerts handed to the alert stage.", tenant
        )
        self.send_failures = registry.counter(
            "tocsin_rule_alert_send_failures_total",
            "Alerts the alert stage could not take; they are sent again.",
            tenant,
        )
        self.template_failures = registry.counter(
            "tocsin_rule_template_failures_total",
            "Templates of alerts that failed; the alert carries the error as text.",
            tenant,
        )
        self.restored = registry.counter(
            "tocsin_rule_alerts_restored_total",
            "Alerts whose pending period went on after a restart.",
            tenant,
        )

    def of(self, tenant: TenantId) -> TenantInstruments:
        """Return what counts for one tenant."""
        return TenantInstruments(self, tenant)


class TenantInstruments:
    """What a round counts, found once: a look-up by tenant costs as much as a rule's round."""

    def __init__(self, every: RuleInstruments, tenant: TenantId) -> None:
        """Begin every series of `tenant` at 0."""
        self.evaluations: Counter = every.evaluations.labels(tenant)
        self.failures: Counter = every.failures.labels(tenant)
        self.warnings: Counter = every.warnings.labels(tenant)
        self.duration: Histogram = every.duration.labels(tenant)
        self.group_duration: Histogram = every.group_duration.labels(tenant)
        self.sent: Counter = every.sent.labels(tenant)
        self.send_failures: Counter = every.send_failures.labels(tenant)
        self.template_failures: Counter = every.template_failures.labels(tenant)
        self.restored: Counter = every.restored.labels(tenant)
        self._refused = every.refused
        self._tenant = tenant

    def refuse(self, reason: str, samples: int) -> None:
        """Count samples that the store refused."""
        self._refused.labels(self._tenant, reason).inc(samples)
