"""What a struct's source says of its fields: the string that follows each of them.

The reference and the JSON Schema show these texts, so that there is one place to write them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from typing import Any

import msgspec

from tocsin.config_loader.compose import parts_of


@functools.cache
def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the description of each field (by its Python name) that has one.

    A description is an attribute docstring of the class, of a base, or of a part of a flat
    struct. Without the source (a frozen program) there is none.
    """
    docs: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not issubclass(owner, msgspec.Struct) or owner is msgspec.Struct:
            continue
        for part in parts_of(owner):
            docs |= field_docs(part)
        docs |= _module_docs(owner.__module__).get(owner.__qualname__, {})
    return {name: docs[name] for name in kind.__struct_fields__ if name in docs}


def summary(kind: type[msgspec.Struct]) -> str:
    """Return the docstring of a struct, lines joined within paragraphs."""
    text = inspect.cleandoc(kind.__doc__ or "")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """Return the default of a field, None for a required one."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.required else field.default


@functools.cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    try:
        source = inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return {}
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    return {node.name: _attribute_docs(node) for node in classes}


def _attribute_docs(node: ast.ClassDef) -> dict[str, str]:
    docs: dict[str, str] = {}
    for statement, after in zip(node.body, node.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[statement.target.id] = " ".join(str(after.value.value).split())
    return docs
