"""Template values as JSON, as Go's encoding/json writes them.

Source: Go's encoding/json documentation (Marshal): keys in order, `<`, `>`, `&`, U+2028 and
U+2029 escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tocsin.model.errors import InvalidInput
from tocsin.templating.budget import Meter
from tocsin.templating.gotime import format_time
from tocsin.templating.printing import shortest
from tocsin.templating.values import Kind, Struct, keys, kind, type_name

_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)
_LAYOUT = "2006-01-02T15:04:05.999999999Z07:00"  # RFC 3339 with nanoseconds


def to_json(value: object, meter: Meter) -> str:
    """Return `value` as JSON text, every node and character counted. Raises InvalidInput."""
    meter.step()
    meter.enter()
    text = _encoded(value, meter)
    meter.leave()
    meter.made(len(text))
    return text


def _encoded(value: Any, meter: Meter) -> str:
    found = kind(value)
    scalar = _SCALARS.get(found)
    if scalar:
        return scalar(value)
    if found is Kind.MAP:
        return _object([(str(key), value[key]) for key in keys(value)], meter)
    if found is Kind.SLICE:
        return f"[{','.join(to_json(item, meter) for item in value)}]"
    return _struct(value, meter)


def _struct(value: object, meter: Meter) -> str:
    if not isinstance(value, Struct):
        raise InvalidInput(f"json: unsupported type: {type_name(value)}")
    return _object([(_key(value, name), item) for name, item in value.fields.items()], meter)


def _key(value: Struct, name: str) -> str:
    return value.json_names.get(name, name)


def _object(items: list[tuple[str, object]], meter: Meter) -> str:
    return "{" + ",".join(f"{_encoded(n, meter)}:{to_json(v, meter)}" for n, v in items) + "}"


def _string(value: str) -> str:
    return json.dumps(str(value), ensure_ascii=False).translate(_ESCAPES)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise InvalidInput(f"json: unsupported value: {value}")
    size = abs(value)
    if size and not 1e-6 <= size < 1e21:
        return shortest(value).replace("e-0", "e-")
    if value == int(value):
        return str(int(value))
    return shortest(value) if size >= 1e-4 else f"{value:.20f}".rstrip("0")


_SCALARS: Mapping[Kind, Callable[[Any], str]] = {
    Kind.NIL: lambda _: "null",
    Kind.BOOL: lambda value: "true" if value else "false",
    Kind.INT: lambda value: str(int(value)),
    Kind.FLOAT: _number,
    Kind.STRING: _string,
    Kind.TIME: lambda value: f'"{format_time(value, _LAYOUT)}"',
    Kind.DURATION: lambda value: str(value // timedelta(microseconds=1) * 1000),
}
