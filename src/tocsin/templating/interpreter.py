"""Walks a syntax tree over a value, paying for every step.

Source: Go's text/template documentation. A failure is a TemplateError that names the file, the
line and the template it happened in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from tocsin.model.errors import InvalidInput
from tocsin.templating.budget import Meter
from tocsin.templating.calls import call
from tocsin.templating.errors import BudgetExceeded, Overrun, TemplateError
from tocsin.templating.nodes import (
    Action,
    Block,
    Branch,
    Call,
    Chain,
    Command,
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
    Template,
    Text,
    Variable,
)
from tocsin.templating.printing import shown
from tocsin.templating.values import Kind, Method, field, keys, kind, truth, type_name

_NOTHING: Any = object()  # no piped value
_LAZY = ("and", "or")


class _Given(NamedTuple):
    """The arguments of a call, not yet evaluated; `piped` is the value of the stage before."""

    nodes: tuple[Operand, ...]
    dot: object
    piped: object


class Writer(Protocol):
    """Where the output goes."""

    def literal(self, text: str) -> None:
        """Write text of the template itself."""
        ...

    def value(self, value: object) -> None:
        """Write a value of an action."""
        ...

    def result(self) -> str:
        """Return everything written."""
        ...


class PlainWriter:
    """Output as it comes."""

    __slots__ = ("_meter", "_out")

    def __init__(self, meter: Meter) -> None:
        """Start empty; `meter` counts what is written."""
        self._meter = meter
        self._out: list[str] = []

    def literal(self, text: str) -> None:
        """Write text of the template itself."""
        self._meter.shown(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))
        self._out.append(text)

    def value(self, value: object) -> None:
        """Write a value as Go prints it."""
        self.literal(shown(value, self._meter))

    def result(self) -> str:
        """Return everything written."""
        return "".join(self._out)


class Interpreter:
    """One rendering: the templates at hand, the meter, the writer and the variables."""

    def __init__(
        self,
        templates: Mapping[str, Template],
        functions: Mapping[str, Callable[..., Any]],
        meter: Meter,
        writer: Callable[[Meter], Writer],
        *,
        root: object,
        html: bool,
    ) -> None:
        """Prepare to render `root` with the given templates and functions."""
        self.meter = meter
        self.root = root
        self.html = html
        self._templates = templates
        self._functions = functions
        self._make_writer = writer
        self._out = writer(meter)
        self._names: list[tuple[str, object]] = []
        self._template = Template("", "", ())

    def expand(self, name: str, data: object) -> str:
        """Return what the template `name` makes of `data`. Raises InvalidInput."""
        outer, self._out = self._out, self._make_writer(self.meter)
        try:
            self._invoke(name, data)
            return self._out.result()
        finally:
            self._out = outer

    # ---- statements

    def _invoke(self, name: str, data: object) -> None:
        template = self._templates.get(name)
        if template is None:
            raise InvalidInput(f"template {name!r} not defined")
        outer = self._names, self._template
        self._names, self._template = [("$", data)], template
        self.meter.enter()
        self._block(template.body, data)
        self.meter.leave()
        self._names, self._template = outer

    def _block(self, block: Block, dot: object) -> Jump | None:
        """Run the statements; return the jump that ended them early, if any."""
        for node in block:
            if type(node) is Text:
                self._text(node.text)
                continue
            jump = self._placed(node, dot)
            if jump is not None:
                return jump
        return None

    def _text(self, text: str) -> None:
        self.meter.step()
        self._out.literal(text)

    def _placed(self, node: Any, dot: object) -> Jump | None:
        """Run one statement; a failure in it gets the place where it happened."""
        try:
            self.meter.step()
            return self._statement(node, dot)
        except TemplateError:
            raise
        except Overrun as error:
            raise BudgetExceeded(
                str(error), template=self._template.file, line=node.line
            ) from error
        except InvalidInput as error:
            raise TemplateError(
                self._explained(str(error)), template=self._template.file, line=node.line
            ) from error

    def _explained(self, message: str) -> str:
        name = self._template.name
        return f"executing {name!r}: {message}" if name != self._template.file else message

    def _statement(self, node: Statement, dot: object) -> Jump | None:
        match node:
            case Action():
                value = self._pipe(node.pipe, dot)
                if not node.pipe.names:
                    self._out.value(value)
            case Branch():
                return self._branch(node, dot)
            case Range():
                return self._range(node, dot)
            case Jump():
                return node
            case Call():
                data = None if node.pipe is None else self._pipe(node.pipe, dot)
                self._invoke(node.name, data)
            case Text():
                self._text(node.text)
        return None

    def _branch(self, node: Branch, dot: object) -> Jump | None:
        mark = len(self._names)
        self.meter.enter()
        body, inner = node.otherwise, dot
        for pipe, arm in node.arms:
            value = self._pipe(pipe, dot)
            if truth(value):
                body, inner = arm, value if node.rebind else dot
                break
        jump = self._block(body, inner)
        self.meter.leave()
        del self._names[mark:]
        return jump

    def _range(self, node: Range, dot: object) -> Jump | None:
        mark = len(self._names)
        self.meter.enter()
        names = node.pipe.names
        items = _items(self._value_of(node.pipe, dot), pairs=len(names) > 1)
        if not node.pipe.assign:
            self._names += [(name, None) for name in names]
        empty, jump = True, None
        for key, item in items:
            empty = False
            self._bind(names, key, item)
            jump = self._turn(node.body, item)
            if jump is not None and jump.leaves:
                break
        jump = self._block(node.otherwise, dot) if empty else None
        self.meter.leave()
        del self._names[mark:]
        return jump

    def _turn(self, body: Block, item: object) -> Jump | None:
        mark = len(self._names)
        self.meter.step()
        jump = self._block(body, item)
        del self._names[mark:]
        return jump

    def _bind(self, names: tuple[str, ...], key: object, item: object) -> None:
        if len(names) == 1:
            self._set(names[0], item)
        elif names:
            self._set(names[0], key)
            self._set(names[1], item)

    # ---- pipelines

    def _pipe(self, pipe: Pipe, dot: object) -> object:
        value = self._value_of(pipe, dot)
        for name in pipe.names:
            if pipe.assign:
                self._set(name, value)
            else:
                self._names.append((name, value))
        return value

    def _value_of(self, pipe: Pipe, dot: object) -> object:
        value = _NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        return value

    def _command(self, command: Command, dot: object, piped: object) -> object:
        self.meter.step()
        head = command.args[0]
        given = _Given(command.args[1:], dot, piped)
        match head:
            case Name():
                return self._function(head.name, given)
            case Field():
                return self._chain(dot, head.path, given)
            case Variable() if head.path:
                return self._chain(self._get(head.name), head.path, given)
            case Chain():
                return self._chain(self._operand(head.base, dot), head.path, given)
            case Nil():
                raise InvalidInput("nil is not a command")
        if given.nodes or piped is not _NOTHING:
            raise InvalidInput("can't give argument to a value that is no function")
        return self._operand(head, dot)

    def _operand(self, node: Operand, dot: object) -> object:
        """Return the value of an operand that stands alone."""
        alone = _Given((), dot, _NOTHING)
        value: object = None
        match node:
            case Dot():
                value = dot
            case Literal():
                value = node.value
            case Variable():
                value = self._chain(self._get(node.name), node.path, alone)
            case Field():
                value = self._chain(dot, node.path, alone)
            case Chain():
                value = self._chain(self._operand(node.base, dot), node.path, alone)
            case Name():
                value = self._function(node.name, alone)
            case Pipe():
                value = self._nested(node, dot)
        return value

    def _nested(self, pipe: Pipe, dot: object) -> object:
        self.meter.enter()
        value = self._pipe(pipe, dot)
        self.meter.leave()
        return value

    def _chain(self, value: object, path: tuple[str, ...], given: _Given) -> object:
        """Follow `path` from `value`; arguments go to the method at its end."""
        for index, name in enumerate(path):
            self.meter.step()
            if value is None and index == 0:
                return None
            found = field(value, name)
            last = index == len(path) - 1
            value = self._called(found, name, self._arguments(given) if last else [])
        return value

    def _called(self, found: object, name: str, args: list[object]) -> object:
        if isinstance(found, Method):
            return call(found.call, name, args, self, receiver=(found.receiver,))
        if callable(found):
            return call(found, name, args, self)
        if args:
            raise InvalidInput(f"{name} has arguments but cannot be invoked as function")
        return found

    def _function(self, name: str, given: _Given) -> object:
        if name in _LAZY:
            return self._lazy(name, given)
        return call(self._functions[name], name, self._arguments(given), self)

    def _arguments(self, given: _Given) -> list[object]:
        args: list[object] = [
            node if type(node) is Literal else self._operand(node, given.dot)
            for node in given.nodes
        ]
        if given.piped is not _NOTHING:
            args.append(given.piped)
        return args

    def _lazy(self, name: str, given: _Given) -> object:
        """Evaluate `and` and `or` up to the argument that decides."""
        value = _NOTHING
        for found in self._one_by_one(given):
            value = found
            if truth(value) is (name == "or"):
                return value
        if value is _NOTHING:
            raise InvalidInput(f"wrong number of args for {name}: want at least 1 got 0")
        return value

    def _one_by_one(self, given: _Given) -> Iterator[object]:
        for node in given.nodes:
            yield self._operand(node, given.dot)
        if given.piped is not _NOTHING:
            yield given.piped

    # ---- variables

    def _get(self, name: str) -> object:
        return next(value for known, value in reversed(self._names) if known == name)

    def _set(self, name: str, value: object) -> None:
        names = self._names
        at = next(at for at in range(len(names) - 1, -1, -1) if names[at][0] == name)
        names[at] = (name, value)


def _items(value: Any, *, pairs: bool) -> Iterable[tuple[object, object]]:
    """Return the turns of a range over `value` as (key, item)."""
    match kind(value):
        case Kind.NIL:
            return ()
        case Kind.SLICE:
            return enumerate(value)
        case Kind.MAP:
            return [(key, value[key]) for key in keys(value)]
        case Kind.INT:
            if pairs:
                raise InvalidInput(f"can't use {value} to iterate over more than one variable")
            return ((turn, turn) for turn in range(value))
    raise InvalidInput(f"range can't iterate over {type_name(value)}")
