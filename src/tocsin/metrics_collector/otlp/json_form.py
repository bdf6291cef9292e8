"""OTLP in JSON: turned into the same message in protobuf, so that there is one reader.

Keys are in lowerCamelCase and unknown ones are skipped. Whole numbers of 64 bits may be text,
floats may be `"NaN"` or `"Infinity"`, enumerations names or numbers. Source: OpenTelemetry
protocol specification, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from tocsin.metrics_collector.otlp.body import TooLarge
from tocsin.metrics_collector.otlp.encode import chunk, double, figure, fixed
from tocsin.model.errors import InvalidInput

LARGEST_JSON = 8 << 20  # bytes; objects take far more memory than their text
_MOST_OBJECTS = 500_000
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_URL_SAFE = str.maketrans("-_", "+/")
_TEMPORALITIES = {
    "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
    "AGGREGATION_TEMPORALITY_DELTA": 1,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
}

Whole: TypeAlias = int | str
Number: TypeAlias = float | str


class _Message(msgspec.Struct, rename="camel"):
    pass


class _Value(_Message):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Whole | None = None
    double_value: Number | None = None
    array_value: _Values | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Values(_Message):
    values: list[_Value] | None = None


class _Pair(_Message):
    key: str | None = None
    value: _Value | None = None


class _Pairs(_Message):
    values: list[_Pair] | None = None


class _Ignored(_Message):
    pass


class _NumberPoint(_Message):
    attributes: list[_Pair] | None = None
    start_time_unix_nano: Whole | None = None
    time_unix_nano: Whole | None = None
    as_double: Number | None = None
    as_int: Whole | None = None
    exemplars: list[_Ignored] | None = None
    flags: Whole | None = None


class _HistogramPoint(_Message):
    attributes: list[_Pair] | None = None
    start_time_unix_nano: Whole | None = None
    time_unix_nano: Whole | None = None
    count: Whole | None = None
    sum: Number | None = None
    bucket_counts: list[Whole] | None = None
    explicit_bounds: list[Number] | None = None
    exemplars: list[_Ignored] | None = None
    flags: Whole | None = None


class _Quantile(_Message):
    quantile: Number | None = None
    value: Number | None = None


class _SummaryPoint(_Message):
    attributes: list[_Pair] | None = None
    start_time_unix_nano: Whole | None = None
    time_unix_nano: Whole | None = None
    count: Whole | None = None
    sum: Number | None = None
    quantile_values: list[_Quantile] | None = None
    flags: Whole | None = None


class _Gauge(_Message):
    data_points: list[_NumberPoint] | None = None


class _Sum(_Message):
    data_points: list[_NumberPoint] | None = None
    aggregation_temporality: Whole | None = None
    is_monotonic: bool | None = None


class _Histogram(_Message):
    data_points: list[_HistogramPoint] | None = None
    aggregation_temporality: Whole | None = None


class _Exponential(_Message):
    data_points: list[_Ignored] | None = None


class _Summary(_Message):
    data_points: list[_SummaryPoint] | None = None


class _Metric(_Message):
    name: str | None = None
    description: str | None = None
    unit: str | None = None
    gauge: _Gauge | None = None
    sum: _Sum | None = None
    histogram: _Histogram | None = None
    exponential_histogram: _Exponential | None = None
    summary: _Summary | None = None


class _Scope(_Message):
    name: str | None = None
    version: str | None = None
    attributes: list[_Pair] | None = None


class _ScopeMetrics(_Message):
    scope: _Scope | None = None
    metrics: list[_Metric] | None = None
    schema_url: str | None = None


class _Resource(_Message):
    attributes: list[_Pair] | None = None


class _ResourceMetrics(_Message):
    resource: _Resource | None = None
    scope_metrics: list[_ScopeMetrics] | None = None


class _Request(_Message):
    resource_metrics: list[_ResourceMetrics] | None = None


def as_protobuf(content: bytes) -> bytes:
    """Return a request in protobuf.

    Raises InvalidInput when it is no such request, TooLarge when it is over `LARGEST_JSON`.
    """
    if len(content) > LARGEST_JSON:
        raise TooLarge(f"the request holds more than {LARGEST_JSON} bytes of JSON")
    if content.count(b"{") > _MOST_OBJECTS:
        raise InvalidInput(f"the request holds more than {_MOST_OBJECTS} objects")
    try:
        request = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"the body is no OTLP request in JSON: {error}") from error
    return _written(request)


_DECODER = msgspec.json.Decoder(_Request)
_Writer = Callable[[int, Any], bytes]


def _written(message: msgspec.Struct) -> bytes:
    """Return a message; its fields in the order of their numbers, as senders write them."""
    form = _FORMS.get(type(message), {})
    return b"".join(
        [
            write(number, value)
            for name, (number, write) in form.items()
            if (value := getattr(message, name)) is not None
        ]
    )


def _message(field: int, value: msgspec.Struct) -> bytes:
    return chunk(field, _written(value))


def _messages(field: int, values: Sequence[msgspec.Struct]) -> bytes:
    return b"".join([chunk(field, _written(value)) for value in values])


def _text(field: int, value: str) -> bytes:
    return chunk(field, value.encode())


def _binary(field: int, value: str) -> bytes:
    try:
        content = base64.b64decode(value.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"bytesValue is no base64: {error}") from error
    return chunk(field, content)


def _varint(field: int, value: Whole) -> bytes:
    return figure(field, _whole(value))


def _nonzero(field: int, value: Whole) -> bytes:
    number = _whole(value)
    return figure(field, number) if number else b""


def _temporality(field: int, value: Whole) -> bytes:
    named = _TEMPORALITIES.get(value) if isinstance(value, str) else None
    return figure(field, _whole(value) if named is None else named)


def _fixed(field: int, value: Whole) -> bytes:
    return fixed(field, _whole(value))


def _double(field: int, value: Number) -> bytes:
    return double(field, _float(value))


def _all_fixed(field: int, values: Sequence[Whole]) -> bytes:
    numbers = [_whole(value) & (2**64 - 1) for value in values]
    return chunk(field, struct.pack(f"<{len(numbers)}Q", *numbers)) if numbers else b""


def _all_doubles(field: int, values: Sequence[Number]) -> bytes:
    numbers = [_float(value) for value in values]
    return chunk(field, struct.pack(f"<{len(numbers)}d", *numbers)) if numbers else b""


def _whole(value: Whole) -> int:
    if isinstance(value, int):
        return value
    if not _WHOLE.fullmatch(value):
        raise InvalidInput(f"not a whole number: {value[:40]!r}")
    return int(value)


def _float(value: Number) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidInput(f"not a number: {str(value)[:40]!r}") from None


_Form = Mapping[str, tuple[int, _Writer]]
_POINT: _Form = {"start_time_unix_nano": (2, _fixed), "time_unix_nano": (3, _fixed)}
_FORMS: Mapping[type[msgspec.Struct], _Form] = {
    _Request: {"resource_metrics": (1, _messages)},
    _ResourceMetrics: {"resource": (1, _message), "scope_metrics": (2, _messages)},
    _Resource: {"attributes": (1, _messages)},
    _ScopeMetrics: {"scope": (1, _message), "metrics": (2, _messages), "schema_url": (3, _text)},
    _Scope: {"name": (1, _text), "version": (2, _text), "attributes": (3, _messages)},
    _Metric: {
        "name": (1, _text),
        "description": (2, _text),
        "unit": (3, _text),
        "gauge": (5, _message),
        "sum": (7, _message),
        "histogram": (9, _message),
        "exponential_histogram": (10, _message),
        "summary": (11, _message),
    },
    _Gauge: {"data_points": (1, _messages)},
    _Sum: {
        "data_points": (1, _messages),
        "aggregation_temporality": (2, _temporality),
        "is_monotonic": (3, _varint),
    },
    _Histogram: {"data_points": (1, _messages), "aggregation_temporality": (2, _temporality)},
    _Exponential: {"data_points": (1, _messages)},
    _Summary: {"data_points": (1, _messages)},
    _NumberPoint: {
        **_POINT,
        "as_double": (4, _double),
        "exemplars": (5, _messages),
        "as_int": (6, _fixed),
        "attributes": (7, _messages),
        "flags": (8, _nonzero),
    },
    _HistogramPoint: {
        **_POINT,
        "count": (4, _fixed),
        "sum": (5, _double),
        "bucket_counts": (6, _all_fixed),
        "explicit_bounds": (7, _all_doubles),
        "exemplars": (8, _messages),
        "attributes": (9, _messages),
        "flags": (10, _nonzero),
    },
    _SummaryPoint: {
        **_POINT,
        "count": (4, _fixed),
        "sum": (5, _double),
        "quantile_values": (6, _messages),
        "attributes": (7, _messages),
        "flags": (8, _nonzero),
    },
    _Quantile: {"quantile": (1, _double), "value": (2, _double)},
    _Pair: {"key": (1, _text), "value": (2, _message)},
    _Value: {
        "string_value": (1, _text),
        "bool_value": (2, _varint),
        "int_value": (3, _varint),
        "double_value": (4, _double),
        "array_value": (5, _message),
        "kvlist_value": (6, _message),
        "bytes_value": (7, _binary),
    },
    _Values: {"values": (1, _messages)},
    _Pairs: {"values": (1, _messages)},
}
