"""Parameters of Prometheus' HTTP API: times, durations, selectors, limits, escaped label names.

What cannot be read is refused in the words Prometheus uses. A time given as a number is rounded
to milliseconds, one given as RFC 3339 is cut, as Prometheus does (checked against 2.42).
Source: Prometheus "HTTP API", `web/api/v1`, and `model.UnescapeName` of prometheus/common.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import Request

from tocsin.api.http import Call, Refusal
from tocsin.api.prometheus_answer import TRUNCATED, bad_parameter
from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matchers
from tocsin.model.rfc3339 import parse_time
from tocsin.model.slots import to_ms
from tocsin.promql.literals import go_quoted
from tocsin.promql.parser import parse_selector

T = TypeVar("T")
BEGINNING_MS = -(2**53)  # far outside any sample, and still exact as a JSON number
END_MS = 2**53
_BOUNDS = {  # how client_golang writes "no start" and "no end"
    "-292273086-05-16T16:47:06Z": BEGINNING_MS,
    "292277025-08-18T07:12:54.999999999Z": END_MS,
}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_LONGEST_S = 2**63 / 1e9  # an int64 of nanoseconds, as in Go
_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+")
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
        if call.request.method in ("POST", "PUT") and _is_form(call.request):
            body = (await call.body()).decode(errors="replace")
            pairs = parse_qsl(body, keep_blank_values=True) + pairs
        return cls(tuple(pairs))

    def get(self, name: str) -> str:
        """Return the first value of a parameter, "" when it is not given."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        return [value for key, value in self.pairs if key == name]

    def time_ms(self, name: str) -> int:
        """Return a time that must be there: Unix seconds or RFC 3339. Raises Refusal(400)."""
        try:
            return _time_ms(self.get(name))
        except InvalidInput as error:
            raise bad_parameter(name, str(error)) from error

    def time_ms_or(self, name: str, default: int) -> int:
        """Return a time, `default` when it is not given. Raises Refusal(400)."""
        text = self.get(name)
        if not text:
            return default
        try:
            return _time_ms(text)
        except InvalidInput as error:
            raise bad_parameter(name, f"invalid time value for '{name}': {error}") from error

    def duration(self, name: str) -> timedelta | None:
        """Return a duration: seconds, or `5m`; None when not given. Raises Refusal(400)."""
        text = self.get(name)
        if not text:
            return None
        try:
            return timedelta(seconds=_seconds(text))
        except InvalidInput as error:
            raise bad_parameter(name, str(error)) from error

    def lookback_ms(self) -> int:
        """Return `lookback_delta` in milliseconds, 0 when not given. Raises Refusal(400)."""
        text = self.get("lookback_delta")
        try:
            return _whole_ms(_seconds(text)) if text else 0
        except InvalidInput as error:
            reason = f"error parsing lookback delta duration: {error}"
            raise Refusal(400, reason) from error

    def step_ms(self) -> int:
        """Return the step of a range query in milliseconds, above zero. Raises Refusal(400)."""
        try:
            step = _seconds(self.get("step"))
        except InvalidInput as error:
            raise bad_parameter("step", str(error)) from error
        if not step >= 1e-9:
            rule = "zero or negative query resolution step widths are not accepted"
            raise bad_parameter("step", f"{rule}. Try a positive integer")
        return max(1, _whole_ms(step))

    def selectors(self) -> list[Matchers]:
        """Return the matchers of each `match[]`. Raises Refusal(400)."""
        try:
            found = [parse_selector(text) for text in self.all("match[]")]
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error
        for matchers in found:
            if all(matcher.matches("") for matcher in matchers):
                raise Refusal(400, "match[] must contain at least one non-empty matcher")
        return found

    def needed_selectors(self) -> list[Matchers]:
        """Return the matchers of each `match[]`, which must be there. Raises Refusal(400)."""
        try:
            return self.selectors()
        except Refusal as refusal:
            raise bad_parameter("match[]", refusal.message) from refusal

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """Return a parameter that is one of `known` in any case, or "". Raises Refusal(400)."""
        text = self.get(name).lower()
        if text and text not in known:
            raise bad_parameter(name, f"not supported value {go_quoted(text)}")
        return text

    def flag(self, name: str, wrong: str) -> bool:
        """Return a boolean as Go reads one, false by default. Raises Refusal(400)."""
        text = self.get(name)
        if text and text not in (*_TRUE, *_FALSE):
            reason = f"strconv.ParseBool: parsing {go_quoted(text)}: invalid syntax"
            raise bad_parameter(name, f"{wrong}: {reason}")
        return text in _TRUE

    def limit(self) -> int:
        """Return `limit`, 0 for none. Raises Refusal(400)."""
        text = self.get("limit")
        try:
            limit = whole_number(text) if text else 0
        except InvalidInput as error:
            raise bad_parameter("limit", f"strconv.Atoi: {error}") from error
        if limit < 0:
            raise bad_parameter("limit", "limit must be non-negative")
        return limit

    def count(self, name: str) -> int | None:
        """Return a number, None when it is not given. Raises Refusal(400)."""
        text = self.get(name)
        try:
            return whole_number(text) if text else None
        except InvalidInput as error:
            raise Refusal(400, f"{name} must be a number") from error


def limited(found: list[T], limit: int) -> tuple[list[T], tuple[str, ...]]:
    """Return at most `limit` of what was found (0: all), and a warning when more was there."""
    if not limit or len(found) <= limit:
        return found, ()
    return found[:limit], (TRUNCATED,)


def whole_number(text: str) -> int:
    """Return a number of at most 64 bits. Raises InvalidInput in the words of Go's strconv."""
    if not _WHOLE.fullmatch(text):
        raise InvalidInput(f"parsing {go_quoted(text)}: invalid syntax")
    if len(text) > 20 or abs(int(text)) > _LARGEST:
        raise InvalidInput(f"parsing {go_quoted(text)}: value out of range")
    return int(text)


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


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == _FORM


def _time_ms(text: str) -> int:
    """Return Unix milliseconds. Raises InvalidInput."""
    if text in _BOUNDS:
        return _BOUNDS[text]
    wrong = f"cannot parse {go_quoted(text)} to a valid timestamp"
    if not _NUMBER.fullmatch(text):
        try:
            at = parse_time(text) if "T" in text and text[-1] != "z" else None
        except InvalidInput as error:
            raise InvalidInput(wrong) from error
        if at is None:
            raise InvalidInput(wrong)
        return to_ms(at)
    fraction, whole = math.modf(float(text))
    if not abs(whole) * 1000 <= END_MS:
        raise InvalidInput(wrong)
    return int(whole) * 1000 + int(math.copysign(math.floor(abs(fraction) * 1000 + 0.5), fraction))


def _seconds(text: str) -> float:
    """Return a duration in seconds. Raises InvalidInput."""
    wrong = f"cannot parse {go_quoted(text)} to a valid duration"
    if not _NUMBER.fullmatch(text):
        try:
            return parse_duration(text).total_seconds()
        except InvalidInput as error:
            raise InvalidInput(wrong) from error
    seconds = float(text)
    if abs(seconds) > _LONGEST_S:
        raise InvalidInput(f"{wrong}. It overflows int64")
    return seconds


def _whole_ms(seconds: float) -> int:
    """Return whole milliseconds, cut; a float of seconds is taken to the nanosecond first."""
    return round(seconds * 1e9) // 1_000_000
