"""What this process says of itself, as the figures of one tenant: what speaks of it, and of nobody.

The registry is read once for all tenants and kept for a moment: read for each, it would cost
tenants squared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from tocsin.metrics_collector.collector import family_of
from tocsin.metrics_collector.ports import Family, Host
from tocsin.model.clock import Clock
from tocsin.model.labels import EMPTY
from tocsin.model.tenant import TenantId
from tocsin.telemetry.metrics import TENANT, Registry

KEPT = timedelta(seconds=2)  # how old figures may be; intervals are longer
_Shares = dict[str | None, list[tuple[Metric, list[Sample]]]]


@dataclass(slots=True)
class OwnMetrics:
    """The metrics of this process, cut into shares."""

    registry: Registry
    clock: Clock
    _read_at: datetime | None = None
    _shares: _Shares = field(default_factory=dict)

    def share(self, tenant: TenantId) -> Host:
        """Return what reads the share of `tenant`."""
        return _Share(self, tenant)

    def families(self, tenant: TenantId) -> Iterator[Family]:
        """Yield the families of a tenant's share, without the label `tenant`."""
        merged: dict[str, tuple[Metric, list[Sample]]] = {}
        for owner in (None, tenant):
            for metric, samples in self._present().get(owner, ()):
                known = merged.setdefault(metric.name, (metric, []))
                known[1].extend(samples)
        for metric, samples in merged.values():
            part = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            part.samples = samples
            yield family_of(part, EMPTY)

    def _present(self) -> _Shares:
        """Return the shares of every tenant, read anew when they are too old."""
        now = self.clock.now()
        if self._read_at is None or not timedelta(0) <= now - self._read_at < KEPT:
            self._shares, self._read_at = _cut(self.registry), now
        return self._shares


@dataclass(frozen=True, slots=True)
class _Share(Host):
    whole: OwnMetrics
    tenant: TenantId

    async def read(self) -> Sequence[Family]:
        """Return the figures of the tenant now."""
        return list(self.whole.families(self.tenant))


def _cut(registry: Registry) -> _Shares:
    """Return the samples of each tenant by family; None has those that speak of no tenant."""
    shares: _Shares = defaultdict(list)
    for metric in registry.collect():
        cut: dict[str | None, list[Sample]] = defaultdict(list)
        for sample in metric.samples:
            labels = {name: value for name, value in sample.labels.items() if name != TENANT}
            owner = sample.labels.get(TENANT)
            cut[owner].append(sample._replace(labels=labels))
        for owner, samples in cut.items():
            shares[owner].append((metric, samples))
    return dict(shares)
