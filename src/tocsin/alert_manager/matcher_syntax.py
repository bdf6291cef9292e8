"""Matchers as Alertmanager writes them: `team="db"`, `{severity=~"crit.*",foo!=bar}`.

Two grammars. The classic one takes label names `[a-zA-Z_:][a-zA-Z0-9_:]*` and almost any
unquoted value; the UTF-8 one (Alertmanager 0.27) takes any name and wants special characters
quoted. The default tries UTF-8 first and falls back to classic; where both accept an input and
disagree, classic wins. Source: Alertmanager packages `pkg/labels` and `matcher/parse`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matcher, Matchers, MatchOp, matcher


class MatcherMode(StrEnum):
    """Which grammar is in force; the values are Alertmanager's feature flags, "" the default."""

    FALLBACK = ""
    CLASSIC = "classic-mode"
    UTF8_STRICT = "utf8-strict-mode"


_CLASSIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_CLASSIC = re.compile(
    r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL | re.ASCII
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_RESERVED = set("{}!=~,\\\"'`")
_OP_ORDER = {op: rank for rank, op in enumerate(MatchOp)}
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}
_GO_ESCAPES = {
    **{"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"},
    **{"\\": "\\", '"': '"'},
}
_GO_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)


def valid_name(name: str, mode: MatcherMode) -> bool:
    """Tell whether `name` is a label name in this mode."""
    if mode is MatcherMode.CLASSIC:
        return _CLASSIC_NAME.fullmatch(name) is not None
    return bool(name) and (name.isascii() or not _LONE_SURROGATE.search(name))


def parse_matcher(text: str, mode: MatcherMode) -> Matcher:
    """Return the one matcher in `text`. Raises InvalidInput (`bad matcher format: …`)."""
    if mode is MatcherMode.CLASSIC:
        return _classic_matcher(text)
    if text.startswith("{") or text.endswith("}"):
        raise InvalidInput(f"unexpected open or close brace: {text}")
    if mode is MatcherMode.UTF8_STRICT:
        return _only(_Utf8Parser(text).matchers())
    return _fallback(text, lambda: _only(_Utf8Parser(text).matchers()), _classic_matcher)


def parse_matchers(text: str, mode: MatcherMode) -> Matchers:
    """Return the matchers of a list, braces optional. Raises InvalidInput."""
    if mode is MatcherMode.CLASSIC:
        return _classic_matchers(text)
    if mode is MatcherMode.UTF8_STRICT:
        return _Utf8Parser(text).matchers()
    return _fallback(text, _Utf8Parser(text).matchers, _classic_matchers)


def ordered(matchers: Iterable[Matcher]) -> Matchers:
    """Return matchers in the order Alertmanager prints them: name, value, operator."""
    return tuple(sorted(matchers, key=lambda m: (m.name, m.value, _OP_ORDER[m.op])))


def format_matchers(matchers: Iterable[Matcher]) -> str:
    """Return the list as Alertmanager prints it: `{a="b",c=~"d"}`."""
    return "{" + ",".join(_format(m) for m in matchers) + "}"


def _format(m: Matcher) -> str:
    name = _quoted(m.name) if any(_reserved(c) for c in m.name) else m.name
    return f"{name}{m.op}{_quoted(m.value)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'


def _reserved(char: str) -> bool:
    return char in _RESERVED or char.isspace()


T = TypeVar("T", Matcher, Matchers)


def _fallback(text: str, utf8: Callable[[], T], classic: Callable[[str], T]) -> T:
    """Return the classic reading when there is one, else the UTF-8 one.

    That is Alertmanager's rule: classic is the fallback where UTF-8 fails, and also wins where
    both succeed and differ. When both fail the classic error is told.
    """
    try:
        return classic(text)
    except InvalidInput as refused:
        try:
            return utf8()
        except InvalidInput:
            raise refused from None


def _only(found: Matchers) -> Matcher:
    if not found:
        raise InvalidInput("no matchers")
    if len(found) > 1:
        raise InvalidInput(f"expected 1 matcher, found {len(found)}")
    return found[0]


def _classic_matcher(text: str) -> Matcher:
    found = _CLASSIC.fullmatch(text)
    if found is None:
        raise InvalidInput(f"bad matcher format: {text}")
    name, op, raw = found.groups()
    return matcher(name, op, _classic_value(raw))


def _classic_value(raw: str) -> str:
    """Undo OpenMetrics escaping; a lone backslash stands for itself."""
    body = raw.removeprefix('"')
    out: list[str] = []
    open_quote, escaped = raw.startswith('"'), False
    for at, char in enumerate(body):
        last = at == len(body) - 1
        if escaped:
            escaped = False
            out.append(_ESCAPES.get(char, "\\" + char))
        elif char == "\\" and not last:
            escaped = True
        elif char == '"':
            if not (open_quote and last):
                raise InvalidInput(f"matcher value contains unescaped double quote: {raw}")
            open_quote = False
        else:
            out.append(char)
    if open_quote:
        raise InvalidInput(f"matcher value contains unescaped double quote: {raw}")
    return "".join(out)


def _classic_matchers(text: str) -> Matchers:
    return tuple(_classic_matcher(part) for part in _classic_parts(text))


def _classic_parts(text: str) -> list[str]:
    """Split at the commas that stand outside quotes; a trailing comma is forgiven."""
    parts: list[str] = []
    token, quoted, escaped = "", False, False
    for char in text.removeprefix("{").removesuffix("}"):
        if char == "," and not quoted:
            parts.append(token)
            token = ""
            continue
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        token += char
    return [*parts, token.strip()] if token.strip() else parts


class _Utf8Parser:
    """Reads matchers of the UTF-8 grammar left to right; positions count characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)

    def matchers(self) -> Matchers:
        """Return every matcher of the text. Raises InvalidInput with the place of the fault."""
        tokens = self._tokens
        braced = bool(tokens) and tokens[0].kind == "{"
        inner = self._inside(tokens) if braced else tokens
        found: list[Matcher] = []
        while inner:
            found.append(self._matcher(inner[:3]))
            inner = self._after_comma(inner[3:])
        return tuple(found)

    def _inside(self, tokens: list[_Token]) -> list[_Token]:
        if tokens[-1].kind != "}" or len(tokens) == 1:
            raise InvalidInput(f"0:{len(self._text)}: end of input: expected close brace")
        return tokens[1:-1]

    def _matcher(self, tokens: list[_Token]) -> Matcher:
        wanted = (
            (_WORDS, "expected label name"),
            (_OPS, "expected an operator such as '=', '!=', '=~' or '!~'"),
            (_WORDS, "expected label value"),
        )
        for at, (kinds, message) in enumerate(wanted):
            if at >= len(tokens):
                raise InvalidInput(f"end of input: {message}")
            if tokens[at].kind not in kinds:
                raise InvalidInput(f"{tokens[at].place()}: {message}")
        name, op, value = tokens
        return matcher(name.plain(), op.text, value.plain())

    def _after_comma(self, tokens: list[_Token]) -> list[_Token]:
        if tokens and tokens[0].kind != ",":
            raise InvalidInput(f"{tokens[0].place()}: expected a comma or close brace")
        return tokens[1:]


_OPS = ("operator",)
_WORDS = ("quoted", "unquoted")


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the input: braces and commas are their own kind."""

    kind: str
    text: str
    start: int

    def place(self) -> str:
        """Return `start:end: unexpected text`, as Alertmanager's parser says it."""
        return f"{self.start}:{self.start + len(self.text)}: unexpected {self.text}"

    def plain(self) -> str:
        """Return the text without quotes and escapes. Raises InvalidInput on a bad escape."""
        return self.text if self.kind == "unquoted" else _unquote(self)


_LEXEME = re.compile(
    r"""(?P<space>\s+)|(?P<punct>[{},])|(?P<operator>=~|!=|!~|=)"""
    r"""|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<unquoted>[^\s{}!=~,\\"'`]+)""",
    re.DOTALL,
)


def _tokens(text: str) -> list[_Token]:
    out: list[_Token] = []
    at = 0
    while at < len(text):
        found = _LEXEME.match(text, at)
        if found is None:
            raise InvalidInput(_no_lexeme(text, at))
        kind = str(found.lastgroup)
        if kind != "space":
            piece = found.group()
            out.append(_Token(piece if kind == "punct" else kind, piece, at))
        at = found.end()
    return out


def _no_lexeme(text: str, at: int) -> str:
    if text[at] == '"':
        return f'{at}:{len(text)}: {text[at:]}: missing end "'
    return f"{at}:{at + 1}: {text[at]}: invalid input"


def _unquote(token: _Token) -> str:
    """Undo Go's string escapes; `\\xNN` are bytes of UTF-8."""
    out = bytearray()
    at, body = 0, token.text[1:-1]
    while at < len(body):
        if body[at] == "\n":
            raise InvalidInput(f"{token.place()}: invalid input")
        if body[at] != "\\":
            out += body[at].encode("utf-8", "surrogatepass")
            at += 1
            continue
        found = _GO_ESCAPE.match(body, at)
        piece = _escape(found) if found else None
        if found is None or piece is None:
            raise InvalidInput(f"{token.place()}: invalid input")
        out += piece
        at = found.end()
    return _utf8(bytes(out), token)


def _escape(found: re.Match[str]) -> bytes | None:
    byte, short, long, octal, single = found.groups()
    if byte or octal:
        code = int(byte, 16) if byte else int(octal, 8)
        return bytes([code]) if code < 256 else None
    if short or long:
        code = int(short or long, 16)
        good = code < 0x110000 and not 0xD800 <= code < 0xE000
        return chr(code).encode() if good else None
    plain = _GO_ESCAPES.get(single)
    return None if plain is None else plain.encode()


def _utf8(raw: bytes, token: _Token) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{token.place()}: invalid input") from error
