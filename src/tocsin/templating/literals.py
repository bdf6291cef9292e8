"""Go's literals as text/template reads them: quoted strings, characters, numbers.

Source: The Go Programming Language Specification, "String literals", "Integer literals",
"Floating-point literals".
"""

from __future__ import annotations

import re

from tocsin.model.errors import InvalidInput
from tocsin.templating.nodes import Literal

_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\'"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))""",
    re.DOTALL,
)
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_INT = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|\d(?:_?\d)*)"
)
_FLOAT = re.compile(
    r"[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?"
)
_HEX_FLOAT = re.compile(
    r"[+-]?0[xX](?:(?:_?[0-9a-fA-F])+\.?[0-9a-fA-F_]*|\.[0-9a-fA-F_]+)[pP][+-]?\d+"
)
_MAX_RUNE = 0x10FFFF
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


def unquote(token: str) -> str:
    """Return the text of a double-quoted, back-quoted or raw token. Raises InvalidInput."""
    body = token[1:-1]
    if token[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    out = bytearray()
    at = 0
    for found in _ESCAPE.finditer(body):
        out += _utf8(body[at : found.start()]) + _escaped(found, quote=token[0])
        at = found.end()
    return (out + _utf8(body[at:])).decode("utf-8", "replace")


def character(token: str) -> Literal:
    """Return the code point of a character token such as `'a'`. Raises InvalidInput."""
    text = unquote(token)
    if len(text) != 1:
        raise InvalidInput(f"malformed character constant: {token}")
    return Literal(ord(text), as_int=ord(text), as_float=float(ord(text)))


def number(token: str) -> Literal:
    """Return the value of a number token. Raises InvalidInput when it is none."""
    if _INT.fullmatch(token):
        return _integer(token)
    if _HEX_FLOAT.fullmatch(token):
        return _floating(_from_hex(token))
    if _FLOAT.fullmatch(token):
        return _floating(float(token.replace("_", "")))
    raise InvalidInput(f"bad number syntax: {token!r}")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _escaped(found: re.Match[str], *, quote: str) -> bytes:
    simple, hexa, octal, short, long, _ = found.groups()
    if simple and (simple not in "'\"" or simple == quote):
        return bytes([_SIMPLE[simple]])
    if hexa:
        return bytes([int(hexa, 16)])
    if octal and int(octal, 8) < 256:
        return bytes([int(octal, 8)])
    if short or long:
        return _rune(int(short or long, 16), found[0])
    raise InvalidInput(f"invalid escape {found[0]!r} in a quoted string")


def _rune(code: int, text: str) -> bytes:
    if code > _MAX_RUNE or 0xD800 <= code < 0xE000:
        raise InvalidInput(f"invalid escape {text!r} in a quoted string")
    return chr(code).encode()


def _integer(token: str) -> Literal:
    digits = token.replace("_", "")
    plain = digits.lstrip("+-")
    if len(plain) > 80:
        raise InvalidInput(f"integer overflow: {token[:80]}…")
    octal = len(plain) > 1 and plain.isdigit() and plain[0] == "0"
    try:
        value = int(plain, 8 if octal else 0)
    except ValueError as error:
        raise InvalidInput(f"bad number syntax: {token!r}") from error
    value = -value if digits[0] == "-" else value
    if not INT_MIN <= value <= INT_MAX:
        raise InvalidInput(f"integer overflow: {token}")
    return Literal(value, as_int=value, as_float=float(value))


def _from_hex(token: str) -> float:
    try:
        return float.fromhex(token.replace("_", ""))
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"bad number syntax: {token!r}") from error


def _floating(value: float) -> Literal:
    if value in (float("inf"), float("-inf")):
        raise InvalidInput("number out of range")
    exact = int(value) if value.is_integer() and INT_MIN <= value <= INT_MAX else None
    return Literal(value, as_int=exact, as_float=value)
