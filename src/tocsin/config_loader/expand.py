"""`${VAR}`, `${VAR:-default}` and `$$` in the scalars of our own file.

Works on parsed nodes, so a variable can never add structure, and keys are never touched.
A lone `$` and `${1}` stay as they are: they belong to templates and to regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tocsin.config_loader.tree import Entry, ListNode, MapNode, Node, ScalarNode, Section
from tocsin.model.errors import Problem
from tocsin.model.settings import PathPart

Path = tuple[PathPart, ...]
Spared = Callable[[Path, Node], bool]
"""Tells of a node, by its path from the root and itself, that it and all below stay as written."""

_FORM = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<body>[^}]*)(?P<end>\}?))")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A section with its variables replaced, and those that could not be."""

    section: Section
    problems: tuple[Problem, ...] = ()


def expand(section: Section, environ: Mapping[str, str], *, spared: Spared) -> Expanded:
    """Replace the variables of every scalar that is not spared."""
    expander = _Expander(section.file, environ, spared)
    node = expander.node(section.node, ())
    return Expanded(Section(section.file, node), tuple(dict.fromkeys(expander.problems)))


def expand_text(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return `text` with variables replaced, and a message for each that could not be."""
    faults: list[str] = []

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        replaced = _value(found["body"], closed=bool(found["end"]), environ=environ)
        if isinstance(replaced, str):
            return replaced
        faults.extend(replaced)
        return found[0]

    return _FORM.sub(value, text), tuple(faults)


def _value(body: str, *, closed: bool, environ: Mapping[str, str]) -> str | tuple[str, ...]:
    """Return what `${body}` stands for, or the messages saying why nothing does."""
    if closed and body.isdecimal():
        return f"${{{body}}}"
    form = _BODY.fullmatch(body)
    if not closed or form is None:
        return (f"${{{body}{'}' if closed else ''} is no variable: write ${{NAME}}, or $$ for $",)
    name, default = form["name"], form["default"]
    if default is not None:  # as in a shell, `:-` also stands in for an empty variable
        return environ.get(name) or default[2:]
    if name in environ:
        return environ[name]
    return (f"environment variable {name} is not set (set it, or write ${{{name}:-default}})",)


class _Expander:
    """Rebuilds a tree around the scalars it replaces."""

    def __init__(self, file: str, environ: Mapping[str, str], spared: Spared) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._environ = environ
        self._spared = spared

    def node(self, node: Node, path: Path) -> Node:
        """Return `node` expanded."""
        if self._spared(path, node):
            return node
        if isinstance(node, MapNode):
            return self._map(node, path)
        if isinstance(node, ListNode):
            items = tuple(self.node(item, (*path, i)) for i, item in enumerate(node.items))
            return replace(node, items=items)
        return self._scalar(node)

    def _map(self, node: MapNode, path: Path) -> MapNode:
        entries = {
            key: Entry(entry.key, self.node(entry.value, (*path, key)))
            for key, entry in node.entries.items()
        }
        return replace(node, entries=entries)

    def _scalar(self, node: ScalarNode) -> ScalarNode:
        if "$" not in node.text:
            return node
        text, faults = expand_text(node.text, self._environ)
        place = node.place
        self.problems += [Problem(f, self._file, place.line, place.column) for f in faults]
        return replace(node, text=text)
