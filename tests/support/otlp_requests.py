"""Builds OTLP metric requests byte by byte, apart from the code that reads them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from write_requests import chunk as chunk  # noqa: PLC0414 - tests build fields themselves, too
from write_requests import figure as figure  # noqa: PLC0414

SECOND = 10**9
NO_VALUE = 1  # flag of a point
DELTA, CUMULATIVE = 1, 2
SHOP = {"service.name": "shop", "service.instance.id": "a"}


def fixed(number: int, value: int) -> bytes:
    """Return a field that holds a whole number in eight bytes."""
    return bytes([number << 3 | 1]) + struct.pack("<Q", value & 2**64 - 1)


def double(number: int, value: float) -> bytes:
    """Return a field that holds a float64."""
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def any_value(value: Any) -> bytes:
    """Return an AnyValue; None has no value."""
    if isinstance(value, list):
        return chunk(5, b"".join(chunk(1, any_value(each)) for each in value))
    if isinstance(value, dict):
        return chunk(6, b"".join(key_value(1, *pair) for pair in value.items()))
    if isinstance(value, str | bytes):
        return chunk(1, value.encode()) if isinstance(value, str) else chunk(7, value)
    if isinstance(value, float):
        return double(4, value)
    return b"" if value is None else figure(2 if isinstance(value, bool) else 3, value)


def key_value(number: int, key: str, value: Any) -> bytes:
    """Return a field that holds an attribute."""
    return chunk(number, chunk(1, key.encode()) + chunk(2, any_value(value)))


def attributes(number: int, given: Mapping[str, Any]) -> bytes:
    """Return the attributes of something, in a field of this number each."""
    return b"".join(key_value(number, *pair) for pair in given.items())


def number(
    value: float | int | None,
    at_s: float = 0,
    *,
    start_s: float | None = None,
    flags: int = 0,
    exemplars: int = 0,
    **labels: Any,
) -> bytes:
    """Return a NumberDataPoint: of a whole number, a float, or nothing at all."""
    parts = [fixed(2, _ns(start_s))] if start_s is not None else []
    parts += [fixed(3, _ns(at_s))] if at_s else []
    if isinstance(value, float):
        parts.append(double(4, value))
    parts += [chunk(5, fixed(2, _ns(at_s)) + double(3, 1.0))] * exemplars
    if isinstance(value, int):
        parts.append(fixed(6, value))
    parts.append(attributes(7, labels))
    parts += [figure(8, flags)] if flags else []
    return b"".join(parts)


def histogram(
    counts: Sequence[int],
    bounds: Sequence[float],
    at_s: float = 0,
    *,
    total: float | None = None,
    start_s: float | None = None,
    extremes: tuple[float, float] | None = None,
    flags: int = 0,
    exemplars: int = 0,
    **labels: Any,
) -> bytes:
    """Return a HistogramDataPoint; `total` is its sum."""
    parts = [fixed(2, _ns(start_s))] if start_s is not None else []
    parts += [fixed(3, _ns(at_s))] if at_s else []
    parts += [fixed(4, sum(counts))] if sum(counts) else []
    parts += [double(5, total)] if total is not None else []
    if counts:
        parts.append(chunk(6, struct.pack(f"<{len(counts)}Q", *counts)))
    if bounds:
        parts.append(chunk(7, struct.pack(f"<{len(bounds)}d", *bounds)))
    parts += [chunk(8, fixed(2, _ns(at_s)) + double(3, 1.0))] * exemplars
    parts.append(attributes(9, labels))
    parts += [figure(10, flags)] if flags else []
    if extremes:
        parts += [double(11, extremes[0]), double(12, extremes[1])]
    return b"".join(parts)


def summary(
    count: int,
    total: float,
    quantiles: Mapping[float, float],
    at_s: float = 0,
    *,
    flags: int = 0,
    **labels: Any,
) -> bytes:
    """Return a SummaryDataPoint."""
    parts = [fixed(3, _ns(at_s)), fixed(4, count), double(5, total)]
    parts += [chunk(6, double(1, q) + double(2, value)) for q, value in quantiles.items()]
    parts.append(attributes(7, labels))
    parts += [figure(8, flags)] if flags else []
    return b"".join(parts)


def gauge(name: str, *points: bytes, unit: str = "", text: str = "") -> bytes:
    """Return a Metric that holds a gauge."""
    return _metric(name, unit, text, chunk(5, _points(points)))


def counter(
    name: str,
    *points: bytes,
    unit: str = "",
    text: str = "",
    temporality: int = CUMULATIVE,
    rises: bool = True,
) -> bytes:
    """Return a Metric that holds a sum."""
    told = figure(2, temporality) if temporality else b""
    told += figure(3, 1) if rises else b""
    return _metric(name, unit, text, chunk(7, _points(points) + told))


def histograms(
    name: str, *points: bytes, unit: str = "", text: str = "", temporality: int = CUMULATIVE
) -> bytes:
    """Return a Metric that holds histograms."""
    return _metric(name, unit, text, chunk(9, _points(points) + figure(2, temporality)))


def exponential(name: str, points: int) -> bytes:
    """Return a Metric that holds exponential histograms."""
    return _metric(name, "", "", chunk(10, _points([fixed(3, SECOND)] * points) + figure(2, 2)))


def summaries(name: str, *points: bytes, unit: str = "") -> bytes:
    """Return a Metric that holds summaries."""
    return _metric(name, unit, "", chunk(11, _points(points)))


def request(
    *metrics: bytes,
    resource: Mapping[str, Any] = SHOP,
    scope: str = "",
    version: str = "",
    schema: str = "",
    scope_attributes: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a request of one resource and one scope; requests may be put together."""
    named = chunk(1, scope.encode()) if scope else b""
    named += chunk(2, version.encode()) if version else b""
    named += attributes(3, scope_attributes or {})
    told = chunk(1, named) + b"".join(chunk(2, metric) for metric in metrics)
    told += chunk(3, schema.encode()) if schema else b""
    return chunk(1, chunk(1, attributes(1, resource)) + chunk(2, told))


def _metric(name: str, unit: str, text: str, data: bytes) -> bytes:
    parts = [chunk(1, name.encode())] if name else []
    parts += [chunk(2, text.encode())] if text else []
    parts += [chunk(3, unit.encode())] if unit else []
    return b"".join([*parts, data])


def _points(points: Sequence[bytes]) -> bytes:
    return b"".join(chunk(1, point) for point in points)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
