"""What this process counted, per tenant: collected from its `MetricsCollector`s when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from tocsin.metrics_collector.ports import Family, ProcessSink, ReadFamilies
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId

_ADDS_UP = frozenset(("counter", "histogram", "summary"))


class ProcessMetrics(ProcessSink):
    """Holds the collectors of every tenant. Thread-safe; outlives the server beside it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._readers: dict[TenantId, list[ReadFamilies]] = {}

    def attach(self, tenant: TenantId, read: ReadFamilies) -> None:
        """Ask `read` from now on."""
        with self._lock:
            self._readers.setdefault(tenant, []).append(read)

    def read(self, tenant: TenantId) -> list[Family]:
        """Return the metrics of a tenant, each once.

        Where two collectors have a series, counts add up and the later gauge wins.
        """
        with self._lock:
            readers = list(self._readers.get(tenant, ()))
        merged: dict[str, Family] = {}
        for read in readers:
            for family in read():
                before = merged.get(family.name)
                merged[family.name] = family if before is None else _merged(before, family)
        return list(merged.values())


def _merged(one: Family, other: Family) -> Family:
    values: dict[Labels, float] = dict(one.samples)
    adds_up = one.metadata.type in _ADDS_UP
    for labels, value in other.samples:
        values[labels] = values.get(labels, 0.0) + value if adds_up else value
    return Family(one.name, one.metadata, tuple(values.items()))


def flattened(families: Iterable[Family]) -> tuple[tuple[Labels, ...], list[float]]:
    """Return the series of all families and their values, in order."""
    labels: list[Labels] = []
    values: list[float] = []
    for family in families:
        for series, value in family.samples:
            labels.append(series)
            values.append(value)
    return tuple(labels), values
