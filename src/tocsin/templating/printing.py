"""Prints values as Go's fmt package does: `%v`, print, println and printf.

Source: Go's fmt package documentation. Every character counts against the meter before it is
kept, and nesting is bounded, so that a shared list of lists cannot explode.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tocsin.templating.budget import Meter
from tocsin.templating.gotime import Named, duration_text, time_text
from tocsin.templating.values import Fields, Kind, Struct, keys, kind, type_name

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?P<point>\.(?P<precision>\*|\d+)?)?"
    r"(?:\[(?P<index>\d{1,6})\])?(?P<verb>.)?",
    re.DOTALL,
)
_WIDEST = 1_000_000  # Go calls wider ones bad, too


@dataclass(frozen=True, slots=True)
class _Spec:
    """One verb with its flags; `precision` is None when it is not given."""

    verb: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    @property
    def plus(self) -> bool:
        return "+" in self.flags

    @property
    def sharp(self) -> bool:
        return "#" in self.flags


_PLAIN = _Spec("v")


def shown(value: object, meter: Meter) -> str:
    """Return what an action prints for `value`; nil prints `<no value>`."""
    if type(value) is str:
        return value
    return "<no value>" if value is None else text(value, meter)


def text(value: object, meter: Meter) -> str:
    """Return `value` as `%v` prints it."""
    return _value(value, _PLAIN, meter)


def sprint(values: Sequence[object], meter: Meter) -> str:
    """Return the values as `print` does: a space between two that are not strings."""
    out: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.append(" ")
        out.append(text(value, meter))
    return "".join(out)


def sprintln(values: Sequence[object], meter: Meter) -> str:
    """Return the values as `println` does: spaces between all, a newline at the end."""
    return " ".join(text(value, meter) for value in values) + "\n"


def sprintf(form: str, values: Sequence[object], meter: Meter) -> str:
    """Return `form` with its verbs replaced, as `printf` does; faults show as `%!d(string=x)`."""
    return _Printf(values, meter).run(form)


class _Printf:
    """One call of printf: which argument comes next."""

    __slots__ = ("_meter", "_next", "_reordered", "_values")

    def __init__(self, values: Sequence[object], meter: Meter) -> None:
        self._values = values
        self._meter = meter
        self._next = 0
        self._reordered = False

    def run(self, form: str) -> str:
        out = _VERB.sub(self._verb, form)
        rest = self._values[self._next :]
        if not rest or self._reordered:
            return out
        extra = (
            f"{type_name(v)}={text(v, self._meter)}" if v is not None else "<nil>" for v in rest
        )
        return f"{out}%!(EXTRA {', '.join(extra)})"

    def _verb(self, found: re.Match[str]) -> str:
        flags, notes = found["flags"], ""
        width, note = self._size(found["width"], "%!(BADWIDTH)")
        if width < 0:
            flags, width = flags + "-", -width
        notes += note
        precision, note = self._precision(found)
        notes += note
        verb = found["verb"]
        if verb is None:
            return notes + "%!(NOVERB)"
        if verb == "%":
            return notes + "%"
        if found["index"]:
            self._reordered, self._next = True, int(found["index"]) - 1
        if not 0 <= self._next < len(self._values):
            return f"{notes}%!{verb}({'BADINDEX' if found['index'] else 'MISSING'})"
        value = self._values[self._next]
        self._next += 1
        spec = _Spec(verb, flags, width, precision)
        self._meter.made(width + (precision or 0))
        return notes + _value(value, spec, self._meter)

    def _precision(self, found: re.Match[str]) -> tuple[int | None, str]:
        if not found["point"]:
            return None, ""
        if found["precision"] is None:
            return 0, ""
        size, note = self._size(found["precision"], "%!(BADPREC)")
        return (None, note or "%!(BADPREC)") if size < 0 or note else (size, "")

    def _size(self, given: str | None, bad: str) -> tuple[int, str]:
        if given is None:
            return 0, ""
        if given != "*":
            return (int(given), "") if len(given) < 8 and int(given) <= _WIDEST else (0, bad)
        value = self._values[self._next] if self._next < len(self._values) else None
        self._next += 1
        if type(value) is int and abs(value) <= _WIDEST:
            return value, ""
        return 0, bad


def _value(value: object, spec: _Spec, meter: Meter) -> str:
    """Return one value under one verb, counted."""
    if spec.verb == "T":
        return _string(type_name(value), replace(spec, verb="s"))
    if value is None:
        return _pad("<nil>", spec) if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
    meter.step()
    meter.enter()
    shown = _dispatch(value, spec, meter)
    meter.leave()
    meter.made(len(shown))
    return shown


def _dispatch(value: object, spec: _Spec, meter: Meter) -> str:
    special = _stringer(value) if spec.verb in "vsqxX" and not spec.sharp else None
    if special is not None:
        return _string(special, spec)
    match kind(value):
        case Kind.BOOL | Kind.INT | Kind.FLOAT | Kind.STRING as found:
            return _SCALARS[found](value, spec)
        case Kind.DURATION:
            return _integer(value // timedelta(microseconds=1) * 1000, spec)  # type: ignore[operator]  # kind says timedelta
        case Kind.MAP:
            return _map(value, spec, meter)
        case Kind.SLICE:
            return _slice(value, spec, meter)
    return _struct(value, spec, meter)


def _stringer(value: object) -> str | None:
    """Return what the value's own String method says, None when it has none."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Named):
        return value.name
    own = getattr(type(value), "go_string", None)
    return str(own(value)) if own else None


def _map(value: Any, spec: _Spec, meter: Meter) -> str:
    parts = []
    for key in keys(value):
        shown = _value(key, spec, meter)
        parts.append(f"{shown}:{_value(value[key], spec, meter)}")
    return f"map[{' '.join(parts)}]"


def _slice(value: Any, spec: _Spec, meter: Meter) -> str:
    return f"[{' '.join(_value(item, spec, meter) for item in value)}]"


def _struct(value: object, spec: _Spec, meter: Meter) -> str:
    fields: Mapping[str, object] = value.fields if isinstance(value, Struct) else {}
    if not fields:
        return "{}" if isinstance(value, Fields) else f"%!{spec.verb}(unprintable)"
    named = spec.plus and spec.verb == "v"
    names = [f"{name}:" if named else "" for name in fields]
    parts = [_value(item, spec, meter) for item in fields.values()]
    return "{" + " ".join(map(operator.add, names, parts)) + "}"


# ---- scalars


def _bad(value: object, spec: _Spec) -> str:
    plain = _SCALARS[kind(value)](value, replace(spec, verb="v"))
    return f"%!{spec.verb}({type_name(value)}={plain})"


def _boolean(value: Any, spec: _Spec) -> str:
    return _pad("true" if value else "false", spec) if spec.verb in "vt" else _bad(value, spec)


def _integer(value: Any, spec: _Spec) -> str:
    value = int(value)
    base = _BASES.get(spec.verb)
    if base:
        form, prefix = base
        return _digits(value, form, prefix if spec.sharp or spec.verb == "O" else "", spec)
    char = _rune(value)
    match spec.verb:
        case "c":
            return _pad(char, spec)
        case "q":
            return _pad(_quote_rune(char, ascii_only=spec.plus), spec)
        case "U":
            return _pad(f"U+{value:04X}" + (f" '{char}'" if spec.sharp else ""), spec)
    return _bad(value, spec)


# verb -> Python's form and the prefix under the sharp flag
_BASES: Mapping[str, tuple[str, str]] = {
    "v": ("d", ""), "d": ("d", ""), "b": ("b", "0b"), "o": ("o", "0"), "O": ("o", "0o"),
    "x": ("x", "0x"), "X": ("X", "0X"),
}  # fmt: skip


def _digits(value: int, base: str, prefix: str, spec: _Spec) -> str:
    body = format(abs(value), base)
    if spec.precision is not None:
        if value == 0 == spec.precision:
            return " " * spec.width
        body = body.rjust(spec.precision, "0")
    sign = _sign(value < 0, spec)
    if "0" in spec.flags and "-" not in spec.flags and spec.precision is None:
        body = body.rjust(spec.width - len(sign) - len(prefix), "0")
    return _pad(sign + prefix + body, _without_zero(spec))


def _sign(negative: bool, spec: _Spec) -> str:  # noqa: FBT001
    if negative:
        return "-"
    if spec.plus and spec.verb != "v":
        return "+"
    return " " if " " in spec.flags else ""


def _rune(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"


def _floating(value: Any, spec: _Spec) -> str:
    forms: Mapping[str, Callable[[float, int | None], str]] = {
        "v": shortest, "g": shortest, "G": shortest, "e": _exponent, "E": _exponent,
        "f": _fixed, "F": _fixed,
    }  # fmt: skip
    form = forms.get(spec.verb)
    if form is None:
        return _bad(value, spec)
    negative = math.copysign(1.0, value) < 0 and not math.isnan(value)
    sign = _sign(negative, spec)
    if not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Inf"
        return _pad((sign or ("+" if name == "Inf" else "")) + name, _without_zero(spec))
    body = form(abs(value), spec.precision)
    body = body.upper() if spec.verb in "GE" else body
    if "0" in spec.flags and "-" not in spec.flags:
        body = body.rjust(spec.width - len(sign), "0")
    return _pad(sign + body, spec)


def _without_zero(spec: _Spec) -> _Spec:
    return _Spec(spec.verb, spec.flags.replace("0", ""), spec.width, spec.precision)


def shortest(value: float, precision: int | None = None) -> str:
    """Return a finite `value` as `%g` prints it; without a precision, the shortest exact form.

    >>> shortest(1e6), shortest(0.25)
    ('1e+06', '0.25')
    """
    if precision is not None:
        return f"{value:.{precision or 1}g}"
    digits, exponent = _decimal(value)
    if not -4 <= exponent < 6:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{'-' if value < 0 else ''}{mantissa}e{exponent:+03d}"
    plain = format(value, "f") if value == 0 else _positional(digits, exponent)
    return ("-" if value < 0 else "") + (plain if value else "0")


def _decimal(value: float) -> tuple[str, int]:
    """Return the shortest digits and the decimal exponent of the first one."""
    mantissa, _, power = f"{abs(value)!r}".partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    digits = (whole + part).lstrip("0")
    lead = len(whole) - 1 if whole != "0" else -1 - (len(part) - len(part.lstrip("0")))
    return digits.rstrip("0") or "0", (lead + int(power or 0)) if digits else 0


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits.ljust(exponent + 1, "0")
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def _exponent(value: float, precision: int | None) -> str:
    return f"{value:.{6 if precision is None else precision}e}"


def _fixed(value: float, precision: int | None) -> str:
    return f"{value:.{6 if precision is None else precision}f}"


# ---- strings


def _string(value: Any, spec: _Spec) -> str:
    match spec.verb:
        case "v" if spec.sharp:
            return _pad(quote(value), spec)
        case "v" | "s":
            return _pad(_cut(value, spec), spec)
        case "q":
            return _pad(_quoted(_cut(value, spec), spec), spec)
        case "x" | "X":
            return _pad(_hexed(value, spec), spec)
    return _bad(value, spec)


def _cut(value: str, spec: _Spec) -> str:
    return value if spec.precision is None else value[: spec.precision]


def _quoted(value: str, spec: _Spec) -> str:
    if spec.sharp and "`" not in value and not any(ord(c) < 32 and c != "\t" for c in value):
        return f"`{value}`"
    return quote(value, ascii_only=spec.plus)


def _hexed(value: str, spec: _Spec) -> str:
    raw = value.encode("utf-8", "replace")
    raw = raw if spec.precision is None else raw[: spec.precision]
    body = raw.hex(" ") if " " in spec.flags else raw.hex()
    if spec.sharp and raw:
        body = " ".join("0x" + p for p in body.split(" ")) if " " in spec.flags else "0x" + body
    return body.upper() if spec.verb == "X" else body


_QUOTED = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}


def quote(value: str, *, ascii_only: bool = False) -> str:
    """Return `value` as a Go string literal."""
    return '"' + "".join(_quoted_char(c, '"', ascii_only=ascii_only) for c in value) + '"'


def _quote_rune(char: str, *, ascii_only: bool) -> str:
    return "'" + _quoted_char(char, "'", ascii_only=ascii_only) + "'"


def _quoted_char(char: str, mark: str, *, ascii_only: bool) -> str:
    code = ord(char)
    if char == mark:
        return "\\" + char
    if code in _QUOTED:
        return _QUOTED[code]
    if char.isprintable() and (code < 127 or not ascii_only):
        return char
    if code < 128:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _pad(body: str, spec: _Spec) -> str:
    if len(body) >= spec.width:
        return body
    if "-" in spec.flags:
        return body.ljust(spec.width)
    zero = "0" in spec.flags and spec.verb in "svqxXt"
    return body.rjust(spec.width, "0" if zero else " ")


_SCALARS: Mapping[Kind, Callable[[Any, _Spec], str]] = {
    Kind.BOOL: _boolean,
    Kind.INT: _integer,
    Kind.FLOAT: _floating,
    Kind.STRING: _string,
}
