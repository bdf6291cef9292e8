"""Structs made of other structs: flat, so that a file has Prometheus' names on one level.

A stage owns its struct; the section of a tenant is several of them side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
Field = tuple[str, Any] | tuple[str, Any, Any]
"""Name, type and, unless required, default; as `msgspec.defstruct` takes them."""

_PARTS: dict[type[msgspec.Struct], tuple[type[msgspec.Struct], ...]] = {}


def flat(name: str, base: type[S], *parts: type[msgspec.Struct]) -> type[S]:
    """Return a struct that extends `base` by the fields of `parts`.

    Its docstring is that of `base`. Raises ValueError when two of them share a field.
    """
    taken = set(base.__struct_fields__)
    fields: list[Field] = []
    for part_type in parts:
        for field in msgspec.structs.fields(part_type):
            if field.name in taken:
                raise ValueError(f"{name} would have two fields {field.name}")
            taken.add(field.name)
            fields.append((field.name, field.type, _default(field)))
    made = extended(name, base, fields)
    _PARTS[made] = parts
    return made


def extended(name: str, base: type[S], fields: Sequence[Field]) -> type[S]:
    """Return a struct that extends `base` by `fields`, and has its docstring."""
    made = msgspec.defstruct(
        name,
        fields,
        bases=(base,),
        namespace={"__doc__": base.__doc__},
        module=__name__,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    return cast("type[S]", made)


def part(value: msgspec.Struct, kind: type[S]) -> S:
    """Return the fields of `kind` out of a struct that has them all."""
    return kind(**{name: getattr(value, name) for name in kind.__struct_fields__})


def parts_of(kind: type[msgspec.Struct]) -> tuple[type[msgspec.Struct], ...]:
    """Return the structs a flat struct was made of, () for an ordinary one."""
    return _PARTS.get(kind, ())


def _default(field: msgspec.structs.FieldInfo) -> Any:
    named: dict[str, Any] = {} if field.encode_name == field.name else {"name": field.encode_name}
    if field.default is not msgspec.NODEFAULT:
        return msgspec.field(default=field.default, **named)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory, **named)
    return msgspec.field(**named)
