"""Reads one point field by field: a new one, or one of unusual form.

Source: OpenTelemetry protocol, `metrics/v1/metrics.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tocsin.metrics_collector.otlp.attributes import MOST_ATTRIBUTES, Attributes, Span, attributes
from tocsin.metrics_collector.otlp.names import Kind
from tocsin.metrics_collector.otlp.points import Request, Slots, Unfit
from tocsin.metrics_collector.otlp.streams import Directory, Metric
from tocsin.metrics_collector.otlp.tables import Tables, Words
from tocsin.metrics_collector.protobuf import I64, LEN, VARINT, double, expect, fields
from tocsin.metrics_collector.write_request import check_count
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import STALE

LONGEST_ROW = 1_000  # buckets or quantiles of one point
_NO_VALUE = 1  # flag of a point: the series ends

# Wire types of the fields of a point. Buckets and bounds (6, 7) may be packed or not.
_NUMBER: Final = {2: I64, 3: I64, 4: I64, 5: LEN, 6: I64, 7: LEN, 8: VARINT}
_SUMMARY: Final = {2: I64, 3: I64, 4: I64, 5: I64, 6: LEN, 7: LEN, 8: VARINT}
_HISTOGRAM: Final = {2: I64, 3: I64, 4: I64, 5: I64, 8: LEN, 9: LEN, 10: VARINT}


@dataclass(slots=True)
class _Point:
    """A point's fields by number: where fixed ones stand, where others lie, and varints."""

    fixed: dict[int, int] = field(default_factory=dict)
    parts: dict[int, list[Span]] = field(default_factory=dict)
    varints: dict[int, int] = field(default_factory=dict)

    def ends(self, flags: int) -> bool:
        """Tell whether the flags, in this field, say that there is no value any more."""
        return bool(self.varints.get(flags, 0) & _NO_VALUE)


@dataclass(frozen=True, slots=True)
class SinglePoints:
    """Reads points of one request into its tables."""

    body: bytes
    known: Directory
    request: Request
    tables: Tables

    def read(self, metric: Metric, start: int, end: int) -> int:
        """Take the point at a place, and return where its time stands. Raises Unfit."""
        if metric.kind is Kind.HISTOGRAM:
            return self._histogram(metric, self._fields(start, end, _HISTOGRAM))
        if metric.kind is Kind.SUMMARY:
            return self._summary(metric, self._fields(start, end, _SUMMARY))
        return self._number(metric, self._fields(start, end, _NUMBER))

    def _fields(self, start: int, end: int, form: Mapping[int, int]) -> _Point:
        point, count = _Point(), 0
        for number, kind, first, last in fields(self.body, start, end):
            count += 1
            if number in form:
                expect(kind, form[number], f"field {number} of a point")
            if kind == VARINT:
                point.varints[number] = first
            elif kind == I64 and number in form:
                point.fixed[number] = first
            else:
                point.parts.setdefault(number, []).append((first, last))
        self.request.spend(count)
        return point

    def _number(self, metric: Metric, point: _Point) -> int:
        """NumberDataPoint: time = 3, double = 4, exemplars = 5, int = 6, attributes = 7."""
        nanos, ends = self._nanos(point), point.ends(8)
        self.request.exemplars += len(point.parts.get(5, ()))
        value = STALE if ends else self._value(metric, point)
        spans = point.parts.get(7, [])
        key = wire(self.body, 7, spans)
        slot = metric.slots.get(key)
        if slot is None:
            slot = self.known.number(metric, key, self._attributes(spans))
        self._add([slot], nanos, [value], delta=metric.delta and not ends)
        return point.fixed[3]

    def _value(self, metric: Metric, point: _Point) -> float:
        if 4 in point.fixed:
            return double(self.body, point.fixed[4])
        if 6 in point.fixed:
            at = point.fixed[6]
            return float(int.from_bytes(self.body[at : at + 8], "little", signed=True))
        raise Unfit("no_value", f"a point of {metric.family} has no value")

    def _histogram(self, metric: Metric, point: _Point) -> int:
        """HistogramDataPoint: count = 4, sum = 5, bucket_counts = 6, explicit_bounds = 7."""
        nanos, ends = self._nanos(point), point.ends(10)
        self.request.exemplars += len(point.parts.get(8, ()))
        edges = self._joined(point, 7)
        counts, bounds = checked(self._joined(point, 6), edges, metric.family)
        spans, sums = point.parts.get(9, []), 5 in point.fixed
        key = wire(edges, 7, [(0, len(edges))] if edges else []) + wire(self.body, 9, spans)
        row = (metric.rows if sums else metric.others).get(key)
        if row is None:
            found = self._attributes(spans)
            row = self.known.histogram(metric, key, found, bounds=bounds, sums=sums)
        count = self._whole(point, 4)
        values = [*np.cumsum(counts)[: len(bounds)].tolist(), count, count]
        if sums:
            values.append(double(self.body, point.fixed[5]))
        self._add(row, nanos, _ended(values) if ends else values, delta=metric.delta and not ends)
        return point.fixed[3]

    def _summary(self, metric: Metric, point: _Point) -> int:
        """SummaryDataPoint: count = 4, sum = 5, quantile_values = 6, attributes = 7."""
        nanos, ends = self._nanos(point), point.ends(8)
        given, spans = point.parts.get(6, []), point.parts.get(7, [])
        check_count(len(given), LONGEST_ROW, "quantiles in a point")
        pairs = [_quantile(self.body, first, last) for first, last in given]
        quantiles = [quantile for quantile, _ in pairs]
        key = wire(self.body, 7, spans) + b"\0" + np.array(quantiles, "<f8").tobytes()
        row = metric.others.get(key)
        if row is None:
            row = self.known.summary(metric, key, self._attributes(spans), quantiles)
        total = double(self.body, point.fixed[5]) if 5 in point.fixed else 0.0
        values = [*(value for _, value in pairs), self._whole(point, 4), total]
        self._add(row, nanos, _ended(values) if ends else values, delta=False)
        return point.fixed[3]

    def _add(
        self, row: Slots | Sequence[int], nanos: int, values: Sequence[float], *, delta: bool
    ) -> None:
        self.request.count(len(row) - 1)
        self.tables.row(row, nanos, values, delta=delta)

    def _joined(self, point: _Point, number: int) -> bytes:
        return b"".join(self.body[first:last] for first, last in point.parts.get(number, ()))

    def _nanos(self, point: _Point) -> int:
        nanos = self._whole(point, 3)
        if not nanos:
            raise Unfit("no_time", "a point has no time (time_unix_nano)")
        return nanos

    def _whole(self, point: _Point, number: int) -> int:
        """Return an unsigned number of fixed size, 0 where there is none."""
        at = point.fixed.get(number)
        return 0 if at is None else int.from_bytes(self.body[at : at + 8], "little")

    def _attributes(self, spans: Sequence[Span]) -> Attributes:
        check_count(len(spans), MOST_ATTRIBUTES, "attributes in a point")
        self.request.spend(3 * len(spans))
        return attributes(self.body, spans)


def checked(packed: bytes, edges: bytes, family: str) -> tuple[Words, list[float]]:
    """Return the buckets of a histogram and their bounds.

    Raises Unfit when they do not go together, InvalidInput when they are broken.
    """
    if len(packed) % 8 or len(edges) % 8:
        raise InvalidInput("buckets are not whole numbers of 8 bytes")
    check_count(len(packed) // 8, LONGEST_ROW, "buckets in a point")
    counts, bounds = np.frombuffer(packed, "<u8"), np.frombuffer(edges, "<f8")
    if len(counts) != len(bounds) + 1 and (len(counts) or len(bounds)):
        message = f"{family}: {len(counts)} buckets and {len(bounds)} bounds do not go together"
        raise Unfit("malformed_histogram", message)
    if not (np.isfinite(bounds).all() and (np.diff(bounds) > 0).all()):
        raise Unfit("malformed_histogram", f"{family}: the bounds of its buckets do not ascend")
    return counts, bounds.tolist()


def wire(body: bytes, number: int, spans: Sequence[Span]) -> bytes:
    """Return fields as senders write them, whatever way these were written."""
    tag = number << 3 | LEN
    return b"".join([_field(tag, body[first:last]) for first, last in spans])


def _field(tag: int, content: bytes) -> bytes:
    size, head = len(content), bytearray((tag,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content


def _quantile(body: bytes, start: int, end: int) -> tuple[float, float]:
    """ValueAtQuantile: quantile = 1, value = 2."""
    found = {1: 0.0, 2: 0.0}
    for number, kind, first, _ in fields(body, start, end):
        if number in found:
            expect(kind, I64, "a quantile")
            found[number] = double(body, first)
    return found[1], found[2]


def _ended(values: Sequence[float]) -> list[float]:
    return [STALE] * len(values)
