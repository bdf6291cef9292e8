"""Cuts a template into tokens.

Source: Go's text/template documentation, "Text and spaces" and "Actions". White space inside an
action is a token, because `.A .B` and `.A.B` differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from tocsin.templating.errors import TemplateError

LEFT, RIGHT = "{{", "}}"
_SPACES = " \t\r\n"
KEYWORDS = frozenset(
    (
        "block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template",
        "with",
    )
)  # fmt: skip


class T(Enum):
    """The kinds of token."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    NAME = auto()
    KEYWORD = auto()
    BOOL = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    NUMBER = auto()
    CHAR = auto()
    STRING = auto()
    DECLARE = auto()
    ASSIGN = auto()
    COMMA = auto()
    PIPE = auto()
    OPEN = auto()
    CLOSE = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the template; `line` counts from 1."""

    kind: T
    text: str
    line: int


_INSIDE = re.compile(
    r"""
    (?P<SPACE>[ \t\r\n]+)
    | (?P<STRING>"(?:\\[^\n]|[^"\\\n])*"|`[^`]*`)
    | (?P<CHAR>'(?:\\[^\n]|[^'\\\n])*')
    | (?P<NUMBER>(?:[+-]?\.?[0-9])(?:[eEpP][+-]|[\w.])*|[+-])
    | (?P<FIELD>\.\w+)
    | (?P<DOT>\.)
    | (?P<VARIABLE>\$\w*)
    | (?P<NAME>\w+)
    | (?P<DECLARE>:=)
    | (?P<ASSIGN>=)
    | (?P<COMMA>,)
    | (?P<PIPE>\|)
    | (?P<OPEN>\()
    | (?P<CLOSE>\))
    """,
    re.VERBOSE,
)
_WORDS = (T.FIELD, T.VARIABLE, T.NAME, T.KEYWORD, T.BOOL, T.DOT, T.NUMBER, T.CHAR)
_AFTER_WORD = " \t\r\n.,|:)("


class Lexer:
    """Cuts one text; use `tokens`."""

    def __init__(self, text: str, name: str) -> None:
        """Prepare to cut `text`; `name` is for error messages."""
        self._text = text
        self._name = name
        self._at = 0
        self._line = 1
        self._out: list[Token] = []

    def run(self) -> list[Token]:
        """Return all tokens, the last being END. Raises TemplateError."""
        trim = False
        while True:
            start = self._text.find(LEFT, self._at)
            self._literal(len(self._text) if start < 0 else start, trim_left=trim)
            if start < 0:
                self._emit(T.END, "")
                return self._out
            trim = self._action()

    def _literal(self, end: int, *, trim_left: bool) -> None:
        raw = self._text[self._at : end]
        shown = raw.lstrip(_SPACES) if trim_left else raw
        if end < len(self._text) and _marker_after(self._text, end + len(LEFT)):
            shown = shown.rstrip(_SPACES)
        if shown:
            self._out.append(Token(T.TEXT, shown, self._line))
        self._advance(end)

    def _action(self) -> bool:
        """Cut one action and tell whether the text after it is trimmed."""
        line = self._line
        self._advance(self._at + len(LEFT))
        if _marker_after(self._text, self._at):
            self._advance(self._at + 1)
            if self._text.startswith("/*", self._at + 1):
                self._advance(self._at + 1)
        if self._text.startswith("/*", self._at):
            return self._comment()
        self._out.append(Token(T.LEFT, LEFT, line))
        return self._inside()

    def _comment(self) -> bool:
        end = self._text.find("*/", self._at)
        if end < 0:
            raise self._error("unclosed comment")
        self._advance(end + 2)
        closed = self._close()
        if closed is None:
            raise self._error("comment ends before closing delimiter")
        return closed

    def _inside(self) -> bool:
        depth = 0
        while True:
            closed = self._close()
            if closed is not None:
                if depth:
                    raise self._error("unclosed left paren")
                self._emit(T.RIGHT, RIGHT)
                return closed
            token = self._next()
            depth += (token.kind is T.OPEN) - (token.kind is T.CLOSE)
            if depth < 0:
                raise self._error("unexpected right paren")
            self._out.append(token)

    def _close(self) -> bool | None:
        """Step over a right delimiter, if one stands here, and tell whether it trims."""
        text, at = self._text, self._at
        if text.startswith(RIGHT, at):
            self._advance(at + len(RIGHT))
            return False
        if text[at : at + 1] in tuple(_SPACES) and text.startswith("-" + RIGHT, at + 1):
            self._advance(at + 2 + len(RIGHT))
            return True
        return None

    def _next(self) -> Token:
        found = _INSIDE.match(self._text, self._at)
        if not found or not found.lastgroup:
            raise self._error(self._complaint())
        kind, text, line = T[found.lastgroup], found[0], self._line
        if kind is T.SPACE:
            text = self._keep_for_trim(text)
        self._advance(self._at + len(text))
        if kind is T.NAME:
            kind = _word(text)
        if kind in _WORDS:
            self._check_end(kind, text)
        return Token(kind, text, line)

    def _keep_for_trim(self, spaces: str) -> str:
        """Leave the last space to a trimming right delimiter such as ` -}}`."""
        trims = self._text.startswith("-" + RIGHT, self._at + len(spaces))
        return spaces[:-1] if trims and len(spaces) > 1 else spaces

    def _check_end(self, kind: T, text: str) -> None:
        rest = self._text[self._at : self._at + 2]
        if kind is T.DOT or not rest or rest == RIGHT or rest[0] in _AFTER_WORD:
            return
        what = "bad number syntax" if kind is T.NUMBER else "bad character"
        raise self._error(f"{what}: {text + rest[0]!r}")

    def _complaint(self) -> str:
        here = self._text[self._at : self._at + 1]
        if not here:
            return "unclosed action"
        if here in "\"`'":
            names = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}
            return f"unterminated {names[here]}"
        if here == ":":
            return "expected :="
        return f"unrecognized character in action: {here!r}"

    def _emit(self, kind: T, text: str) -> None:
        self._out.append(Token(kind, text, self._line))

    def _advance(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _error(self, message: str) -> TemplateError:
        return TemplateError(message, template=self._name, line=self._line)


def tokens(text: str, name: str) -> list[Token]:
    """Return the tokens of `text`. Raises TemplateError naming `name` and the line."""
    return Lexer(text, name).run()


def _marker_after(text: str, at: int) -> bool:
    return text[at : at + 1] == "-" and text[at + 1 : at + 2] in tuple(_SPACES)


def _word(text: str) -> T:
    if text in ("true", "false"):
        return T.BOOL
    return T.KEYWORD if text in KEYWORDS else T.NAME
