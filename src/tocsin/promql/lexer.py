"""Cuts PromQL into words, with the complaints and the places of Prometheus' own lexer.

A word that is none stands last in the list, with the complaint as its text: the parser reports
it only when it gets there, so that an earlier fault of the sentence is named first. Source of
the words and of what is said about them: Prometheus `promql/parser/lex.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tocsin.promql.errors import ParseError
from tocsin.promql.literals import go_quoted, go_rune, unquote

MAX_LENGTH = 1 << 20  # characters; a longer text is refused before anything is read
_SHOWN = 10  # characters of a long literal that a message shows

AGGREGATORS = frozenset(
    (
        *("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "topk", "bottomk"),
        *("count_values", "quantile", "limitk", "limit_ratio"),
    )
)
SET_OPERATORS = frozenset(("and", "or", "unless"))
_WORD_OPERATORS = SET_OPERATORS | {"atan2"}
_KEYWORDS = frozenset(
    (
        *("bool", "by", "without", "on", "ignoring", "group_left", "group_right", "offset"),
        *("fill", "fill_left", "fill_right", "anchored", "smoothed"),
    )
)
_PREPROCESSORS = frozenset(("start", "end", "step", "range", "min_of", "max_of"))
_NAMED_NUMBERS = frozenset(("inf", "nan"))


class Kind(StrEnum):
    """What a word is; the value is how a message calls it."""

    IDENTIFIER = "identifier"
    METRIC = "metric identifier"
    KEYWORD = "keyword"
    PREPROCESSOR = "preprocessor"
    AGGREGATOR = "aggregator"
    OPERATOR = "operator"
    NUMBER = "number"
    DURATION = "duration"
    STRING = "string"
    SIGN = "sign"
    END = "end of input"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Word:
    """One word and where it begins, in characters from 0."""

    kind: Kind
    text: str
    at: int

    @property
    def end(self) -> int:
        """Return where the word has ended."""
        return self.at + len(self.text)

    @property
    def lower(self) -> str:
        """Return the text in lower case: keywords may be written in any."""
        return self.text.lower()

    def described(self) -> str:
        """Return the word as a message of Prometheus names it."""
        match self.kind:
            case Kind.END:
                return str(self.kind)
            case Kind.IDENTIFIER | Kind.METRIC:
                return f"{self.kind} {go_quoted(self.text)}"
            case Kind.KEYWORD:
                return f"<{self.text}>"
            case Kind.OPERATOR:
                return f"<op:{self.text}>"
            case Kind.AGGREGATOR:
                return f"<aggr:{self.text}>"
        long = len(self.text) > _SHOWN
        shown = go_quoted(self.text[:_SHOWN]) + "..." if long else go_quoted(self.text)
        return shown if self.kind in (Kind.SIGN, Kind.PREPROCESSOR) else f"{self.kind} {shown}"


def words(text: str) -> list[Word]:
    """Return the words of `text` without white space and comments; END or FAULT is the last."""
    if len(text) > MAX_LENGTH:
        return [Word(Kind.FAULT, f"expression is longer than {MAX_LENGTH} characters", 0)]
    return _Lexer(text).run()


def position(text: str, at: int) -> tuple[int, int]:
    """Return line and column of character `at`, both from 1; the column counts bytes of UTF-8."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return text.count("\n", 0, at) + 1, len(before.encode(errors="surrogatepass")) + 1


def error_at(text: str, at: int, reason: str) -> ParseError:
    """Return a ParseError that points at character `at` of `text`."""
    line, column = position(text, at)
    return ParseError(reason, line=line, column=column)


_DIGITS = r"[0-9](?:_?[0-9])*"
_HEX = r"[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)+")
_NUMBER = re.compile(
    rf"(?:0[xX]_?{_HEX}(?:\.(?:{_HEX})?)?(?:[pP][+-]?{_DIGITS})?"
    rf"|(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?)(?!\w)",
    re.ASCII,
)
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+(?!\w)", re.ASCII)
_NEITHER = re.compile(r"[0-9.]*(?:[smhdwy]s?(?:[0-9]+[smhdw]s?)*(?:[0-9]+|\w)?)?", re.ASCII)
_STRING = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_OPERATOR = re.compile(r"==|!=|<=|>=|</|>/|[-+*/%^<>@]")
_IN_BRACES = re.compile(r"=~|!~|!=|=|,")


class _Fault(Exception):
    """Ends the reading: what is wrong, and where."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.reason, self.at = reason, at


class _Lexer:
    """Reads one text from left to right; what a character means depends on what is open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[Word] = []
        self._parentheses = 0
        self._in_braces = False
        self._in_brackets = False
        self._colon_seen = False
        self._brackets: dict[str, Callable[[], None]] = {
            "(": self._open_parenthesis,
            ")": self._close_parenthesis,
            "{": self._open_brace,
            "[": self._open_bracket,
            "]": self._close_bracket,
        }

    def run(self) -> list[Word]:
        """Return all words."""
        try:
            while self._skip_space():
                if self._in_braces:
                    self._brace_word(self._text[self._at])
                else:
                    self._word(self._text[self._at])
            self._finish()
        except _Fault as fault:
            self._found.append(Word(Kind.FAULT, fault.reason, fault.at))
        return self._found

    def _skip_space(self) -> bool:
        """Go on to the next word; tell whether there is one."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._at < len(self._text)

    def _finish(self) -> None:
        if self._in_braces:
            raise _Fault("unexpected end of input inside braces", self._at)
        if self._parentheses:
            raise _Fault("unclosed left parenthesis", self._at)
        if self._in_brackets:
            raise _Fault("unclosed left bracket", self._at)
        self._found.append(Word(Kind.END, "", self._at))

    def _add(self, kind: Kind, text: str) -> None:
        self._found.append(Word(kind, text, self._at))
        self._at += len(text)

    def _word(self, char: str) -> None:
        """Read a word outside braces."""
        if char in self._brackets:
            self._brackets[char]()
        elif char in "0123456789" or _NUMBER.match(self._text, self._at):
            self._number()
        elif char in "\"'`":
            self._string()
        elif char == ":" and self._in_brackets:
            self._colon()
        elif name := (_IDENTIFIER if self._in_brackets else _NAME).match(self._text, self._at):
            self._named(name[0])
        elif operator := _OPERATOR.match(self._text, self._at):
            self._add(Kind.OPERATOR, operator[0])
        else:
            self._sign(char)

    def _sign(self, char: str) -> None:
        if char == "," or (char == "=" and self._peek(1) != "~"):
            self._add(Kind.SIGN, char)
        elif char in "=!":
            following = go_rune(self._peek(1))
            raise _Fault(f"unexpected character after '{char}': {following}", self._at)
        else:
            raise _Fault(f"unexpected character: {go_rune(char)}", self._at)

    def _brace_word(self, char: str) -> None:
        """Read a word inside braces, where keywords are names of labels."""
        if char in "\"'`":
            self._string()
        elif name := _IDENTIFIER.match(self._text, self._at):
            self._add(Kind.IDENTIFIER, name[0])
        elif sign := _IN_BRACES.match(self._text, self._at):
            self._add(Kind.SIGN, sign[0])
        elif char == "}":
            self._in_braces = False
            self._add(Kind.SIGN, char)
        else:
            raise _Fault(self._no_brace_word(char), self._at)

    def _no_brace_word(self, char: str) -> str:
        if char == "{":
            return "unexpected left brace '{'"
        if char == "!":
            return f"unexpected character after '!' inside braces: {go_rune(self._peek(1))}"
        return f"unexpected character inside braces: {go_rune(char)}"

    def _peek(self, ahead: int) -> str:
        """Return the character further on, "" past the end."""
        return self._text[self._at + ahead : self._at + ahead + 1]

    def _number(self) -> None:
        for kind, form in ((Kind.NUMBER, _NUMBER), (Kind.DURATION, _DURATION)):
            if hit := form.match(self._text, self._at):
                self._add(kind, hit[0])
                return
        neither = _NEITHER.match(self._text, self._at)
        shown = go_quoted(neither[0] if neither else "")
        raise _Fault(f"bad number or duration syntax: {shown}", self._at)

    def _string(self) -> None:
        hit = _STRING.match(self._text, self._at)
        if hit is None:
            raw = self._text[self._at] == "`"
            raise _Fault(
                "unterminated raw string" if raw else "unterminated quoted string", self._at
            )
        try:
            unquote(hit[0])
        except ParseError as error:
            raise _Fault(error.reason, self._at) from error
        self._add(Kind.STRING, hit[0])

    def _named(self, name: str) -> None:
        lower = name.lower()
        for kind, known in _KINDS:
            if lower in known:
                self._add(kind, name)
                return
        self._add(Kind.METRIC if ":" in name else Kind.IDENTIFIER, name)

    def _colon(self) -> None:
        if self._colon_seen:
            raise _Fault("unexpected colon ':'", self._at)
        self._colon_seen = True
        self._add(Kind.SIGN, ":")

    def _open_parenthesis(self) -> None:
        self._parentheses += 1
        self._add(Kind.SIGN, "(")

    def _close_parenthesis(self) -> None:
        self._parentheses -= 1
        if self._parentheses < 0:
            raise _Fault("unexpected right parenthesis ')'", self._at + 1)
        self._add(Kind.SIGN, ")")

    def _open_brace(self) -> None:
        self._in_braces = True
        self._add(Kind.SIGN, "{")

    def _open_bracket(self) -> None:
        if self._in_brackets:
            raise _Fault("unexpected left bracket '['", self._at)
        self._in_brackets, self._colon_seen = True, False
        self._add(Kind.SIGN, "[")

    def _close_bracket(self) -> None:
        if not self._in_brackets:
            raise _Fault("unexpected right bracket ']'", self._at)
        self._in_brackets = False
        self._add(Kind.SIGN, "]")


_KINDS = (
    (Kind.AGGREGATOR, AGGREGATORS),
    (Kind.OPERATOR, _WORD_OPERATORS),
    (Kind.KEYWORD, _KEYWORDS),
    (Kind.PREPROCESSOR, _PREPROCESSORS),
    (Kind.NUMBER, _NAMED_NUMBERS),
)
