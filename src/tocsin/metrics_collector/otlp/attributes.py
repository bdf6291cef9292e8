"""Attributes of OTLP: keys with values of any kind, and the text a label gets.

Numbers, lists and maps are written as in JSON, as by Prometheus. Source: OpenTelemetry
protocol, `common/v1/common.proto`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

from tocsin.metrics_collector.otlp.points import Unfit
from tocsin.metrics_collector.protobuf import (
    I64,
    LEN,
    VARINT,
    double,
    expect,
    fields,
    signed,
)
from tocsin.model.errors import InvalidInput
from tocsin.promql.format import format_value

Attributes = list[tuple[str, str]]
Span = tuple[int, int]
MOST_ATTRIBUTES = 1_000  # of one point, resource or scope; far beyond what a series may have
_DEEPEST = 16  # lists and maps in each other
_MOST_VALUES = 1_000  # in one list or map
_FOR_GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def attributes(body: bytes, places: Iterable[Span]) -> Attributes:
    """Return the attributes (`KeyValue`) at `places`, sorted by key.

    Raises Unfit when one of them is no text, InvalidInput when the message is broken.
    """
    found = [_key_value(body, start, end, depth=0) for start, end in places]
    return sorted((key, text_of(value)) for key, value in found)


def text_of(value: Any) -> str:
    """Return the text of a label for the value of an attribute.

    >>> text_of(True), text_of(0.5), text_of([1, "a"]), text_of(b"\\x00")
    ('true', '0.5', '[1,"a"]', 'AA==')
    """
    match value:
        case None | str():
            return value or ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return format_value(value)
        case bytes():
            return base64.b64encode(value).decode()
    return _json(value)


def text(content: bytes) -> str:
    """Return the content of a string field. Raises Unfit when it is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Unfit("invalid_labels", "a name or a text is not UTF-8") from None


def _json(value: Any) -> str:
    """Return lists and maps as Go writes them: compact, sorted, fit to stand in a page."""
    written = json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain
    )
    return written.translate(_FOR_GO)


def _plain(value: Any) -> str:
    return base64.b64encode(value).decode()


def _key_value(body: bytes, start: int, end: int, *, depth: int) -> tuple[str, Any]:
    """KeyValue: key = 1, value = 2."""
    key, value = "", None
    for number, kind, first, last in fields(body, start, end, most=_MOST_VALUES):
        if number in (1, 2):
            expect(kind, LEN, "an attribute")
        if number == 1:
            key = text(body[first:last])
        elif number == 2:
            value = _any(body, first, last, depth=depth)
    return key, value


def _any(body: bytes, start: int, end: int, *, depth: int) -> Any:
    """AnyValue: string = 1, bool = 2, int = 3, double = 4, array = 5, kvlist = 6, bytes = 7."""
    if depth > _DEEPEST:
        raise InvalidInput(f"an attribute is nested more than {_DEEPEST} levels deep")
    value: Any = None
    for number, kind, first, last in fields(body, start, end, most=_MOST_VALUES):
        if number in (2, 3):
            expect(kind, VARINT, "an attribute")
            value = bool(first) if number == 2 else signed(first)
        elif number == 4:
            expect(kind, I64, "an attribute")
            value = double(body, first)
        elif number in (1, 5, 6, 7):
            expect(kind, LEN, "an attribute")
            value = _composed(body, number, (first, last), depth=depth)
    return value


def _composed(body: bytes, number: int, place: Span, *, depth: int) -> Any:
    """Return a value that is text, bytes, or made of other values."""
    first, last = place
    if number == 1:
        return text(body[first:last])
    if number == 7:
        return body[first:last]
    items = list(_items(body, first, last))
    if number == 5:
        return [_json_value(_any(body, *item, depth=depth + 1)) for item in items]
    pairs = (_key_value(body, *item, depth=depth + 1) for item in items)
    return {key: _json_value(value) for key, value in pairs}


def _items(body: bytes, start: int, end: int) -> Iterable[Span]:
    """Return where the values of a list or map lie: field 1 in both."""
    for number, kind, first, last in fields(body, start, end, most=_MOST_VALUES):
        if number == 1:
            expect(kind, LEN, "an attribute")
            yield first, last


def _json_value(value: Any) -> Any:
    """Return a number as JSON can write it."""
    if isinstance(value, float) and not math.isfinite(value):
        return format_value(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value
