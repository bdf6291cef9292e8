"""Reads OTLP requests: `ExportMetricsServiceRequest` in protobuf, bytes to blocks of points.

A point whose attributes were seen before is told by their bytes, and its numbers are gathered
with NumPy. Nothing is stored here. Whatever the bytes are, the outcome is a `Request` or
InvalidInput. Source: OpenTelemetry protocol, `metrics/v1/metrics.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tocsin.metrics_collector.otlp.attributes import MOST_ATTRIBUTES, Span, attributes, text
from tocsin.metrics_collector.otlp.names import Kind
from tocsin.metrics_collector.otlp.points import Request, Unfit
from tocsin.metrics_collector.otlp.shapes import Informed, info_block, shape_of
from tocsin.metrics_collector.otlp.single import LONGEST_ROW, SinglePoints, wire
from tocsin.metrics_collector.otlp.streams import (
    Directory,
    Metric,
    MetricKey,
    Resource,
    Scope,
    Told,
)
from tocsin.metrics_collector.otlp.tables import START_TAG, At, Bytes, Tables, words
from tocsin.metrics_collector.protobuf import LEN, VARINT, expect, fields, varint
from tocsin.metrics_collector.write_request import check_count
from tocsin.model.errors import InvalidInput

MOST_METRICS = 100_000  # in one request
EXPONENTIAL = 10
_SUM, _HISTOGRAM = 7, 9
_KINDS = {5: Kind.GAUGE, _HISTOGRAM: Kind.HISTOGRAM, 11: Kind.SUMMARY}
_DATA = frozenset((5, _SUM, _HISTOGRAM, EXPONENTIAL, 11))
_DATA_TAGS = {number << 3 | LEN: number for number in _DATA}
_TEXT_TAGS = frozenset((0x0A, 0x12, 0x1A))
_DELTA, _CUMULATIVE = 1, 2  # aggregation temporalities
_USUAL_TAILS = frozenset(
    (b"", *(bytes((0x10, each)) + more for each in (1, 2) for more in (b"", b"\x18\x01")))
)
_DOUBLE_TAG, _INTEGER_TAG = 0x21, 0x31


@dataclass(slots=True)
class _Place:
    """Where the reader is: in which resource and scope, or why their points cannot be taken.

    `points` tell where the points of the resource begin that were found by their bytes, `times`
    where the times of the others stand.
    """

    resource: Resource | None = None
    scope: Scope | None = None
    fault: Unfit | None = None
    points: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def all_times(self, raw: Bytes) -> At:
        """Return where the times of all points stand."""
        begin = np.array(self.points, np.intp)
        found = begin + 9 * (raw[begin] == START_TAG) + 1
        return np.concatenate((found, np.array(self.times, np.intp)))


def read(body: bytes, known: Directory) -> Request:
    """Return what a request holds. Raises InvalidInput; what was learned in `known` stays."""
    request = known.shapes.read(body)
    if request is not None:
        return request
    reader = _Reader(body, known)
    for number, kind, start, end in fields(body, 0, len(body)):
        if number == 1:
            expect(kind, LEN, "resource_metrics")
            reader.resource_metrics(start, end)
    return reader.finished()


class _Reader:
    """Reads one request."""

    def __init__(self, body: bytes, known: Directory) -> None:
        self._body = body
        self._known = known
        self._request = Request()
        self._tables = Tables()
        self._single = SinglePoints(body, known, self._request, self._tables)
        self._metrics = 0
        self._place = _Place()
        self._told: list[_Place] = []

    def finished(self) -> Request:
        """Return everything that was read, and remember its shape if it may come again."""
        body, request, shapes = self._body, self._request, self._known.shapes
        laid = self._tables.laid(np.frombuffer(body, np.uint8))
        at, informed = words(body), self._informed()
        request.blocks = self._tables.blocks(laid, at)
        request.info = info_block(informed, at)
        plain = not (self._tables.rows or request.rejected or request.exemplars)
        wanted = shapes.wants(body)
        if plain and wanted:
            shapes.keep(body, shape_of(body, laid, informed, request))
        return request

    def _informed(self) -> Informed:
        """Return which resources have a `target_info`, and where times of theirs stand."""
        raw = np.frombuffer(self._body, np.uint8)
        times = [np.empty(0, np.intp), *(place.all_times(raw) for place in self._told)]
        slots = [place.resource.info for place in self._told if place.resource is not None]
        bounds = np.cumsum([len(each) for each in times]).tolist()
        return Informed(slots, np.concatenate(times), bounds)

    def resource_metrics(self, start: int, end: int) -> None:
        """ResourceMetrics: resource = 1, scope_metrics = 2."""
        found, scopes = b"", []
        for number, kind, first, last in fields(self._body, start, end):
            if number in (1, 2):
                expect(kind, LEN, "resource_metrics")
            if number == 1:
                found = self._body[first:last]
            elif number == 2:
                scopes.append((first, last))
        self._request.spend(1 + len(scopes))
        self._place = place = _Place()
        try:
            place.resource = self._known.resources.get(found) or self._new_resource(found)
        except Unfit as error:
            place.fault = error
        for first, last in scopes:
            self._scope_metrics(first, last)
        if (
            place.resource is not None
            and place.resource.info >= 0
            and (place.points or place.times)
        ):
            self._request.count(1)
            self._told.append(place)

    def _scope_metrics(self, start: int, end: int) -> None:
        """ScopeMetrics: scope = 1, metrics = 2, schema_url = 3."""
        found = schema = b""
        metrics: list[Span] = []
        for number, kind, first, last in fields(self._body, start, end):
            if 1 <= number <= 3:
                expect(kind, LEN, "scope_metrics")
            if number == 1:
                found = self._body[first:last]
            elif number == 2:
                metrics.append((first, last))
            elif number == 3:
                schema = self._body[first:last]
        self._metrics += len(metrics)
        check_count(self._metrics, MOST_METRICS, "metrics")
        self._enter_scope(found, schema)
        for first, last in metrics:
            self._metric(first, last)

    def _enter_scope(self, found: bytes, schema: bytes) -> None:
        place = self._place
        if place.resource is None:
            return
        place.fault = None
        key = (found, schema)
        try:
            place.scope = place.resource.scopes.get(key) or self._new_scope(place.resource, key)
        except Unfit as error:
            place.fault = error

    def _new_resource(self, found: bytes) -> Resource:
        """Resource: attributes = 1."""
        return self._known.resource(found, attributes(found, _messages(found, 1)))

    def _new_scope(self, resource: Resource, key: tuple[bytes, bytes]) -> Scope:
        """InstrumentationScope: name = 1, version = 2, attributes = 3."""
        found, schema = key
        texts = {1: "", 2: ""}
        for number, kind, first, last in fields(found, 0, len(found)):
            if number in texts:
                expect(kind, LEN, "a scope")
                texts[number] = text(found[first:last])
        told = [("name", texts[1]), ("version", texts[2]), ("schema_url", text(schema))]
        told += attributes(found, _messages(found, 3))
        return self._known.scope(resource, key, told if texts[1] else [])

    def _metric(self, start: int, end: int) -> None:
        """Take the points of a metric: its head is found by its bytes, if it is of usual form."""
        body = self._body
        head, what, data = _head(body, start, end)
        if not what:
            head, what, data = _unusual_head(body, start, end)
        if not what:
            return
        places, rest = _leading(body, *data)
        more, tail = _tail(body, rest, data[1])
        if more:
            places += more
        self._request.spend(1)
        self._request.count(len(places))
        key = (head, what, tail)
        try:
            metric = self._entered(key)
        except Unfit as error:
            self._request.reject(len(places), error.reason, str(error))
            self._request.histograms += len(places) if what == EXPONENTIAL else 0
            return
        self._points(metric, places)

    def _entered(self, key: MetricKey) -> Metric:
        """Return the metric of this key in the present scope. Raises Unfit."""
        place = self._place
        if place.fault is not None:
            raise place.fault
        if place.resource is None or place.scope is None:
            raise InvalidInput("a metric stands in no scope")
        metric = place.scope.metrics.get(key)
        if metric is None:
            told = told_of(key)
            metric = self._known.metric(place.resource, place.scope, key, told)
        self._request.metadata[metric.family] = metric.metadata
        return metric

    def _points(self, metric: Metric, places: Sequence[Span]) -> None:
        rest = places
        if metric.kind is Kind.HISTOGRAM:
            rest = self._known_histograms(metric, places)
        elif metric.kind is not Kind.SUMMARY:
            rest = self._known_numbers(metric, places)
        for start, end in rest:
            try:
                self._place.times.append(self._single.read(metric, start, end))
            except Unfit as error:
                self._request.reject(1, error.reason, str(error))

    def _known_numbers(self, metric: Metric, places: Sequence[Span]) -> list[Span]:
        """Take the numbers whose series are known, return the others; one loop for speed.

        The bytes behind time and value are those of whole fields when they are known.
        """
        body, get, rest = self._body, metric.slots.get, []
        into = self._tables.numbers[metric.delta]
        doubles, integers = len(into.doubles), len(into.integers)
        for start, end in places:
            if end - start >= 18:
                at = start + 9 if body[start] == START_TAG else start
                slot = get(body[at + 18 : end])
                if slot is not None and body[at] == 0x19:
                    tag = body[at + 9]
                    if tag == _DOUBLE_TAG:
                        into.double_slots.append(slot)
                        into.doubles.append(start)
                        continue
                    if tag == _INTEGER_TAG:
                        into.integer_slots.append(slot)
                        into.integers.append(start)
                        continue
            rest.append((start, end))
        self._place.points += into.doubles[doubles:]
        self._place.points += into.integers[integers:]
        return rest

    def _known_histograms(self, metric: Metric, places: Sequence[Span]) -> list[Span]:
        """Take the histograms whose series are known, return the others."""
        body, rest = self._body, []
        for start, end in places:
            size, behind = _buckets(body, start, end)
            if size:
                extremes = body[end - 18] == 0x59 and body[end - 9] == 0x61
                row = metric.rows.get(body[behind : end - 18 if extremes else end])
                if row is not None and len(row) == size + 2:
                    table = self._tables.histogram(size, delta=metric.delta)
                    table.rows.append(row)
                    table.points.append(start)
                    if extremes:
                        table.ends.append(end)
                    self._request.count(size + 1)
                    self._place.points.append(start)
                    continue
            rest.append((start, end))
        return rest


def told_of(key: MetricKey) -> Told:
    """Return what a metric is. Raises Unfit when it cannot be taken."""
    head, what, tail = key
    texts = {1: b"", 2: b"", 3: b""}
    for number, kind, first, last in fields(head, 0, len(head)):
        expect(kind, LEN, "a metric")
        texts[number] = head[first:last]
    name, description, unit = (text(each) for each in texts.values())
    numbers = {number: value for number, kind, value, _ in fields(tail, 0, len(tail))}
    temporality = numbers.get(2, 0)
    if what == EXPONENTIAL:
        message = f"{name[:200]}: exponential histograms are not stored; send explicit buckets"
        raise Unfit("exponential_histogram", message)
    if what in (_SUM, _HISTOGRAM) and temporality not in (_DELTA, _CUMULATIVE):
        message = f"{name[:200]}: aggregation temporality is neither delta nor cumulative"
        raise Unfit("unknown_temporality", message)
    of_sum = Kind.COUNTER if numbers.get(3) else Kind.UP_DOWN
    return Told(name, description, unit, _KINDS.get(what, of_sum), delta=temporality == _DELTA)


def _head(body: bytes, start: int, end: int) -> tuple[bytes, int, Span]:
    """Return the bytes of name, description and unit, what the data is, and where.

    Metric: name = 1, description = 2, unit = 3, then the data as the last field. 0 instead of
    what the data is when the metric is written otherwise.
    """
    at = start
    while at + 1 < end and body[at] in _TEXT_TAGS:
        size, at = body[at + 1], at + 2
        if size >= 0x80:
            size, at = varint(body, at - 1, end)
        at += size
    what = _DATA_TAGS.get(body[at], 0) if at < end else 0
    if not what:
        return b"", 0, (0, 0)
    size, first = varint(body, at + 1, end)
    if first + size != end:
        return b"", 0, (0, 0)
    return body[start:at], what, (first, end)


def _unusual_head(body: bytes, start: int, end: int) -> tuple[bytes, int, Span]:
    """Return what `_head` does for a metric whose fields are in any order, 0 for no data."""
    texts: dict[int, list[Span]] = {1: [], 2: [], 3: []}
    what, data = 0, (0, 0)
    for number, kind, first, last in fields(body, start, end):
        if number in texts:
            expect(kind, LEN, "a metric")
            texts[number] = [(first, last)]
        elif number in _DATA:
            expect(kind, LEN, "a metric")
            what, data = number, (first, last)
    head = b"".join([wire(body, number, spans) for number, spans in texts.items()])
    return head, what, data


def _tail(body: bytes, start: int, end: int) -> tuple[list[Span], bytes]:
    """Return what follows the points: more points, and temporality and monotonicity as bytes."""
    if body[start:end] in _USUAL_TAILS:
        return [], body[start:end]
    places, numbers = [], dict[int, int]()
    for number, kind, first, last in fields(body, start, end):
        if number == 1:
            expect(kind, LEN, "data_points")
            places.append((first, last))
        elif number in (2, 3):
            expect(kind, VARINT, "aggregation_temporality")
            numbers[number] = min(first, 0x7F)
    return places, b"".join([bytes((n << 3, numbers[n])) for n in sorted(numbers)])


def _leading(body: bytes, start: int, end: int) -> tuple[list[Span], int]:
    """Return where the points lie with which the data begins, and where the rest begins.

    What `fields` would find, in a quarter of its time.
    """
    places: list[Span] = []
    at = start
    while at + 2 < end and body[at] == 0x0A:
        size, second = body[at + 1], body[at + 2]
        first = at + 2
        if size >= 0x80:
            if second >= 0x80:
                break
            size, first = size & 0x7F | second << 7, at + 3
        if size > end - first:
            break
        at = first + size
        places.append((first, at))
    return places, at


def _buckets(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Return how many buckets a histogram of usual form has, and where they end; 0 if unusual.

    Its fields are 11 start, 19 time, 21 count, 29 sum, 32 buckets, in hexadecimal tags.
    """
    if end - start < 58:
        return 0, 0
    tags = (body[start], body[start + 9], body[start + 18], body[start + 27], body[start + 36])
    if tags != (0x11, 0x19, 0x21, 0x29, 0x32):
        return 0, 0
    size, at = varint(body, start + 37, end)
    usual = size % 8 == 0 and 0 < size <= 8 * LONGEST_ROW and size <= end - at
    if not usual or at != start + (38 if size < 0x80 else 39):
        return 0, 0
    return size // 8, at + size


def _messages(body: bytes, wanted: int) -> list[Span]:
    """Return where the messages in one field lie."""
    spans = []
    for number, kind, first, last in fields(body, 0, len(body)):
        if number == wanted:
            expect(kind, LEN, "attributes")
            spans.append((first, last))
    check_count(len(spans), MOST_ATTRIBUTES, "attributes of one resource or scope")
    return spans
