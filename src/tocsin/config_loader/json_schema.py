"""JSON Schema (draft 2020-12) of our configuration file, for editors: `tocsin config schema`.

Made from the structs, so it cannot disagree with what is read. It says what a file should
look like; the loader is more lenient with scalars (a number where text is meant).
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

import msgspec

from tocsin.config_loader.convert import LISTS, MAPS
from tocsin.config_loader.describe import default_of, field_docs, summary
from tocsin.config_loader.masked import masked
from tocsin.config_loader.schema import SHORT_FORM, schema_for
from tocsin.model.secret import Secret
from tocsin.model.settings import ByteSize, Duration
from tocsin.notification_dispatcher.registry import Providers, providers

Json = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DURATION: Json = {
    "description": "A duration such as 30s, 1h30m or 0.",
    "anyOf": [
        {
            "type": "string",
            "pattern": r"^(0|(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$",
        },
        {"const": 0},
    ],
}
_SIZE: Json = {
    "description": "A size such as 512MB or 10GB; a unit is 1024 times the one before it.",
    "anyOf": [
        {"type": "string", "pattern": r"^(0|(\d+(\.\d+)?([KMGTPE]i?)?B)+)$"},
        {"const": 0},
    ],
}
_LEAVES: dict[Any, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Secret: {"type": "string", "writeOnly": True},
    Any: {},
    object: {},
}
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "pattern": "pattern",
    "description": "description",
}


def config_schema(known: Providers | None = None) -> Json:
    """Return the schema of a configuration file in either form."""
    schema = schema_for(known or providers())
    writer = _Writer()
    short, long = writer.of(schema.short_file), writer.of(schema.file)
    return {
        "$schema": _DRAFT,
        "title": "Tocsin configuration",
        "description": "One tenant (`tenant: name`, its keys beside it), or a list of `tenants`.",
        "if": {"required": [SHORT_FORM]},
        "then": short,
        "else": long,
        "$defs": dict(sorted(writer.definitions.items())),
    }


class _Writer:
    """Writes types as schemas; each struct once, under `$defs`."""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}
        self._names: dict[type, str] = {}

    def of(self, kind: Any) -> Json:
        """Return the schema of a type."""
        if typing.get_origin(kind) is Annotated:
            return self._bounded(kind)
        kind = getattr(kind, "__supertype__", kind)  # of a NewType
        origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin is Union or origin is types.UnionType:
            return {"anyOf": [self.of(member) for member in arguments]}
        if origin in LISTS:
            return self._list(origin, arguments)
        if origin in MAPS:
            of_values = self.of(arguments[1]) if arguments else {}
            return {"type": "object", "additionalProperties": of_values}
        return self._named(kind)

    def _named(self, kind: Any) -> Json:
        if typing.get_origin(kind) is Literal:
            return {"enum": list(typing.get_args(kind))}
        if kind is Duration:
            return self._refer("Duration", _DURATION)
        if kind is ByteSize:
            return self._refer("ByteSize", _SIZE)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"enum": [member.value for member in kind]}
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(kind)
        return dict(_LEAVES[kind])

    def _bounded(self, kind: Any) -> Json:
        schema = self.of(kind.__origin__)
        sized = "Items" if schema.get("type") == "array" else "Length"
        for meta in kind.__metadata__:
            for name, word in (*_BOUNDS.items(), ("min_length", f"min{sized}")):
                if getattr(meta, name, None) is not None:
                    schema[word] = getattr(meta, name)
            if getattr(meta, "max_length", None) is not None:
                schema[f"max{sized}"] = meta.max_length
        return schema

    def _list(self, origin: Any, arguments: tuple[Any, ...]) -> Json:
        if origin is tuple and arguments and Ellipsis not in arguments:
            items = [self.of(member) for member in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        schema: Json = {"type": "array", "items": self.of(arguments[0]) if arguments else {}}
        return schema | {"uniqueItems": True} if origin in (set, frozenset) else schema

    def _struct(self, kind: type[msgspec.Struct]) -> Json:
        if kind in self._names:
            return {"$ref": f"#/$defs/{self._names[kind]}"}
        name = self._name(kind)
        self._names[kind] = name
        self.definitions[name] = {}  # taken, before a struct that holds itself asks again
        self.definitions[name] = self._definition(kind)
        return {"$ref": f"#/$defs/{name}"}

    def _name(self, kind: type) -> str:
        """Return the struct's name, with its room where another room has one of that name."""
        if kind.__name__ not in self.definitions:
            return kind.__name__
        room = "".join(part.title() for part in kind.__module__.split(".")[1].split("_"))
        return f"{room}{kind.__name__}"

    def _definition(self, kind: type[msgspec.Struct]) -> Json:
        docs, fields = field_docs(kind), msgspec.structs.fields(kind)
        properties = {f.encode_name: self._property(f, docs.get(f.name, "")) for f in fields}
        required = [f.encode_name for f in fields if f.required]
        return {
            "type": "object",
            "description": summary(kind),
            "properties": properties,
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }

    def _property(self, field: msgspec.structs.FieldInfo, description: str) -> Json:
        schema = self.of(field.type)
        if description:
            schema["description"] = description
        default = masked(default_of(field))
        if isinstance(default, dict):
            default = None  # a section: its own fields have defaults
        if default not in (None, "", []):
            schema["default"] = default
        return schema

    def _refer(self, name: str, definition: Mapping[str, Any]) -> Json:
        self.definitions[name] = dict(definition)
        return {"$ref": f"#/$defs/{name}"}
