"""Strings and numbers as PromQL writes them, and as messages show them (both as in Go)."""

from __future__ import annotations

import math
import re

from tocsin.promql.errors import ParseError

_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})"
    rb"|U(?P<long>[0-9a-fA-F]{8})|(?P<plain>[abfnrtv\\'\"])|(?P<bad>.))",
    re.DOTALL,
)
_PLAIN = dict(zip(b"abfnrtv\\'\"", b"\a\b\f\n\r\t\v\\'\"", strict=True))
_OCTAL, _HEX = frozenset("01234567"), frozenset("0123456789abcdefABCDEF")
_SHOWN = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"} | {
    "\v": "\\v",
    "\\": "\\\\",
}
_LONGEST_MS = 2**63 // 1_000_000  # an int64 of nanoseconds, as in Go


def unquote(literal: str) -> str:
    """Return what a string literal means; bytes that are no UTF-8 become lone surrogates.

    Raises ParseError for an escape that is none.
    """
    quote, body = literal[0], literal[1:-1]
    if quote == "`" or "\\" not in body:
        return body
    raw = body.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda hit: _unescaped(hit, quote), raw).decode("utf-8", "surrogateescape")


def _unescaped(hit: re.Match[bytes], quote: str) -> bytes:
    if hit["bad"] or (hit["plain"] in (b"'", b'"') and hit["plain"] != quote.encode()):
        rest = hit.string[hit.start() + 1 :].decode("utf-8", "replace")
        raise ParseError(_bad_escape(rest + quote))
    if hit["plain"]:
        return bytes((_PLAIN[hit["plain"][0]],))
    if hit["octal"] or hit["byte"]:
        code = int(hit["octal"], 8) if hit["octal"] else int(hit["byte"], 16)
        if code > 0xFF:
            raise ParseError(_NO_CHARACTER)
        return bytes((code,))
    code = int(hit["short"] or hit["long"], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ParseError(_NO_CHARACTER)
    return chr(code).encode()


_NO_CHARACTER = "escape sequence is an invalid Unicode code point"


def _bad_escape(text: str) -> str:
    """Say what is wrong with the escape that `text` begins with, its backslash taken off."""
    first = text[0]
    if first not in "01234567xuU":
        return f"unknown escape sequence {_unicode(first)}"
    digits, known = (text, _OCTAL) if first.isdigit() else (text[1:], _HEX)
    wrong = next(char for char in digits if char not in known)
    return f"illegal character {_unicode(wrong)} in escape sequence"


def _unicode(char: str) -> str:
    """Return a character as `U+0071 'q'`."""
    return f"U+{ord(char):04X} '{char}'" if char.isprintable() else f"U+{ord(char):04X}"


def go_quoted(text: str) -> str:
    """Return `text` in double quotes with the escapes of Go."""
    return '"' + "".join(_escaped(char, '"') for char in text) + '"'


def go_rune(char: str) -> str:
    """Return a character in single quotes, the replacement character for none."""
    return f"'{_escaped(char or chr(0xFFFD), chr(39))}'"


def _escaped(char: str, quote: str) -> str:
    code = ord(char)
    if char == quote:
        return "\\" + char
    if char in _SHOWN:
        return _SHOWN[char]
    if char.isprintable():
        return char
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_utf8(value: str) -> bool:
    """Tell whether `value` came without a byte that is not UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in value)


def printable(value: str) -> str:
    """Return `value` for a message, bytes that are not UTF-8 as `\\xff`."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def number(text: str) -> float:
    """Return the value of a number as Go reads one, octal with a leading zero, `_` between digits.

    Raises ParseError when it is too large for a float.
    """
    plain = text.replace("_", "")
    if plain[:2] in ("0x", "0X"):
        value = _hexadecimal(plain)
    elif len(plain) > 1 and plain[0] == "0" and set(plain) <= set("01234567"):
        value = float(int(plain, 8))
    else:
        value = float(plain)
    if math.isinf(value) and not text.lower().endswith("inf"):
        reason = f"strconv.ParseFloat: parsing {go_quoted(text)}: value out of range"
        raise ParseError(f"error parsing number: {reason}")
    return value


def _hexadecimal(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf


def seconds_ms(seconds: float) -> int:
    """Return whole milliseconds, cut towards zero after nanoseconds. Raises ParseError."""
    if not abs(seconds) * 1000 < _LONGEST_MS:
        raise ParseError("duration out of range")
    return int(round(seconds * 1e9) / 1e6)
