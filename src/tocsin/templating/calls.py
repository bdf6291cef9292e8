"""Functions as a template calls them: arguments counted and typed before Python runs.

A function is an ordinary callable. The annotations of its parameters say what a template may
pass: `str`, `int`, `float`, `bool`, `datetime`, `timedelta`, `list`/`Sequence`, `Mapping`; any
other annotation, or none, takes everything. A first parameter annotated `Run` is filled in with
the running template.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import CodeType, MethodType
from typing import Any, Protocol

from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.templating.budget import Meter
from tocsin.templating.errors import Overrun, TemplateError
from tocsin.templating.nodes import Literal
from tocsin.templating.values import Kind, Safe, kind, type_name


class Run(Protocol):
    """The template that is being rendered, as far as a function may touch it."""

    @property
    def meter(self) -> Meter:
        """Return the meter that a function which makes much out of little must feed."""
        ...

    @property
    def root(self) -> object:
        """Return the value the rendering began with."""
        ...

    @property
    def html(self) -> bool:
        """Tell whether the output is escaped as HTML."""
        ...

    def expand(self, name: str, data: object) -> str:
        """Return what the template `name` makes of `data`. Raises InvalidInput."""
        ...


_KINDS: Mapping[Any, tuple[Kind, str]] = {
    str: (Kind.STRING, "string"),
    bool: (Kind.BOOL, "bool"),
    int: (Kind.INT, "int"),
    float: (Kind.FLOAT, "float64"),
    datetime: (Kind.TIME, "time.Time"),
    timedelta: (Kind.DURATION, "time.Duration"),
    list: (Kind.SLICE, "a list"),
    Sequence: (Kind.SLICE, "a list"),
    dict: (Kind.MAP, "a map"),
    Mapping: (Kind.MAP, "a map"),
}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a callable takes; a Kind of None takes everything."""

    wants: tuple[tuple[Kind, str] | None, ...]
    rest: tuple[Kind, str] | None
    variadic: bool
    required: int
    takes_run: bool

    def check_count(self, name: str, given: int) -> None:
        """Raise InvalidInput unless `given` arguments fit."""
        if self.required <= given and (self.variadic or given <= len(self.wants)):
            return
        least = f"at least {self.required}" if self.variadic else str(len(self.wants))
        raise InvalidInput(f"wrong number of args for {name}: want {least} got {given}")

    def want(self, index: int) -> tuple[Kind, str] | None:
        """Return what the argument at `index` must be."""
        return self.wants[index] if index < len(self.wants) else self.rest


# Keyed by code, never by the callable: a closure or a bound method would keep its data alive.
_KNOWN: dict[tuple[CodeType, bool], Signature] = {}


def signature(call: Callable[..., Any]) -> Signature:
    """Return what `call` takes; read from its annotations once for each piece of code."""
    code = getattr(call, "__code__", None)
    if code is None:
        return _read(call)
    key = (code, isinstance(call, MethodType))
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = _read(call)
    return found


def _read(call: Callable[..., Any]) -> Signature:
    parameters = list(inspect.signature(call).parameters.values())
    hints = _hints(call)
    takes_run = bool(parameters) and hints.get(parameters[0].name) is Run
    parameters = parameters[1:] if takes_run else parameters
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    return Signature(
        wants=tuple(_want(hints.get(p.name)) for p in plain),
        rest=_want(hints.get(rest.name)) if rest else None,
        variadic=rest is not None,
        required=sum(p.default is p.empty for p in plain),
        takes_run=takes_run,
    )


def _hints(call: Callable[..., Any]) -> Mapping[str, Any]:
    target = call.func if isinstance(call, functools.partial) else call
    if not inspect.isroutine(target):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target)
    except TypeError:
        return {}


def _want(hint: Any) -> tuple[Kind, str] | None:
    return _KINDS.get(typing.get_origin(hint) or hint)


def call(
    function: Callable[..., Any],
    name: str,
    args: Sequence[object],
    run: Run,
    *,
    receiver: Sequence[object] = (),
) -> object:
    """Return what `function` makes of `args`, counted. Raises InvalidInput.

    `receiver` holds the value a method belongs to; it is passed first and not checked.
    """
    takes = signature(function)
    skip = len(receiver)
    takes.check_count(name, len(args) + skip)
    ready = [*receiver, *(_fit(arg, takes.want(i + skip)) for i, arg in enumerate(args))]
    try:
        result = function(run, *ready) if takes.takes_run else function(*ready)
    except (Overrun, TemplateError):
        raise
    except TocsinError as error:
        raise InvalidInput(f"error calling {name}: {error}") from error
    run.meter.made(_size(result))
    return result


def constant(literal: Literal, want: tuple[Kind, str] | None) -> object:
    """Return the value of a constant as the parameter needs it: Go's constants are untyped."""
    if want and want[0] is Kind.FLOAT and literal.as_float is not None:
        return literal.as_float
    if want and want[0] is Kind.INT and literal.as_int is not None:
        return literal.as_int
    return literal.value


def _fit(arg: object, want: tuple[Kind, str] | None) -> object:
    if isinstance(arg, Literal):
        arg = constant(arg, want)
    if want is None:
        return arg
    if kind(arg) is want[0] and not (want[0] is Kind.STRING and isinstance(arg, Safe)):
        return arg
    if arg is None:
        raise InvalidInput(f"invalid value; expected {want[1]}")
    raise InvalidInput(f"wrong type for value; expected {want[1]}; got {type_name(arg)}")


def _size(result: object) -> int:
    if isinstance(result, str):
        return len(result)
    return 8 * len(result) if isinstance(result, (list, tuple, dict)) else 0
