"""Parameters of Prometheus' HTTP API: times, durations, selectors, limits, escaped label names.

What cannot be read is refused in the words Prometheus uses. Source: Prometheus "HTTP API",
`web/api/v1`, and `model.UnescapeName` of prometheus/common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request

from tocsin.api.http import Call, Refusal
from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matcher
from tocsin.model.rfc3339 import parse_time
from tocsin.promql.ast import VectorSelector
from tocsin.promql.parser import parse

T = TypeVar("T")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_LONGEST_S = 2**63 / 1e9  # an int64 of nanoseconds, as in Go
_MOST_DIGITS = 18  # of an int64
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ESCAPE = re.compile(r"__|_(?P<code>[0-9a-fA-F]{1,6})_")
_ESCAPED = re.compile(r"U__(?:[^_]|__|_[0-9a-fA-F]{1,6}_)*")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """Parameters of a request, from the URL and, for POST, from the form body."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    async def of(cls, call: Call) -> Form:
        """Read the parameters of a request."""
        pairs = list(call.request.query_params.multi_items())
        if call.request.method == "POST" and _is_form(call.request):
            body = (await call.body()).decode(errors="replace")
            pairs = parse_qsl(body, keep_blank_values=True) + pairs
        return cls(tuple(pairs))

    def get(self, name: str) -> str:
        """Return the first value of a parameter, "" when it is not given."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def needed(self, name: str) -> str:
        """Return a parameter that must be there. Raises Refusal(400)."""
        return self.get(name) or _missing(name)

    def time(self, name: str, *, default: datetime | None = None) -> datetime:
        """Return a time parameter: Unix seconds or RFC 3339. Raises Refusal(400)."""
        text = self.get(name)
        if not text:
            return default if default is not None else _missing(name)
        try:
            return _time(text)
        except (OSError, OverflowError, ValueError) as error:
            message = f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp'
            raise Refusal(400, message) from error

    def seconds(self, name: str, *, default: float | None = None) -> float:
        """Return a duration parameter: seconds, or `5m`. Raises Refusal(400)."""
        text = self.get(name)
        if not text:
            return default if default is not None else _missing(name)
        wrong = f'invalid parameter "{name}": cannot parse "{text}" to a valid duration'
        try:
            number = _NUMBER.fullmatch(text)
            seconds = float(text) if number else parse_duration(text).total_seconds()
        except InvalidInput as error:
            raise Refusal(400, wrong) from error
        if abs(seconds) > _LONGEST_S:
            raise Refusal(400, f"{wrong}. It overflows int64")
        return seconds

    def step_ms(self) -> int:
        """Return the step of a range query in milliseconds, above zero. Raises Refusal(400)."""
        step = self.seconds("step")
        if step <= 0:
            rule = "zero or negative query resolution step widths are not accepted"
            raise Refusal(400, f'invalid parameter "step": {rule}. Try a positive integer')
        return max(1, round(step * 1000))

    def selectors(self) -> list[tuple[Matcher, ...]]:
        """Return the matchers of each `match[]`. Raises Refusal(400)."""
        try:
            return [selector(text) for text in self.all("match[]")]
        except InvalidInput as error:
            raise Refusal(400, f'invalid parameter "match[]": {error}') from error

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """Return a parameter that is one of `known`, or "". Raises Refusal(400)."""
        text = self.get(name)
        if text and text not in known:
            raise Refusal(400, f'invalid parameter "{name}": not supported value "{text}"')
        return text

    def flag(self, name: str) -> bool:
        """Return a boolean parameter as Go reads one, false by default. Raises Refusal(400)."""
        text = self.one_of(name, (*_TRUE, *_FALSE))
        return text in _TRUE

    def limited(self, found: list[T]) -> list[T]:
        """Return at most `limit` of what was found; 0 or no limit is all. Raises Refusal(400)."""
        text = self.get("limit")
        if not text:
            return found
        if not text.isdecimal() or len(text) > _MOST_DIGITS:
            raise Refusal(400, f'invalid parameter "limit": "{text}" is not a whole number')
        return found[: int(text)] if int(text) else found


def selector(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a series selector. Raises InvalidInput when it is something else."""
    expr = parse(text)
    if not isinstance(expr, VectorSelector) or expr.offset_ms or expr.at is not None:
        raise InvalidInput(f"{text!r} is not a series selector")
    return tuple(expr.matchers)


def unescaped(name: str) -> str:
    """Return a label name that a client wrote as `U__…` (UTF-8 escaping of Prometheus 3).

    What is escaped wrongly is returned as it came.
    """
    if not _ESCAPED.fullmatch(name):
        return name
    try:
        return _ESCAPE.sub(_original, name.removeprefix("U__"))
    except ValueError:
        return name


def _original(escape: re.Match[str]) -> str:
    """Return what one escape stands for. Raises ValueError when it is no character."""
    code = escape["code"]
    character = chr(int(code, 16)) if code else "_"
    character.encode()  # refuses half a surrogate pair
    return character


def _missing(name: str) -> Any:
    raise Refusal(400, f'invalid parameter "{name}": it is required')


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == _FORM


def _time(text: str) -> datetime:
    if _NUMBER.fullmatch(text):
        return datetime.fromtimestamp(float(text), UTC)
    at = parse_time(text)
    if at is None:
        raise InvalidInput("the zero time is no time")
    return at
