"""Nodes into structs: every fault at once, each with its place.

The field decides what a scalar means: `1.10` is text where a string is wanted and a number
where a float is. A boolean field also takes `yes`, `no`, `on` and `off`, because files
written for Prometheus and Alertmanager (YAML 1.1) use them. An empty value counts as absent.
"""

from __future__ import annotations

import collections.abc
import difflib
import enum
import functools
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union

import msgspec

from tocsin.config_loader.tree import (
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarNode,
    Section,
    is_null,
    plain,
    resolve,
)
from tocsin.model.errors import Problem
from tocsin.model.secret import Secret
from tocsin.model.settings import ByteSize, Duration, from_scalar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Converted(Generic[T]):
    """What came of a conversion.

    With problems, `value` is what could be saved, so that stages can look for further faults:
    a faulty field has its default, a required string is empty. It is None when another kind
    of required field is faulty.
    """

    value: T | None
    problems: tuple[Problem, ...] = ()


def convert(section: Section, kind: type[T]) -> Converted[T]:
    """Read a section as `kind`: a struct, or a list or dict of anything a struct may hold."""
    reader = _Reader(section.file)
    value = reader.read(section.node, kind)
    problems = tuple(dict.fromkeys(reader.problems))  # an alias is read wherever it is used
    return Converted(None if value is _FAILED else value, problems)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the known name most like `name`, "" if none is."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


_FAILED: Final = object()
_YES = ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y")
_NO = ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N")
_BOOLEANS = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}
LISTS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.Iterable: tuple,
}
MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WANTED = {
    str: "a string",
    Secret: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    Duration: "a duration such as 30s",
    ByteSize: "a size such as 512MB",
    type(None): "nothing",
}


class _Reader:
    """Reads nodes of one file and keeps every fault it meets."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file

    def read(self, node: Node, kind: Any) -> Any:
        """Return the value of `node` as `kind`, or _FAILED."""
        base = _bare(kind)
        origin = typing.get_origin(base) or base
        if base is Any or base is object:
            return plain(node)
        if origin is Union or origin is types.UnionType:
            return self._union(node, typing.get_args(base))
        if _is_struct(base):
            return self._struct(node, base)
        if origin in LISTS:
            return self._sized(node, kind, self._list(node, base, origin))
        if origin in MAPS:
            return self._sized(node, kind, self._dict(node, base))
        return self._leaf(node, kind, base)

    def _struct(self, node: Node, kind: type[msgspec.Struct]) -> Any:
        if is_null(node):
            node = MapNode({}, node.place)
        if not isinstance(node, MapNode):
            return self._unlike(node, "a mapping")
        fields = _fields(kind)
        self._unknown(node, fields)
        present: dict[str, Any] = {}
        for name, field in fields.items():
            value = self._field(node, name, field)
            if value is _FAILED and field.required and _bare(field.type) is str:
                value = ""
            if value is not _FAILED and value is not _ABSENT:
                present[field.name] = value
        if any(field.required and field.name not in present for field in fields.values()):
            return _FAILED
        try:
            return kind(**present)
        except (ValueError, TypeError) as error:
            return self._fault(node.place, str(error))

    def _unknown(self, node: MapNode, fields: dict[str, msgspec.structs.FieldInfo]) -> None:
        for key, entry in node.entries.items():
            if key not in fields:
                hint = nearest(key, fields) or f" (known here: {', '.join(sorted(fields))})"
                self._fault(entry.key, f'unknown field "{key}"{hint}')

    def _field(self, node: MapNode, name: str, field: msgspec.structs.FieldInfo) -> Any:
        entry = node.entries.get(name)
        if entry is None:
            missing = f'required field "{name}" is missing'
            return self._fault(node.place, missing) if field.required else _ABSENT
        if is_null(entry.value) and not _takes_none(field.type):
            empty = f'required field "{name}" is empty'
            return self._fault(entry.key, empty) if field.required else _ABSENT
        return self.read(entry.value, field.type)

    def _list(self, node: Node, base: Any, origin: Any) -> Any:
        if not isinstance(node, ListNode):
            return self._unlike(node, "a list")
        kinds = [k for k in typing.get_args(base) if k is not Ellipsis]
        if origin is tuple and kinds and Ellipsis not in typing.get_args(base):
            if len(kinds) != len(node.items):
                found = len(node.items)
                return self._fault(node.place, f"expected {len(kinds)} items, got {found}")
        else:
            kinds = [kinds[0] if kinds else Any] * len(node.items)
        values = [self.read(item, k) for item, k in zip(node.items, kinds, strict=True)]
        return _FAILED if any(v is _FAILED for v in values) else LISTS[origin](values)

    def _dict(self, node: Node, base: Any) -> Any:
        if not isinstance(node, MapNode):
            return self._unlike(node, "a mapping")
        key_kind, value_kind = typing.get_args(base) or (str, Any)
        out = {}
        for key, entry in node.entries.items():
            name = self.read(ScalarNode(key, plain=True, place=entry.key), key_kind)
            out[name] = self.read(entry.value, value_kind)
        broken = _FAILED in out or any(v is _FAILED for v in out.values())
        return _FAILED if broken else out

    def _union(self, node: Node, members: Sequence[Any]) -> Any:
        if type(None) in members and is_null(node):
            return None
        fitting = [m for m in members if m is not type(None) and _fits(node, m)]
        candidates = fitting or [m for m in members if m is not type(None)]
        if str in candidates and isinstance(node, ScalarNode):
            return node.text  # `str | int | bool` says: a string, whatever it looks like
        if len(candidates) == 1:
            return self.read(node, candidates[0])
        return self._first_that_reads(node, sorted(candidates, key=lambda m: _rank(node, m)))

    def _first_that_reads(self, node: Node, candidates: Sequence[Any]) -> Any:
        before = self.problems
        best: list[Problem] = []
        for candidate in candidates:
            self.problems = []
            value = self.read(node, candidate)
            if not self.problems:
                self.problems = before
                return value
            best = min(best, self.problems, key=len) if best else self.problems
        self.problems = [*before, *best]
        return _FAILED

    def _leaf(self, node: Node, kind: Any, base: Any) -> Any:
        if not isinstance(node, ScalarNode):
            return self._unlike(node, _wanted(base))
        value = _scalar(node, base)
        if value is _FAILED:
            found = _shown(node, quotes=base in (int, float, bool))
            return self._fault(node.place, f"expected {_wanted(base)}, got {found}")
        if kind is str:
            return value
        try:
            if base in (Duration, ByteSize, Secret):
                return from_scalar(base, value)
            return msgspec.convert(value, kind, dec_hook=from_scalar)
        except (msgspec.ValidationError, ValueError) as error:
            return self._fault(node.place, _sentence(error))

    def _sized(self, node: Node, kind: Any, value: Any) -> Any:
        """Check the length a list or mapping must have, where its type says so."""
        if value is _FAILED or typing.get_origin(kind) is not Annotated:
            return value
        for meta in kind.__metadata__:
            least = getattr(meta, "min_length", None)
            most = getattr(meta, "max_length", None)
            if least is not None and len(value) < least:
                return self._fault(node.place, f"expected at least {least} entries")
            if most is not None and len(value) > most:
                return self._fault(node.place, f"expected at most {most} entries")
        return value

    def _unlike(self, node: Node, wanted: str) -> Any:
        return self._fault(node.place, f"expected {wanted}, got {_shown(node)}")

    def _fault(self, place: Place, message: str) -> Any:
        self.problems.append(Problem(message, self._file, place.line, place.column))
        return _FAILED


_ABSENT: Final = object()


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _bare(kind: Any) -> Any:
    """Strip Annotated and NewType."""
    if typing.get_origin(kind) is Annotated:
        return _bare(kind.__origin__)
    return _bare(kind.__supertype__) if hasattr(kind, "__supertype__") else kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _takes_none(kind: Any) -> bool:
    base = _bare(kind)
    return base is Any or base is type(None) or type(None) in typing.get_args(base)


def _fits(node: Node, kind: Any) -> bool:
    """Tell whether a node has the shape of `kind`: mapping, list or scalar."""
    base = _bare(kind)
    origin = typing.get_origin(base) or base
    if base is Any or base is object:
        return True
    if isinstance(node, MapNode):
        return _is_struct(base) or origin in MAPS
    if isinstance(node, ListNode):
        return origin in LISTS
    return not (_is_struct(base) or origin in MAPS or origin in LISTS)


def _rank(node: Node, kind: Any) -> int:
    """Order the members of a union: the scalar's own type first, any text last."""
    base = _bare(kind)
    if isinstance(node, ScalarNode) and type(resolve(node)) is base:
        return 0
    return 2 if base in (Secret, Any, object) else 1


def _scalar(node: ScalarNode, base: Any) -> Any:
    """Return what a scalar means to a field of type `base`, _FAILED if nothing."""
    if base is bool:
        return _BOOLEANS.get(node.text, _FAILED) if node.plain else _FAILED
    if base is int or base is float:
        value = resolve(node)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return value if fits and not (base is int and isinstance(value, float)) else _FAILED
    if base is type(None):
        return None if is_null(node) else _FAILED
    choices = _choices(base)
    if choices and node.text not in choices:
        value = resolve(node)
        return value if value in choices else _FAILED
    return node.text


def _choices(base: Any) -> tuple[Any, ...]:
    if typing.get_origin(base) is Literal:
        return typing.get_args(base)
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return tuple(member.value for member in base)
    return ()


def _wanted(base: Any) -> str:
    choices = _choices(base)
    if choices:
        return ("one of " if len(choices) > 1 else "") + ", ".join(
            str(choice) for choice in choices
        )
    return _WANTED.get(base, "a value")


def _shown(node: Node, *, quotes: bool = False) -> str:
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    if is_null(node):
        return "nothing"
    text = node.text if len(node.text) <= 60 else node.text[:57] + "..."
    return f'the quoted text "{text}"' if quotes and not node.plain else f'"{text}"'


def _sentence(error: Exception) -> str:
    text = str(error).partition(" - at `$")[0].replace("`", "")
    return text[:1].lower() + text[1:]
