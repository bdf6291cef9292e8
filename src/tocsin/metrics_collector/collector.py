"""Counters, gauges and histograms of a program, in the shapes of prometheus_client.

    metrics = MetricsCollector(tenant_id="acme", sink=sink)
    requests = metrics.counter("shop_requests", "Requests served.", ("path",))
    requests.labels(path="/cart").inc()
    metrics.set("shop_queue_length", 7, queue="mail")

A metric of the catalogue needs no more than its name: help and labels come from there. One that
is made as something else than the catalogue says is made all the same, and warned of: the rule
packs and dashboards that read it would find nothing.

Metrics may be used from any thread and before anything runs; the values wait until they are
asked for. `_created` series are left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

from tocsin.metrics_collector.catalogue import catalogue
from tocsin.metrics_collector.ports import Family, ProcessSink
from tocsin.model.catalogue import MetricEntry
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata
from tocsin.model.tenant import tenant_id as checked_tenant
from tocsin.telemetry.logs import get_logger

_LOG = get_logger("metrics_collector")
M = TypeVar("M", Counter, Gauge, Histogram)
_Kept = Counter | Gauge | Histogram


class MetricsCollector:
    """Metrics of this process that belong to one tenant. Thread-safe."""

    def __init__(
        self, tenant_id: str, *, sink: ProcessSink, job: str = "", instance: str = ""
    ) -> None:
        """Begin to count for a tenant; `job` and `instance` become labels where given.

        Raises InvalidInput when `tenant_id` is not one.
        """
        self.tenant = checked_tenant(tenant_id)
        self._shared = Labels.of({"job": job, "instance": instance})
        self._registry = CollectorRegistry()
        self._made: dict[str, tuple[_Kept, tuple[str, ...]]] = {}
        self._lock = threading.Lock()
        sink.attach(self.tenant, self.read)

    def counter(
        self,
        name: str,
        help: str = "",
        labelnames: Sequence[str] = (),
    ) -> Counter:
        """Return the counter `name`, made at the first call; its series end in `_total`.

        Without help and labels it has those of the catalogue. Raises InvalidInput when the name
        is taken by something else, or no metric name.
        """
        return self._get(Counter, name, *_described(name, help, labelnames))

    def gauge(
        self,
        name: str,
        help: str = "",
        labelnames: Sequence[str] = (),
    ) -> Gauge:
        """Return the gauge `name`, made at the first call. Raises InvalidInput as `counter`."""
        return self._get(Gauge, name, *_described(name, help, labelnames))

    def histogram(
        self,
        name: str,
        help: str = "",
        labelnames: Sequence[str] = (),
        *,
        buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS,
    ) -> Histogram:
        """Return the histogram `name`, made at the first call; `buckets` are upper bounds.

        Raises InvalidInput as `counter`, and for buckets that do not ascend.
        """
        described = _described(name, help, labelnames)
        return self._get(Histogram, name, *described, buckets=buckets)

    def inc(self, name: str, /, amount: float = 1, **labels: object) -> None:
        """Add to a counter, or to a gauge that was made before; unknown names become counters.

        Raises InvalidInput when `amount` is negative or the labels are not those of before.
        """
        known = self._made.get(_stem(name))
        is_gauge = known is not None and isinstance(known[0], Gauge)
        child: Counter | Gauge = (
            self._child(Gauge, name, labels) if is_gauge else self._child(Counter, name, labels)
        )
        try:
            child.inc(amount)
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}") from error

    def set(self, name: str, value: float, /, **labels: object) -> None:
        """Set a gauge; an unknown name becomes one. Raises InvalidInput as `inc`."""
        self._child(Gauge, name, labels).set(value)

    def observe(self, name: str, value: float, /, **labels: object) -> None:
        """Observe a value in a histogram; an unknown name becomes one, with default buckets.

        Raises InvalidInput as `inc`.
        """
        self._child(Histogram, name, labels).observe(value)

    def read(self) -> Iterator[Family]:
        """Return every metric with its present values."""
        for metric in self._registry.collect():
            if not metric.name.endswith("_created"):
                yield family_of(metric, self._shared)

    def _child(self, kind: Callable[..., M], name: str, labels: Mapping[str, object]) -> M:
        """Return the series of a metric; a metric that is unknown takes these label names."""
        known = self._made.get(_stem(name))
        metric = self._get(kind, name, "", known[1] if known else tuple(sorted(labels)))
        if not labels and (known is None or not known[1]):
            return metric
        try:
            return metric.labels(**labels)
        except ValueError as error:
            wanted = ", ".join(self._made[_stem(name)][1]) or "none"
            given = ", ".join(sorted(labels)) or "none"
            raise InvalidInput(
                f"{name} has the labels ({wanted}), but was given ({given})"
            ) from error

    def _get(
        self,
        kind: Callable[..., M],
        name: str,
        help: str,
        labelnames: Sequence[str],
        **options: object,
    ) -> M:
        with self._lock:
            known = self._made.get(_stem(name))
            if known is None:
                return self._make(kind, name, help, labelnames, **options)
        metric, names = known
        if type(metric) is not kind:
            raise InvalidInput(f"{name} is a {type(metric).__name__.lower()} already")
        if names != tuple(labelnames):
            raise InvalidInput(f"{name} has the labels {names}, not {tuple(labelnames)}")
        return metric  # type: ignore[return-value]  # its type was compared above

    def _make(
        self,
        kind: Callable[..., M],
        name: str,
        help: str,
        labelnames: Sequence[str],
        **options: object,
    ) -> M:
        entry = catalogue().family(name)
        for fault in _unlike(entry, kind.__name__.lower(), labelnames) if entry else ():
            _LOG.warn("Metric is not as in the catalogue", metric=name, why=fault)
        text = help or (entry.help if entry else "")
        try:
            made = kind(name, text, tuple(labelnames), registry=self._registry, **options)
        except ValueError as error:
            raise InvalidInput(f"metric {name!r}: {error}") from error
        self._made[_stem(name)] = (made, tuple(labelnames))
        return made


def _stem(name: str) -> str:
    """Return what a metric is kept under: `x` and `x_total` are the same counter."""
    return name.removesuffix("_total")


def _described(name: str, help: str, labelnames: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return help and labels as given, those of the catalogue when nothing is."""
    entry = None if help or labelnames else catalogue().family(name)
    return (entry.help, entry.labels) if entry else (help, labelnames)


def _unlike(entry: MetricEntry, kind: str, labelnames: Sequence[str]) -> Iterator[str]:
    """Say how a metric differs from its entry; more labels than the entry has do no harm."""
    if entry.type != kind:
        yield f"the catalogue has a {entry.type}, this is a {kind}"
    if missing := [label for label in entry.labels if label not in labelnames]:
        yield f"the catalogue has the labels {', '.join(missing)}"


def family_of(metric: Metric, shared: Labels) -> Family:
    """Return a family of prometheus_client as ours, its series with the `shared` labels."""
    samples = tuple(
        (shared.merged({**sample.labels, METRIC_NAME: sample.name}), float(sample.value))
        for sample in metric.samples
        if not sample.name.endswith("_created")
    )
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    return Family(name, Metadata(metric.type, metric.documentation, metric.unit), samples)
