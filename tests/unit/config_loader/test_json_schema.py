"""The JSON Schema says what the structs say."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest

from tocsin.config_loader.json_schema import _Writer, config_schema
from tocsin.config_loader.reference import reference
from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.model.secret import Secret
from tocsin.model.settings import ByteSize, Duration
from tocsin.model.size import parse_size
from tocsin.notification_dispatcher.registry import BUILTIN, Providers
from tocsin.security.permissions import Role

SCHEMA = config_schema(Providers(BUILTIN))
Name = NewType("Name", str)


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A struct that holds itself."""

    leaf: Annotated[int, msgspec.Meta(ge=1, lt=9, description="A number.")] = 3
    branches: list[Tree] = []


def refs(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(refs(value) for value in node.values()))
    return set[str]().union(*(refs(item) for item in node)) if isinstance(node, list) else set()


def test_it_is_json_and_every_reference_leads_somewhere() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert refs(SCHEMA) == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_the_short_form_is_told_by_its_key() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["if"] == {"required": ["tenant"]}
    assert (SCHEMA["then"]["$ref"], SCHEMA["else"]["$ref"]) == (
        "#/$defs/ShortFile",
        "#/$defs/File",
    )


def test_fields_have_type_default_and_description() -> None:
    server = SCHEMA["$defs"]["ServerConfig"]
    assert server["additionalProperties"] is False
    assert server["properties"]["auth"] == {
        "enum": ["token", "none"],
        "default": "token",
        "description": "`token`: every request proves its tenant by a token. `none`: whoever "
        "reaches the port may do anything, to be used on loopback only.",
    }
    assert SCHEMA["$defs"]["TokenConfig"]["required"] == ["name", "sha256"]
    assert SCHEMA["$defs"]["TokenConfig"]["properties"]["sha256"]["pattern"] == "^[0-9a-f]{64}$"
    assert SCHEMA["$defs"]["Tenant"]["properties"]["scrape_interval"]["default"] == "1m"


def test_keys_have_the_names_of_the_file() -> None:
    definitions = SCHEMA["$defs"]
    assert "for" in definitions["Rule"]["properties"]
    assert "continue" in definitions["RouteConfig"]["properties"]
    assert "global" in definitions["Alertmanager"]["properties"]
    assert "webhook_configs" in definitions["Receiver"]["properties"]


def test_every_struct_and_every_field_says_what_it_is() -> None:
    silent = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, schema in {"": definition, **definition.get("properties", {})}.items()
        if not schema.get("description")
    ]
    assert silent == []


def test_structs_of_one_name_from_two_rooms_are_told_apart() -> None:
    names = [name for name in SCHEMA["$defs"] if name.endswith("TlsConfig")]
    assert sorted(names) == ["MetricsCollectorTlsConfig", "TlsConfig"]


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, {"type": "string"}),
        (Name, {"type": "string"}),
        (Secret, {"type": "string", "writeOnly": True}),
        (Any, {}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Role, {"enum": [role.value for role in Role]}),
        (list, {"type": "array", "items": {}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (frozenset[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (dict, {"type": "object", "additionalProperties": {}}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (
            tuple[str, float],
            {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "number"}],
                "minItems": 2,
                "items": False,
            },
        ),
        (
            Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)],
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        ),
        (
            Annotated[str, msgspec.Meta(min_length=1, pattern="x")],
            {"type": "string", "minLength": 1, "pattern": "x"},
        ),
    ],
)
def test_types(kind: Any, schema: dict[str, Any]) -> None:
    assert _Writer().of(kind) == schema


def test_a_struct_that_holds_itself_is_written_once() -> None:
    writer = _Writer()
    assert writer.of(Tree) == {"$ref": "#/$defs/Tree"}
    assert writer.definitions["Tree"]["properties"] == {
        "leaf": {
            "type": "integer",
            "minimum": 1,
            "exclusiveMaximum": 9,
            "description": "A number.",
            "default": 3,
        },
        "branches": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
    }


@pytest.mark.parametrize(
    "text", ["0", "30s", "1h30m", "500ms", "1y2w3d", "", "5", "m", "30 s", "1m1h", "-1s"]
)
def test_the_pattern_of_durations_agrees_with_the_parser(text: str) -> None:
    writer = _Writer()
    writer.of(Duration)
    pattern = writer.definitions["Duration"]["anyOf"][0]["pattern"]
    try:
        parse_duration(text)
        valid = True
    except InvalidInput:
        valid = False
    assert bool(re.search(pattern, text)) is valid


@pytest.mark.parametrize(
    "text", ["0", "512MB", "1GB512MB", "1.5KiB", "7B", "", "5", "1iB", "1 GB", "1gb", "GB", "-1B"]
)
def test_the_pattern_of_sizes_agrees_with_the_parser(text: str) -> None:
    writer = _Writer()
    writer.of(ByteSize)
    pattern = writer.definitions["ByteSize"]["anyOf"][0]["pattern"]
    try:
        parse_size(text)
        valid = True
    except InvalidInput:
        valid = False
    assert bool(re.search(pattern, text)) is valid


def test_the_reference_names_every_key() -> None:
    text = reference()
    for name, definition in SCHEMA["$defs"].items():
        if name in ("ByteSize", "Duration"):
            continue
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for key in definition["properties"]:
            assert f"| `{key}` |" in section


def test_the_reference_gives_types_and_defaults_in_words() -> None:
    text = reference()
    assert "| `scrape_timeout` | duration | `10s` |" in text
    assert "| `auth` | `token`, `none` | `token` |" in text
    assert "| `id` | string | required |" in text
    assert "| `url` | secret |" in text
    assert "| `external_labels` | map of string |" in text
