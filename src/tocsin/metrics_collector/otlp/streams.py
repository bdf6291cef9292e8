"""What is known of the senders of one tenant: resources, scopes, metrics and their series.

Each is found by its bytes as they stand, because a sender repeats them in every request. A
series has a slot, a number that holds until the directory is cleared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.otlp.attributes import Attributes
from tocsin.metrics_collector.otlp.config import OtlpConfig
from tocsin.metrics_collector.otlp.names import Kind, label_name, metric_name, unit_name
from tocsin.metrics_collector.otlp.points import Slots, Unfit
from tocsin.metrics_collector.otlp.shapes import Shapes
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata
from tocsin.promql.format import format_bound

TARGET_INFO = "target_info"
_IDENTIFYING = ("service.namespace", "service.name", "service.instance.id")
_ROOM = 200_000  # series, and as many keys
_ROOM_BYTES = 64 << 20  # of keys

Names = Mapping[str, str]
Row = Slots
"""The slots of a point that has several series."""


@dataclass(slots=True)
class Metric:
    """One metric of one scope of one resource.

    `slots` finds the series of a number by the bytes of its attributes, `rows` those of a
    histogram that has a sum by the bytes of its bounds and attributes, as they stand one after
    the other in a request. `others` has histograms without a sum, and summaries. `beneath` are
    labels that attributes replace, `above` such that replace attributes.
    """

    family: str
    kind: Kind
    metadata: Metadata
    delta: bool
    beneath: Names
    above: Names
    slots: dict[bytes, int] = field(default_factory=dict)
    rows: dict[bytes, Row] = field(default_factory=dict)
    others: dict[bytes, Row] = field(default_factory=dict)


MetricKey = tuple[bytes, int, bytes]
"""Bytes of name, description and unit; number of the field of data; bytes behind its points."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a sender says of a metric."""

    name: str
    description: str
    unit: str
    kind: Kind
    delta: bool


@dataclass(slots=True)
class Scope:
    """An instrumentation scope of one resource."""

    labels: Names
    metrics: dict[MetricKey, Metric] = field(default_factory=dict)


@dataclass(slots=True)
class Resource:
    """Who measured. `info` is the slot of its `target_info`, -1 for none."""

    promoted: Names
    identity: Names
    info: int
    scopes: dict[tuple[bytes, bytes], Scope] = field(default_factory=dict)


class Directory:
    """Everything known of one tenant's senders. One thread at a time."""

    def __init__(self, config: OtlpConfig) -> None:
        """Begin with nothing known."""
        self.config = config
        self.resources: dict[bytes, Resource] = {}
        self.series = KnownSeries()
        """The series by slot, and the refs of the store for them."""
        self.shapes = Shapes()
        """Requests as a whole."""
        self._slots: dict[Labels, int] = {}
        self._bytes = 0
        self._keys = 0

    @property
    def full(self) -> bool:
        """Tell whether it should be cleared before the next request."""
        return max(len(self._slots), self._keys) > _ROOM or self._bytes > _ROOM_BYTES

    def resource(self, key: bytes, found: Attributes) -> Resource:
        """Return a new resource with these attributes, remembered by its bytes."""
        given, config = dict(found), self.config
        promoted = [(name, value) for name, value in found if _is_promoted(name, config)]
        identity = _identity(given)
        kept = config.keep_identifying_resource_attributes
        shown = [(n, v) for n, v in found if kept or n not in _IDENTIFYING]
        some = any(name not in _IDENTIFYING for name in given)
        info = -1
        if identity and some:
            named = {**merged(shown, config), **identity, METRIC_NAME: TARGET_INFO}
            info = self.slot(Labels.of(named))
        made = Resource(first_of_each(promoted, config), identity, info)
        self._remember(key)
        self.resources[key] = made
        return made

    def scope(self, resource: Resource, key: tuple[bytes, bytes], found: Attributes) -> Scope:
        """Return a new scope; `found` are its attributes and what else is told of it."""
        named: dict[str, str] = {}
        if self.config.promote_scope_metadata:
            named = {_label(f"otel_scope_{name}", self.config): value for name, value in found}
        made = Scope(named)
        self._remember(key[0] + key[1])
        resource.scopes[key] = made
        return made

    def metric(self, resource: Resource, scope: Scope, key: MetricKey, told: Told) -> Metric:
        """Return a new metric. Raises Unfit when its name is none."""
        strategy = self.config.translation_strategy
        family = metric_name(told.name, told.unit, told.kind, strategy)
        if not family:
            raise Unfit("invalid_labels", f"nothing is left of the metric name {told.name[:80]!r}")
        metadata = Metadata(told.kind.type, told.description, unit_name(told.unit, strategy))
        above = {**scope.labels, **resource.identity}
        made = Metric(family, told.kind, metadata, told.delta, resource.promoted, above)
        self._remember(key[0])
        scope.metrics[key] = made
        return made

    def number(self, metric: Metric, key: bytes, found: Attributes) -> int:
        """Return the slot of a number's series, and remember it. Raises Unfit."""
        slot = self.slot(self._series(metric, found, metric.family))
        self._remember(key)
        metric.slots[key] = slot
        return slot

    def histogram(
        self, metric: Metric, key: bytes, found: Attributes, *, bounds: Sequence[float], sums: bool
    ) -> Row:
        """Return the slots of a histogram: its buckets up to +Inf, count, and sum if any."""
        base, family = self._series(metric, found, metric.family), metric.family
        ends = (*(format_bound(bound) for bound in bounds), "+Inf")
        sets = [base.merged({METRIC_NAME: f"{family}_bucket", "le": end}) for end in ends]
        sets.append(base.merged({METRIC_NAME: f"{family}_count"}))
        if sums:
            sets.append(base.merged({METRIC_NAME: f"{family}_sum"}))
        return self._row(metric.rows if sums else metric.others, key, sets)

    def summary(
        self, metric: Metric, key: bytes, found: Attributes, quantiles: Sequence[float]
    ) -> Row:
        """Return the slots of a summary: its quantiles, count, and sum."""
        base = self._series(metric, found, metric.family)
        sets = [base.merged({"quantile": format_bound(each)}) for each in quantiles]
        sets += [base.merged({METRIC_NAME: metric.family + end}) for end in ("_count", "_sum")]
        return self._row(metric.others, key, sets)

    def slot(self, labels: Labels) -> int:
        """Return the number of a series, a new one if need be."""
        known = self._slots.get(labels)
        if known is None:
            known = self._slots[labels] = self.series.add(b"", labels)
        return known

    def _row(self, rows: dict[bytes, Row], key: bytes, sets: Sequence[Labels]) -> Row:
        row = np.array([self.slot(labels) for labels in sets], np.int32)
        self._remember(key)
        rows[key] = row
        return row

    def _series(self, metric: Metric, found: Attributes, name: str) -> Labels:
        """Return the labels of a series. Raises Unfit when an attribute cannot be one."""
        own = merged(found, self.config)
        return Labels.of({**metric.beneath, **own, **metric.above, METRIC_NAME: name})

    def _remember(self, key: bytes) -> None:
        self._keys += 1
        self._bytes += len(key)


def merged(found: Attributes, config: OtlpConfig) -> dict[str, str]:
    """Return attributes as labels; values of those that become the same are joined by `;`.

    They are sorted by key. Raises Unfit when nothing is left of a name.
    """
    labels: dict[str, str] = {}
    for name, value in found:
        label = _label(name, config)
        labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


def first_of_each(found: Attributes, config: OtlpConfig) -> dict[str, str]:
    """Return attributes as labels; of those that become the same the first one counts."""
    labels: dict[str, str] = {}
    for name, value in found:
        labels.setdefault(_label(name, config), value)
    return labels


def _is_promoted(name: str, config: OtlpConfig) -> bool:
    if config.promote_all_resource_attributes:
        return name not in config.ignore_resource_attributes
    return name in config.promote_resource_attributes


def _identity(given: Mapping[str, str]) -> dict[str, str]:
    """Return `job` and `instance` as far as a resource tells them."""
    identity: dict[str, str] = {}
    if "service.name" in given:
        name, space = given["service.name"], given.get("service.namespace")
        identity["job"] = name if space is None else f"{space}/{name}"
    if "service.instance.id" in given:
        identity["instance"] = given["service.instance.id"]
    return identity


def _label(name: str, config: OtlpConfig) -> str:
    label = label_name(name, config)
    if not label:
        raise Unfit("invalid_labels", f"nothing is left of the attribute name {name[:80]!r}")
    return label
