"""Strings, numbers and durations as PromQL writes them (string escapes as in Go)."""

from __future__ import annotations

import re

from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.promql.errors import ParseError

_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})"
    rb"|U(?P<long>[0-9a-fA-F]{8})|(?P<plain>[abfnrtv\\'\"])|(?P<bad>.))",
    re.DOTALL,
)
_PLAIN = dict(zip(b"abfnrtv\\'\"", b"\a\b\f\n\r\t\v\\'\"", strict=True))
_INVALID_BYTE = 0x10F700  # a private code point for each byte that is no UTF-8, past the library
_LONGEST_MS = 2**63 // 1_000_000  # an int64 of nanoseconds, as in Go


def unquote(literal: str) -> str:
    """Return what a string literal means; bytes that are no UTF-8 become lone surrogates."""
    body = literal[1:-1]
    if literal[0] == "`" or "\\" not in body:
        return body
    return _ESCAPE.sub(_unescape, body.encode()).decode("utf-8", "surrogateescape")


def _unescape(hit: re.Match[bytes]) -> bytes:
    if hit["plain"]:
        return bytes((_PLAIN[hit["plain"][0]],))
    if hit["octal"] or hit["byte"]:
        code = int(hit["octal"], 8) if hit["octal"] else int(hit["byte"], 16)
        return bytes((code & 0xFF,))
    code = int(hit["short"] or hit["long"] or b"110000", 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ParseError(f"unknown escape sequence {hit[0].decode(errors='replace')!r}")
    return chr(code).encode()


def quote(value: str) -> str:
    """Return a literal the library reads as `value`, lone surrogates as private code points."""
    shown = "".join(
        chr(_INVALID_BYTE + ord(c) - 0xDC00) if "\udc80" <= c <= "\udcff" else c for c in value
    )
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def restore(value: str) -> str:
    """Undo the private code points of `quote`."""
    first = chr(_INVALID_BYTE)
    if not value or max(value) < first:
        return value
    return "".join(chr(ord(c) - _INVALID_BYTE + 0xDC00) if c >= first else c for c in value)


def is_utf8(value: str) -> bool:
    """Tell whether `value` came without a byte that is not UTF-8."""
    return not any("\ud800" <= c <= "\udfff" for c in value)


def printable(value: str) -> str:
    """Return `value` for a message, bytes that are not UTF-8 as `\\xff`."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def number(text: str) -> float:
    """Return the value of a decimal, exponent or hexadecimal literal, `_` between digits."""
    plain = text.replace("_", "")
    if plain[:2] in ("0x", "0X"):
        return float(int(plain, 16))
    return float(plain)


def duration_ms(text: str) -> int:
    """Return the milliseconds of `5m`, or of a number of seconds. Raises ParseError."""
    if text[-1].isalpha() and text[:2] not in ("0x", "0X"):
        try:
            return round(parse_duration(text).total_seconds() * 1000)
        except InvalidInput as error:
            raise ParseError(str(error)) from error
    return seconds_ms(number(text))


def seconds_ms(seconds: float) -> int:
    """Return whole milliseconds, cut towards zero after nanoseconds. Raises ParseError."""
    if not abs(seconds) * 1000 < _LONGEST_MS:
        raise ParseError("duration out of range")
    return int(round(seconds * 1e9) / 1e6)
