"""What a template sees of a Python value. Nothing is reached by `getattr`.

    None       nil            str        string        Mapping        map, keys in order
    bool       bool           int        int           list, tuple    slice
    float      float64        datetime   time.Time     timedelta      time.Duration
    Fields     struct, or a map or slice that has methods

A `Labels` or `KV` is a map of strings: an absent key is "". In other maps it is nil.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol, cast, runtime_checkable

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.templating.gotime import DURATION_METHODS, TIME_METHODS, Named


@runtime_checkable
class Fields(Protocol):
    """A value that names its own fields and methods."""

    def go_field(self, name: str) -> object:
        """Return the field, or a callable for a method. Raises KeyError when there is neither."""
        ...


class Method:
    """A method bound to its value: the interpreter checks and counts its arguments."""

    __slots__ = ("call", "receiver")

    def __init__(self, call: Callable[..., Any], receiver: object) -> None:
        """Bind `call`, which takes the receiver first."""
        self.call = call
        self.receiver = receiver


class Struct:
    """A value with named fields, in the order in which Go would print them."""

    __slots__ = ("fields", "go_type", "json_names")

    def __init__(
        self,
        go_type: str,
        fields: Mapping[str, object],
        *,
        json_names: Mapping[str, str] | None = None,
    ) -> None:
        """Name the type, as `%T` prints it, and the fields; `json_names` where JSON differs."""
        self.go_type = go_type
        self.fields = fields
        self.json_names = json_names or {}

    def go_field(self, name: str) -> object:
        """Return the field called `name`. Raises KeyError."""
        return self.fields[name]


class StringMap(Mapping[str, str]):
    """A map of strings to strings, sorted by name; an absent key reads as ""."""

    __slots__ = ("_items",)
    go_type = "map[string]string"

    def __init__(self, items: Mapping[str, str]) -> None:
        """Copy `items`."""
        self._items = {name: items[name] for name in sorted(items)}

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class Safe(str):
    """Text that is already in the language of its context; html mode does not escape it there."""

    __slots__ = ()
    go_type = "string"


class SafeHtml(Safe):
    """Text that is HTML."""

    __slots__ = ()
    go_type = "template.HTML"


class SafeUrl(Safe):
    """Text that is a URL whose scheme is trusted."""

    __slots__ = ()
    go_type = "template.URL"


class SafeQuery(Safe):
    """Text that is escaped for a URL query."""

    __slots__ = ()


class Kind(Enum):
    """What an operator or a function asks of a value."""

    NIL = "nil"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float64"
    STRING = "string"
    MAP = "map"
    SLICE = "slice"
    STRUCT = "struct"
    TIME = "time.Time"
    DURATION = "time.Duration"
    OTHER = "other"


_BASES: tuple[tuple[type, Kind], ...] = (
    (bool, Kind.BOOL),
    (int, Kind.INT),
    (float, Kind.FLOAT),
    (str, Kind.STRING),
    (datetime, Kind.TIME),
    (timedelta, Kind.DURATION),
    (Mapping, Kind.MAP),
    (Sequence, Kind.SLICE),
    (Fields, Kind.STRUCT),
)


def kind(value: object) -> Kind:
    """Return what `value` is to a template."""
    cls: type = type(value)
    return _kind_of(cls)


@functools.lru_cache(maxsize=512)
def _kind_of(cls: type) -> Kind:
    if cls is type(None):
        return Kind.NIL
    if issubclass(cls, (bytes, bytearray, range)):
        return Kind.OTHER
    return next((found for base, found in _BASES if issubclass(cls, base)), Kind.OTHER)


@functools.lru_cache(maxsize=512)
def _has_fields(cls: type) -> bool:
    return issubclass(cls, Fields)


def type_name(value: object) -> str:
    """Return the Go type `%T` would print."""
    named = getattr(type(value), "go_type", None) or (
        value.go_type if isinstance(value, Struct) else None
    )
    if isinstance(named, str):
        return named
    match kind(value):
        case Kind.NIL:
            return "<nil>"
        case Kind.MAP:
            return "map[string]string" if isinstance(value, Labels) else "map[string]interface {}"
        case Kind.SLICE:
            return "[]string" if _all_strings(value) else "[]interface {}"
        case Kind.STRUCT | Kind.OTHER:
            return "struct"
        case found:
            return str(found.value)


def _all_strings(value: Any) -> bool:
    return bool(value) and all(isinstance(item, str) for item in value)


def truth(value: object) -> bool:
    """Tell whether `value` is neither zero nor empty, as `if` asks."""
    match kind(value):
        case Kind.NIL:
            return False
        case Kind.STRUCT | Kind.TIME | Kind.OTHER:
            return True
    return bool(value)


def length(value: Any) -> int:
    """Return how many items, or UTF-8 bytes, `value` has. Raises InvalidInput."""
    match kind(value):
        case Kind.STRING:
            return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        case Kind.MAP | Kind.SLICE:
            return len(value)
        case Kind.NIL:
            raise InvalidInput("len of nil pointer")
    raise InvalidInput(f"len of type {type_name(value)}")


def keys(value: Mapping[Any, Any]) -> list[Any]:
    """Return the keys of a map in the order in which Go prints and ranges over them."""
    if isinstance(value, (Labels, StringMap)):
        return list(value)
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=lambda key: (type(key).__name__, str(key)))


def absent(value: object) -> object:
    """Return what a missing key of the map `value` reads as."""
    return "" if isinstance(value, (Labels, StringMap)) else None


def field(value: object, name: str) -> object:
    """Return field, method or map entry `name` of `value`. Raises InvalidInput."""
    cls: type = type(value)
    if _has_fields(cls):
        try:
            return cast("Fields", value).go_field(name)
        except KeyError:
            pass
    if isinstance(value, Mapping):
        return value[name] if name in value else absent(value)
    method = _method(value, name)
    if method is not None:
        return method
    if value is None:
        raise InvalidInput(f"nil pointer evaluating interface {{}}.{name}")
    raise InvalidInput(f"can't evaluate field {name} in type {type_name(value)}")


def _method(value: object, name: str) -> Method | None:
    if isinstance(value, datetime):
        call = TIME_METHODS.get(name)
    elif isinstance(value, timedelta):
        call = DURATION_METHODS.get(name)
    elif isinstance(value, Named) and name == "String":
        call = _named_text
    else:
        return None
    return Method(call, value) if call else None


def _named_text(value: Named) -> str:
    return str(value.name)
