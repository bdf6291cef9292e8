"""The syntax tree of a template: frozen values with the line where each begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dot:
    """The present value, `.`."""


@dataclass(frozen=True, slots=True)
class Nil:
    """The untyped `nil`."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, bool or number; a number keeps what it can be read as (Go's untyped constants)."""

    value: bool | int | float | str
    as_int: int | None = None
    as_float: float | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """A chain from the present value: `.A.B`."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with an optional chain: `$x.A.B`; `name` holds the dollar sign."""

    name: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain from a parenthesised pipeline or a function: `(index .A 1).B`."""

    base: Operand
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One stage of a pipeline: an operand and its arguments."""

    args: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipeline; `names` are the variables it declares, or sets when `assign` is true."""

    line: int
    commands: tuple[Command, ...]
    names: tuple[str, ...] = ()
    assign: bool = False


Operand = Dot | Nil | Literal | Name | Field | Variable | Chain | Pipe


@dataclass(frozen=True, slots=True)
class Text:
    """Characters copied to the output."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose value is shown, unless it only declares."""

    line: int
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` or `with` and its `else if` or `else with` arms, tried in order.

    Variables of an arm are in scope in all later arms.
    """

    line: int
    rebind: bool  # `with` sets the dot, `if` does not
    arms: tuple[tuple[Pipe, Block], ...]
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Range:
    """A loop over a list, a map or a count."""

    line: int
    pipe: Pipe
    body: Block
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Jump:
    """`break` or `continue`."""

    line: int
    leaves: bool


@dataclass(frozen=True, slots=True)
class Call:
    """`template "name" pipeline`."""

    line: int
    name: str
    pipe: Pipe | None


Statement = Text | Action | Branch | Range | Jump | Call
Block = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A named body; `file` is where it was written."""

    name: str
    file: str
    body: Block

    @property
    def is_blank(self) -> bool:
        """Tell whether the body is nothing but white space (Go keeps an older definition then)."""
        return all(isinstance(node, Text) and not node.text.strip() for node in self.body)
