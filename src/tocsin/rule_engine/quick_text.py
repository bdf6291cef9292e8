"""Texts of rules that need no interpreter: words, labels, the value, and functions of these.

Nearly every annotation is a sentence with a label or two and the value, perhaps put through a
function that makes it readable. Such a text is taken apart once, and rendering it is a join:
2 µs where the interpreter takes 25. There is one meaning of a template, the interpreter's: what
has conditions, loops or variables is not taken apart, and where a part goes wrong or comes out
as anything but a string or a finite number, the whole text is rendered by the interpreter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.model.errors import TocsinError
from tocsin.model.labels import Labels
from tocsin.rule_engine.texts import PURE, parsed
from tocsin.templating.calls import Signature, constant, signature
from tocsin.templating.nodes import (
    Action,
    Command,
    Field,
    Literal,
    Name,
    Operand,
    Pipe,
    Text,
    Variable,
)
from tocsin.templating.printing import shortest
from tocsin.templating.values import Kind, Safe, kind

_MOST_PARTS = 64
_LONGEST = 8192  # characters; beyond that the budgets of the interpreter may matter

_FUNCTIONS = PURE - {"and", "or", "call"}  # the first two look at arguments one by one
_VERB = re.compile(r"%(?:(%)|(s)|(v)|\.(\d)f|.?)", re.DOTALL)

_Get = Callable[[Labels, float], Any]


class _NotQuick(Exception):
    """This text is the interpreter's."""


@dataclass(frozen=True, slots=True)
class _Term:
    """How an operand is had from labels and value, and what it is; None: seen when it is there."""

    get: _Get
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stays the same for all texts of a rule."""

    functions: Mapping[str, Callable[..., Any]]
    names: frozenset[str]
    external_labels: Labels
    external_url: str


class QuickText:
    """A text in parts: words as they are, and what is had from labels and value."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[str | _Get]) -> None:
        """Join `parts`."""
        self._parts = tuple(parts)

    def render(self, metric: Labels, value: float) -> str | None:
        """Return the text of an element, None when it is for the interpreter to say."""
        try:
            text = "".join(
                [part if isinstance(part, str) else part(metric, value) for part in self._parts]
            )
        except (TocsinError, _NotQuick):
            return None
        return text if len(text) <= _LONGEST else None


def quick_text(text: str, around: Surroundings) -> QuickText | None:
    """Return `text` taken apart, None when it needs the interpreter."""
    tree = parsed(text, around.names)
    if tree is None or tree.defined or len(tree.body) > _MOST_PARTS:
        return None
    parts: list[str | _Get] = []
    try:
        for node in tree.body:
            match node:
                case Text(text=words):
                    parts.append(words)
                case Action(pipe=Pipe(names=()) as pipe):
                    parts.append(_shown(_pipe(pipe, around)))
                case _:
                    return None
    except _NotQuick:
        return None
    return QuickText(parts)


def _pipe(pipe: Pipe, around: Surroundings) -> _Term:
    first, *others = pipe.commands
    term = _command(first, None, around)
    for command in others:
        term = _command(command, term, around)
    return term


def _command(command: Command, piped: _Term | None, around: Surroundings) -> _Term:
    head, *rest = command.args
    if isinstance(head, Name):
        args: list[_Term | Literal] = [_operand(each, around) for each in rest]
        return _called(head.name, [*args, piped] if piped else args, around)
    if rest or piped:
        raise _NotQuick
    match _operand(head, around):
        case _Term() as term:
            return term
        case Literal(value=str() as text):
            return _fixed(text)
    raise _NotQuick


def _operand(node: Operand, around: Surroundings) -> _Term | Literal:
    match node:
        case Literal():
            return node
        case Pipe(names=()):
            return _pipe(node, around)
        case Variable(name="$labels", path=(name,)) | Field(path=("Labels", name)):
            return _Term(lambda metric, _: metric.value(name), Kind.STRING)
        case Variable(name="$value", path=()) | Field(path=("Value",)):
            return _Term(lambda _, value: value, Kind.FLOAT)
        case Variable(name="$externalLabels", path=(name,)) | Field(path=("ExternalLabels", name)):
            return _fixed(around.external_labels.value(name))
        case Variable(name="$externalURL", path=()) | Field(path=("ExternalURL",)):
            return _fixed(around.external_url)
    raise _NotQuick


def _fixed(text: str) -> _Term:
    return _Term(_words(text), Kind.STRING)


def _called(name: str, args: Sequence[_Term | Literal], around: Surroundings) -> _Term:
    """Return what a function makes of operands whose types fit whatever the element is."""
    if name == "printf":
        return _printf(args)
    if name not in _FUNCTIONS:
        raise _NotQuick
    function = around.functions[name]
    takes = signature(function)
    if takes.takes_run or not _counts(takes, len(args)):
        raise _NotQuick
    gets = [_fitted(arg, takes.want(at)) for at, arg in enumerate(args)]
    match gets:
        case [get]:
            return _Term(lambda metric, value: function(get(metric, value)), None)
    return _Term(lambda metric, value: function(*[get(metric, value) for get in gets]), None)


def _printf(args: Sequence[_Term | Literal]) -> _Term:
    """Return what `printf` makes of strings and numbers under `%s`, `%v` and `%.2f`."""
    match args:
        case [Literal(value=str() as form), *rest]:
            left = iter(rest)
        case _:
            raise _NotQuick
    parts: list[_Get] = []
    end = 0
    for verb in _VERB.finditer(form):
        parts += [_words(form[end : verb.start()]), _verb(verb, left)]
        end = verb.end()
    parts.append(_words(form[end:]))
    if next(left, None) is not None:
        raise _NotQuick
    return _Term(lambda metric, value: "".join([p(metric, value) for p in parts]), Kind.STRING)


def _verb(verb: re.Match[str], left: Iterator[_Term | Literal]) -> _Get:
    """Return how one verb shows the next operand."""
    percent, string, plain, digits = verb.groups()
    if percent:
        return _words("%")
    term = next(left, None)
    if not isinstance(term, _Term):
        raise _NotQuick
    if plain or (string and term.kind is not Kind.FLOAT):
        return _shown(term)
    if digits and term.kind is Kind.FLOAT:
        return lambda metric, value: _rounded(term.get(metric, value), int(digits))
    raise _NotQuick


def _words(text: str) -> _Get:
    return lambda *_: text


def _counts(takes: Signature, given: int) -> bool:
    return takes.required <= given and (takes.variadic or given <= len(takes.wants))


def _fitted(arg: _Term | Literal, want: tuple[Kind, str] | None) -> _Get:
    """Return how an argument is had that is what its parameter wants."""
    if isinstance(arg, Literal):
        ready = constant(arg, want)
        if want is None or kind(ready) is want[0]:
            return lambda *_: ready
    elif want is None or arg.kind is want[0]:
        return arg.get
    elif arg.kind is None:
        return _checked(arg.get, want[0])
    raise _NotQuick


def _checked(get: _Get, wanted: Kind) -> _Get:
    def checked(metric: Labels, value: float) -> Any:
        found = get(metric, value)
        if kind(found) is not wanted or isinstance(found, Safe):
            raise _NotQuick
        return found

    return checked


def _shown(term: _Term) -> _Get:
    """Return how a part is had as the interpreter would print it."""
    match term.kind:
        case Kind.STRING:
            return term.get
        case Kind.FLOAT:
            return lambda metric, value: _number(term.get(metric, value))
    return lambda metric, value: _printed(term.get(metric, value))


def _printed(result: object) -> str:
    if type(result) is str:
        return result
    raise _NotQuick


def _rounded(value: float, digits: int) -> str:
    if not math.isfinite(value):
        raise _NotQuick
    return f"{value:.{digits}f}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise _NotQuick
    return ("-" if math.copysign(1.0, value) < 0 else "") + shortest(abs(value))
