"""YAML text into a tree of nodes that know their place, within budgets.

Scalars keep their text: what type a plain scalar has is decided by the field it lands in
(`convert`), so `on`, `no`, `12:30` and `1.10` survive in string fields. Where no field
decides, the YAML 1.2 core schema does (`resolve`). Budgets stop alias bombs before they
expand (contracts/security-compliance.md, section 7). Source: YAML 1.2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tocsin.model.errors import Problem
from tocsin.model.settings import Finding, PathPart

MAX_BYTES = 1 << 20
MAX_EVENTS = 200_000
MAX_DEPTH = 64
MAX_ALIASES = 100
MAX_NODES = 200_000  # after expanding aliases


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """A scalar as written; `plain` is false when it was quoted, a block or tagged `!!str`."""

    text: str
    plain: bool
    place: Place


@dataclass(frozen=True, slots=True, eq=False)
class ListNode:
    """A sequence."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a mapping: where its key stands, and its value."""

    key: Place
    value: Node


@dataclass(frozen=True, slots=True, eq=False)
class MapNode:
    """A mapping in file order, merge keys already merged."""

    entries: dict[str, Entry]
    place: Place


Node = ScalarNode | ListNode | MapNode


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a file: what the problems found in it are told against."""

    file: str
    node: Node

    def at(self, *path: PathPart) -> Section:
        """Return the part below, or the deepest ancestor that exists."""
        return Section(self.file, descend(self.node, path))

    def problem(self, finding: Finding) -> Problem:
        """Return a stage's finding with its place."""
        place = descend(self.node, finding.path).place
        return Problem(finding.message, self.file, place.line, place.column)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file; `root` is None when the syntax is so bad that nothing could be read."""

    root: Section | None
    problems: tuple[Problem, ...] = ()


def parse(text: str, *, file: str) -> Document:
    """Parse one YAML document. Never raises: whatever is wrong stands in `problems`."""
    composer = _Composer(file)
    try:
        root = composer.compose(text)
    except _Stop as stop:
        return Document(None, (*composer.problems, stop.problem))
    return Document(Section(file, root), tuple(composer.problems))


def descend(node: Node, path: Sequence[PathPart]) -> Node:
    """Return the node at `path`, or the deepest one on the way to it."""
    for part in path:
        below = _child(node, part)
        if below is None:
            return node
        node = below
    return node


def places(node: Node) -> Iterator[Place]:
    """Yield where a node, its keys and everything below it stand."""
    yield node.place
    if isinstance(node, MapNode):
        for entry in node.entries.values():
            yield entry.key
            yield from places(entry.value)
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from places(item)


def is_null(node: Node) -> bool:
    """Tell whether a node is nothing: empty, `~` or `null`, unquoted."""
    return isinstance(node, ScalarNode) and node.plain and node.text in _NULLS


def resolve(node: ScalarNode) -> bool | int | float | str | None:
    """Return the value of a scalar by the YAML 1.2 core schema."""
    text = node.text
    if not node.plain:
        return text
    if text in _CONSTANTS:
        constant: bool | float | None = _CONSTANTS[text]
        return constant
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def plain(node: Node) -> Any:
    """Return a node as plain Python data: dict, list, str, int, float, bool, None."""
    if isinstance(node, MapNode):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return resolve(node)


_NULLS = ("", "~", "null", "Null", "NULL")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(_NULLS),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INT = re.compile(r"[-+]?[0-9]{1,300}")  # longer ones stay text; Python limits them too
_BASED = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_MERGE = "<<"
_CORE = "tag:yaml.org,2002:"
_TYPED_TAGS = frozenset(_CORE + name for name in ("int", "float", "bool", "null", "merge"))
_TEXT_TAGS = frozenset((_CORE + "str", "!"))


class _Stop(Exception):
    """Parsing cannot go on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Composed:
    """A node, how many nodes it is once aliases are expanded, and how deep."""

    node: Node
    size: int = 1
    height: int = 0


_Pair = tuple[ScalarNode, Node]
_Opening = ScalarEvent | SequenceStartEvent | MappingStartEvent


class _Composer:
    """Turns the events of one document into nodes."""

    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._anchors: dict[str, _Composed | None] = {}  # None while the node is still open
        self._aliases = 0
        self._events: Iterator[Event] = iter(())

    def compose(self, text: str) -> Node:
        """Return the root node. Raises _Stop when nothing can be made of the rest."""
        size = len(text.encode(errors="replace"))
        if size > MAX_BYTES:
            self._fail(Place(1, 1), f"file is too large: {size} bytes, at most {MAX_BYTES}")
        self._events = self._guarded(text)
        node: Node = ScalarNode("", plain=True, place=Place(1, 1))
        documents = 0
        for event in self._events:
            if not isinstance(event, DocumentStartEvent):
                continue
            documents += 1
            composed = self._node(next(self._events), depth=0).node
            if documents == 1:
                node = composed
            elif not is_null(composed):
                self._fail(_place(event), "only one YAML document is allowed in a file")
        return node

    def _guarded(self, text: str) -> Iterator[Event]:
        """Give the parser's events, at most MAX_EVENTS; syntax errors become problems."""
        count = 0
        try:
            for event in yaml.parse(text, Loader=yaml.CSafeLoader):
                count += 1
                if count > MAX_EVENTS:
                    self._fail(_place(event), f"file is too complex: over {MAX_EVENTS} YAML events")
                yield event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
            why = ", ".join(part for part in (error.context, error.problem) if part)
            self._fail(place, f"not valid YAML: {why}")
        except yaml.reader.ReaderError as error:
            before = text.encode()[: error.position].decode(errors="ignore")
            self._fail(_end_of(before), f"not valid YAML: {error.reason}")
        except UnicodeEncodeError as error:
            self._fail(_end_of(text[: error.start]), "not valid YAML: lone surrogate")

    def _node(self, event: Event, *, depth: int) -> _Composed:
        if depth > MAX_DEPTH:
            self._fail(_place(event), f"nested too deeply: over {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent):
            return self._alias(event, str(event.anchor), depth=depth)
        opening = cast("_Opening", event)  # only these four begin a node
        anchor = opening.anchor
        if anchor:
            self._anchors[anchor] = None
        composed = self._fresh(opening, depth=depth)
        if anchor:
            self._anchors[anchor] = composed
        return composed

    def _fresh(self, event: _Opening, *, depth: int) -> _Composed:
        if isinstance(event, ScalarEvent):
            return _Composed(self._scalar(event))
        if isinstance(event, SequenceStartEvent):
            self._check_tag(event, _CORE + "seq")
            return self._sequence(event, depth=depth)
        self._check_tag(event, _CORE + "map")
        return self._mapping(event, depth=depth)

    def _alias(self, event: Event, name: str, *, depth: int) -> _Composed:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._fail(_place(event), f"too many aliases: over {MAX_ALIASES}")
        if name not in self._anchors:
            self._fail(_place(event), f"alias *{name} names no anchor above it")
        target = self._anchors[name]
        if target is None:
            self._fail(_place(event), f"alias *{name} stands inside its own anchor")
        if depth + target.height > MAX_DEPTH:
            self._fail(_place(event), f"nested too deeply: over {MAX_DEPTH} levels")
        return target

    def _scalar(self, event: ScalarEvent) -> ScalarNode:
        is_plain = bool(event.implicit[0]) and event.tag is None
        if event.tag in _TYPED_TAGS:
            is_plain = True
        elif event.tag is not None and event.tag not in _TEXT_TAGS:
            self._check_tag(event, event.tag + "?")
        return ScalarNode(event.value, plain=is_plain, place=_place(event))

    def _check_tag(self, event: _Opening, wanted: str) -> None:
        if event.tag is not None and event.tag not in ("!", wanted):
            shown = event.tag.replace(_CORE, "!!", 1)[:40]
            self._note(_place(event), f"tag {shown} is not supported here")

    def _sequence(self, event: Event, *, depth: int) -> _Composed:
        items: list[Node] = []
        size, height = 1, 0
        for inner in self._until(SequenceEndEvent):
            item = self._node(inner, depth=depth + 1)
            items.append(item.node)
            size, height = self._grown(event, size + item.size), max(height, item.height + 1)
        return _Composed(ListNode(tuple(items), _place(event)), size, height)

    def _mapping(self, event: Event, *, depth: int) -> _Composed:
        pairs: list[_Pair] = []
        size, height = 1, 0
        for inner in self._until(MappingEndEvent):
            key = self._key(inner, depth=depth)
            value = self._node(next(self._events), depth=depth + 1)
            if key is not None:
                pairs.append((key, value.node))
            size, height = self._grown(event, size + 1 + value.size), max(height, value.height + 1)
        return _Composed(MapNode(self._entries(pairs), _place(event)), size, height)

    def _key(self, event: Event, *, depth: int) -> ScalarNode | None:
        key = self._node(event, depth=depth + 1).node
        if isinstance(key, ScalarNode):
            return key
        self._note(key.place, "a key must be a string")
        return None

    def _entries(self, pairs: list[_Pair]) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key, value in pairs:
            if key.plain and key.text == _MERGE:
                merged = {**self._merge(value), **merged}
            elif key.text in own:
                first = own[key.text].key.line
                self._note(key.place, f'duplicate key "{key.text}", first on line {first}')
            else:
                own[key.text] = Entry(key.place, value)
        return {**merged, **own} if merged else own

    def _merge(self, value: Node) -> dict[str, Entry]:
        """Return the entries a merge key brings; an earlier mapping of a list wins."""
        if isinstance(value, MapNode):
            return value.entries
        if isinstance(value, ListNode) and all(isinstance(i, MapNode) for i in value.items):
            maps = [item.entries for item in value.items if isinstance(item, MapNode)]
            return {key: entry for entries in reversed(maps) for key, entry in entries.items()}
        self._note(value.place, "a merge key << takes a mapping or a list of mappings")
        return {}

    def _until(self, end: type[Event]) -> Iterator[Event]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _grown(self, event: Event, size: int) -> int:
        if size > MAX_NODES:
            self._fail(_place(event), f"too large once aliases are expanded: over {MAX_NODES}")
        return size

    def _note(self, place: Place, message: str) -> None:
        self.problems.append(Problem(message, self._file, place.line, place.column))

    def _fail(self, place: Place, message: str) -> NoReturn:
        raise _Stop(Problem(message, self._file, place.line, place.column))


def _child(node: Node, part: PathPart) -> Node | None:
    if isinstance(node, MapNode) and isinstance(part, str):
        entry = node.entries.get(part)
        return entry.value if entry else None
    if isinstance(node, ListNode) and isinstance(part, int) and 0 <= part < len(node.items):
        return node.items[part]
    return None


def _place(event: Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _end_of(text: str) -> Place:
    return Place(text.count("\n") + 1, len(text) - text.rfind("\n"))
