"""The metrics of this process itself: one registry, the names of the family, our own beside them.

A room describes its instruments once, in its `instruments.py`, from a `Registry` it is given.
No label ever holds a value from alert data. What belongs to a tenant says so in its label
`tenant`; a page for one tenant leaves out what says another.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from tocsin.model.tenant import TenantId

TENANT = "tenant"
ALERTMANAGER_VERSION = "0.34.0"  # the level we serve; karma reads it and wants >= 0.22

# Seconds: from a loopback answer to a receiver at its time limit.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Registry(Collector):
    """Holds every instrument of the process and renders them for a scrape."""

    def __init__(self, *, version: str, revision: str = "") -> None:
        """Start with build and process information; `version` is Tocsin's own."""
        self.collectors = CollectorRegistry()
        ProcessCollector(registry=self.collectors)
        PlatformCollector(registry=self.collectors)
        self._build(version, revision)

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Register a counter; its series end in `_total`."""
        return Counter(name, help_text, labels, registry=self.collectors)

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
        """Register a gauge."""
        return Gauge(name, help_text, labels, registry=self.collectors)

    def latency(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = LATENCY_BUCKETS,
    ) -> Histogram:
        """Register a histogram of seconds."""
        return Histogram(name, help_text, labels, registry=self.collectors, buckets=buckets)

    def collect(self) -> Iterator[Metric]:
        """Return every metric family, without the `_created` series, which double the page."""
        for family in self.collectors.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family

    def render(self, accept: str = "", *, tenant: TenantId | None = None) -> tuple[bytes, str]:
        """Return the page for a scraper that sent `accept`, and its content type.

        With a `tenant` it has what speaks of that tenant and what speaks of none: the process,
        its build, its configuration. Without, it has everything.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self if tenant is None else _Share(self, tenant)), content_type

    def _build(self, version: str, revision: str) -> None:
        ours = self.gauge("tocsin_build_info", "Version of Tocsin.", ("version", "revision"))
        ours.labels(version, revision).set(1)
        names = ("version", "revision", "branch", "goversion")
        theirs = self.gauge(
            "alertmanager_build_info", "Level of Alertmanager whose clients are served.", names
        )
        runtime = f"python{platform.python_version()}"
        theirs.labels(ALERTMANAGER_VERSION, f"tocsin-{version}", "main", runtime).set(1)


class _Share(Collector):
    """What one tenant may see of a registry."""

    def __init__(self, whole: Registry, tenant: TenantId) -> None:
        self._whole = whole
        self._tenant = tenant

    def collect(self) -> Iterator[Metric]:
        """Return every family; a sample whose tenant is another one is left out."""
        for family in self._whole.collect():
            family.samples = [s for s in family.samples if self._is_theirs(s)]
            yield family

    def _is_theirs(self, sample: Sample) -> bool:
        return sample.labels.get(TENANT, self._tenant) == self._tenant
