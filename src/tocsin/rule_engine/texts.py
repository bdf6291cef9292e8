"""What a template of an alerting rule depends on, found by reading its syntax tree.

An alert's annotations need not be rendered anew in every round: a text that does not look at
the value stays as it is while the alert lasts, and one that asks nothing outside is a function
of the element's labels and its value. What is not known to be harmless counts as dependent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import assert_never

from tocsin.model.errors import InvalidInput
from tocsin.templating.data import RULE_PREAMBLE
from tocsin.templating.nodes import (
    Action,
    Block,
    Branch,
    Call,
    Chain,
    Dot,
    Field,
    Jump,
    Literal,
    Name,
    Nil,
    Operand,
    Pipe,
    Range,
    Statement,
    Text,
    Variable,
)
from tocsin.templating.parser import parse

_ROOT = ""  # the name of the text outside of defines
_STEADY_FIELDS = ("Labels", "ExternalLabels", "ExternalURL")


class Depends(IntEnum):
    """What can change the text of an alert that goes on; each includes those before."""

    LABELS = 0
    """Nothing: it is made of the element's labels and of configuration."""
    VALUE = 1
    """The value of the element."""
    ROUND = 2
    """Each evaluation: it asks queries, or does something we do not know."""


# Functions whose result depends on their arguments alone. `query` is not one of them.
PURE = frozenset((
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or",
    "print", "printf", "println", "slice", "urlquery",
    "args", "externalURL", "first", "graphLink", "humanize", "humanize1024", "humanizeDuration",
    "humanizePercentage", "humanizeTimestamp", "label", "match", "parseDuration", "pathPrefix",
    "reReplaceAll", "safeHtml", "sortByLabel", "stripDomain", "stripPort", "strvalue",
    "tableLink", "title", "tmpl", "toLower", "toTime", "toUpper", "value",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parsed:
    """A template of a rule: what it says, and the templates it defines."""

    body: Block
    defined: tuple[Block, ...]


@lru_cache(maxsize=4096)  # rules of many tenants come from few files
def parsed(text: str, functions: frozenset[str]) -> Parsed | None:
    """Return the tree of `text` without the preamble, None when it cannot be parsed."""
    try:
        templates = parse(RULE_PREAMBLE + text, "", root=_ROOT, functions=functions)
        preamble = parse(RULE_PREAMBLE, "", root=_ROOT, functions=functions)[_ROOT].body
    except InvalidInput:
        return None
    bodies = {name: template.body for name, template in templates.items()}
    return Parsed(bodies.pop(_ROOT)[len(preamble) :], tuple(bodies.values()))


def depends(text: str, functions: frozenset[str]) -> Depends:
    """Return what `text` depends on when it is rendered with `functions`. Never raises."""
    if "{{" not in text:
        return Depends.LABELS
    tree = parsed(text, functions)
    if tree is None:
        return Depends.VALUE  # every rendering fails alike
    around = _Around(dot=Depends.VALUE, dollar=Depends.VALUE)
    return max([_block(tree.body, around), *(_block(body, _DEFINED) for body in tree.defined)])


@dataclass(frozen=True, slots=True)
class _Around:
    """What `.` and `$` of a place depend on, beyond what made them.

    At the top both are the whole element. Inside of `with`, `range` and a called template the
    dot is a part that some pipeline chose, and what that pipeline depends on is counted there.
    """

    dot: Depends
    dollar: Depends

    def inside(self) -> _Around:
        """Return what is around a block with a dot of its own."""
        return _Around(Depends.LABELS, self.dollar)


_DEFINED = _Around(Depends.LABELS, Depends.LABELS)


def _block(block: Block, around: _Around) -> Depends:
    return max((_statement(node, around) for node in block), default=Depends.LABELS)


def _statement(node: Statement, around: _Around) -> Depends:
    match node:
        case Action(pipe=Pipe() as pipe) | Call(pipe=Pipe() as pipe):
            return _pipe(pipe, around)
        case Branch():
            inner = around.inside() if node.rebind else around
            arms = (max(_pipe(pipe, around), _block(body, inner)) for pipe, body in node.arms)
            return max(*arms, _block(node.otherwise, around))
        case Range():
            return max(
                _pipe(node.pipe, around),
                _block(node.body, around.inside()),
                _block(node.otherwise, around),
            )
        case Text() | Jump() | Call():
            return Depends.LABELS
    assert_never(node)


def _pipe(pipe: Pipe, around: _Around) -> Depends:
    operands = (operand for command in pipe.commands for operand in command.args)
    return max((_operand(operand, around) for operand in operands), default=Depends.LABELS)


def _operand(node: Operand, around: _Around) -> Depends:
    found = Depends.LABELS
    match node:
        case Dot():
            found = around.dot
        case Field(path=path):
            found = _part(around.dot, path)
        case Variable(name="$value"):
            found = Depends.VALUE
        case Variable(name="$", path=path):
            found = _part(around.dollar, path)
        case Name(name=name) if name not in PURE:
            found = Depends.ROUND
        case Chain(base=base):
            found = _operand(base, around)
        case Pipe():
            found = _pipe(node, around)
        case Name() | Variable() | Literal() | Nil():
            pass
        case _:
            assert_never(node)
    return found


def _part(whole: Depends, path: tuple[str, ...]) -> Depends:
    """Return what a field depends on: some fields of an element stay."""
    return Depends.LABELS if path and path[0] in _STEADY_FIELDS else whole
