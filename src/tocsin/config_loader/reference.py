"""The reference of the configuration, written from the structs: docs/reference/configuration.md.

python -m tocsin.config_loader.reference > docs/reference/configuration.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tocsin.config_loader.json_schema import Json, config_schema
from tocsin.notification_dispatcher.registry import BUILTIN, Providers

_HEAD = """\
# Configuration

<!-- Written by `python -m tocsin.config_loader.reference`; do not edit. -->

One YAML file holds everything, or names the files that do. It has one of two forms: the long
one with a list of `tenants`, and the short one for a single tenant, whose keys stand at the
top beside `tenant: name`. `tocsin check config FILE` tells every fault with its place;
`tocsin config schema` prints the JSON Schema for editors.

- **Rule files and `alertmanager.yml`** are read unchanged. Relative paths start at the file
  that names them.
- **Variables**: `${VAR}`, `${VAR:-default}` (also for an empty variable), `$$` for a dollar
  sign. They are replaced in values of this file, never in keys, in `groups`, in values that
  hold a template (`{{`), or in other files. A variable that is not set is an error.
- **Secrets**: `x_file` beside a secret `x` names a file that holds it; a trailing newline is
  cut. Give one of the two. Files are read again at each reload.
- **Durations**: `30s`, `1h30m`, `500ms`, `0`.
- **Sizes**: `512MB`, `10GB`; `KB MB GB TB PB` are powers of 1024.
- **Limits**: 1 MiB, 200,000 YAML events, 64 levels, 100 aliases, 200,000 nodes once aliases
  are expanded. Duplicate keys are errors. Text fields keep what is written (`on`, `1.10`).
"""
_FIRST = ("ShortFile", "File", "Tenant")
_WORDS = {"Duration": "duration", "ByteSize": "size"}


def reference(known: Providers | None = None) -> str:
    """Return the reference as Markdown, for the built-in providers unless others are given."""
    definitions = config_schema(known or Providers(BUILTIN))["$defs"]
    order = [*_FIRST, *(name for name in definitions if name not in (*_FIRST, *_WORDS))]
    sections = (_section(name, definitions[name]) for name in order)
    return "\n".join([_HEAD, *sections])


def _section(name: str, definition: Json) -> str:
    return "\n".join([f"## {name}", "", definition["description"], "", *_table(definition), ""])


def _table(definition: Json) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    required = definition.get("required", [])
    for key, schema in definition["properties"].items():
        default = "required" if key in required else _default(schema)
        cells = (f"`{key}`", _words(schema), default, schema.get("description", ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(schema: Json) -> str:
    if "default" not in schema:
        return ""
    text = yaml.safe_dump(schema["default"], default_flow_style=True, width=10_000)
    return f"`{text.removesuffix(chr(10)).removesuffix('...').strip()}`"


def _words(schema: Mapping[str, Any]) -> str:
    """Return a type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _WORDS.get(name) or f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        members = [m for m in schema["anyOf"] if m.get("type") != "null"]
        return " or ".join(_words(member) for member in members)
    return _plain_words(schema)


def _plain_words(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_words(schema['items'])}"
    if kind == "object":
        return f"map of {_words(schema['additionalProperties'])}"
    return "secret" if schema.get("writeOnly") else str(kind)


if __name__ == "__main__":
    sys.stdout.write(reference())
