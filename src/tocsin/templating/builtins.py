"""The functions every Go template has.

Source: Go's text/template documentation, "Functions". `and` and `or` are here for their names
and for pipelines; the interpreter evaluates their arguments one by one.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tocsin.model.errors import InvalidInput
from tocsin.templating.calls import Run, call
from tocsin.templating.printing import sprint, sprintf, sprintln
from tocsin.templating.values import (
    Kind,
    Method,
    SafeHtml,
    SafeQuery,
    absent,
    kind,
    length,
    truth,
    type_name,
)

_HTML = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_ORDERED = (Kind.INT, Kind.FLOAT, Kind.STRING)
_BASIC = (Kind.BOOL, *_ORDERED)


def html_escape(text: str) -> str:
    """Return `text` with the five characters of HTML replaced."""
    return text.translate(_HTML)


def js_escape(text: str) -> str:
    """Return `text` fit for the inside of a JavaScript string."""
    return "".join(_js_char(char) for char in text)


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"'}


def _js_char(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if char in "<>&=" or ord(char) < 32 or not char.isprintable():
        code = ord(char)
        return f"\\u{code:04X}" if code < 0x10000 else char
    return char


def query_escape(text: str) -> str:
    """Return `text` fit for a URL query, a space as a plus sign."""
    return quote(text.encode("utf-8", "replace"), safe=" ").replace(" ", "+")


def _and(first: object, *rest: object) -> object:
    return next((value for value in (first, *rest) if not truth(value)), (first, *rest)[-1])


def _or(first: object, *rest: object) -> object:
    return next((value for value in (first, *rest) if truth(value)), (first, *rest)[-1])


def _not(value: object) -> bool:
    return not truth(value)


def _len(value: object) -> int:
    return length(value)


def _print(run: Run, *values: object) -> str:
    return sprint(values, run.meter)


def _println(run: Run, *values: object) -> str:
    return sprintln(values, run.meter)


def _printf(run: Run, form: str, *values: object) -> str:
    return sprintf(form, values, run.meter)


def _html(run: Run, *values: object) -> str:
    escaped = html_escape(_joined(run, values))
    return SafeHtml(escaped) if run.html else escaped


def _js(run: Run, *values: object) -> str:
    return js_escape(_joined(run, values))


def _urlquery(run: Run, *values: object) -> str:
    escaped = query_escape(_joined(run, values))
    return SafeQuery(escaped) if run.html else escaped


def _joined(run: Run, values: tuple[object, ...]) -> str:
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return sprint(["<no value>" if value is None else value for value in values], run.meter)


def _call(run: Run, function: object, *args: object) -> object:
    if isinstance(function, Method):
        return call(function.call, "call", args, run, receiver=(function.receiver,))
    if callable(function):
        return call(function, "call", args, run)
    raise InvalidInput(f"non-function of type {type_name(function)}")


# ---- index and slice


def _index(value: object, *path: object) -> object:
    for step in path:
        value = _item(value, step)
    return value


def _item(value: Any, step: Any) -> object:
    match kind(value):
        case Kind.NIL:
            raise InvalidInput("index of untyped nil")
        case Kind.MAP:
            if not isinstance(step, str):
                raise InvalidInput(f"value has type {type_name(step)}; should be string")
            return value[step] if step in value else absent(value)
        case Kind.SLICE:
            return value[_position(step, len(value), inclusive=False)]
        case Kind.STRING:
            raw = value.encode("utf-8", "replace")
            return raw[_position(step, len(raw), inclusive=False)]
    raise InvalidInput(f"can't index item of type {type_name(value)}")


def _slice(value: Any, *path: object) -> object:
    found = kind(value)
    if found is Kind.NIL:
        raise InvalidInput("slice of untyped nil")
    if found not in (Kind.STRING, Kind.SLICE):
        raise InvalidInput(f"can't slice item of type {type_name(value)}")
    if len(path) > 3 or (found is Kind.STRING and len(path) > 2):
        raise InvalidInput(f"too many slice indexes: {len(path)}")
    items = value.encode("utf-8", "replace") if found is Kind.STRING else value
    marks = [_position(step, len(items), inclusive=True) for step in path]
    start, end = (*marks, 0)[0], (*marks, 0, len(items))[1 if len(marks) > 1 else -1]
    if sorted(marks) != marks:
        raise InvalidInput(f"invalid slice index: {start} > {end}")
    part = items[start:end]
    return part.decode("utf-8", "replace") if found is Kind.STRING else list(part)


def _position(step: object, size: int, *, inclusive: bool) -> int:
    if step is None:
        raise InvalidInput("cannot index slice/array with nil")
    if kind(step) is not Kind.INT or not isinstance(step, int):
        raise InvalidInput(f"cannot index slice/array with type {type_name(step)}")
    if not 0 <= step < size + inclusive:
        raise InvalidInput(f"index out of range: {step}")
    return step


# ---- comparison


def _eq(first: object, *rest: object) -> bool:
    if not rest:
        raise InvalidInput("missing argument for comparison")
    return functools.reduce(lambda found, other: _equal(first, other) or found, rest, False)


def _equal(left: object, right: object) -> bool:
    one, two = kind(left), kind(right)
    if Kind.NIL in (one, two):
        return one is two
    for found, value in ((one, left), (two, right)):
        if found in (Kind.MAP, Kind.SLICE, Kind.OTHER):
            raise InvalidInput(f"non-comparable type: {type_name(value)}")
    if one is not two:
        if one in _BASIC or two in _BASIC:
            raise InvalidInput("incompatible types for comparison")
        return False
    return left == right


def _ne(left: object, right: object) -> bool:
    return not _equal(left, right)


def _ordering(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    def ordered(left: object, right: object) -> bool:
        _check_order(left, right)
        return compare(left, right)

    return ordered


def _above(left: Any, right: Any) -> bool:
    """Tell whether left > right; Go asks whether it is not <=, so NaN is above anything."""
    return not operator.le(left, right)


def _at_least(left: Any, right: Any) -> bool:
    """Tell whether left >= right; as above, by way of <."""
    return not operator.lt(left, right)


def _check_order(left: object, right: object) -> None:
    one, two = kind(left), kind(right)
    if one not in _ORDERED or two not in _ORDERED:
        raise InvalidInput("invalid type for comparison")
    if one is not two:
        raise InvalidInput("incompatible types for comparison")


BUILTINS: Mapping[str, Callable[..., Any]] = {
    "and": _and,
    "call": _call,
    "eq": _eq,
    "ge": _ordering(_at_least),
    "gt": _ordering(_above),
    "html": _html,
    "index": _index,
    "js": _js,
    "le": _ordering(operator.le),
    "len": _len,
    "lt": _ordering(operator.lt),
    "ne": _ne,
    "not": _not,
    "or": _or,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "urlquery": _urlquery,
}
