"""The functions of Alertmanager's notification templates.

Source: Alertmanager documentation, "Notification template reference", level 0.34.
"""

from __future__ import annotations

import base64
import binascii
import re
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_to_bytes

from tocsin.model.errors import InvalidInput
from tocsin.templating import regex
from tocsin.templating.calls import Run
from tocsin.templating.gotime import ZERO, format_time, parse_time
from tocsin.templating.humanize import humanize_duration
from tocsin.templating.jsontext import to_json
from tocsin.templating.values import Fields, SafeHtml, SafeUrl, StringMap, type_name

# A word by Unicode's segmentation (UAX 29), as far as labels need it: an apostrophe or a full
# stop between two letters does not end it.
_LETTER = r"[^\W\d_]"
_WORD = re.compile(rf"\w+(?:(?<={_LETTER})['\u2019.](?={_LETTER})\w+)*")
_FIRST = re.compile(_LETTER)


def to_upper(text: str) -> str:
    """Return `text` in upper case."""
    return text.upper()


def to_lower(text: str) -> str:
    """Return `text` in lower case."""
    return text.lower()


def title(text: str) -> str:
    """Return `text` with the first letter of each word in upper case, the others in lower case."""
    return _WORD.sub(lambda word: _FIRST.sub(_titled, word[0].lower(), count=1), text)


def _titled(letter: re.Match[str]) -> str:
    return letter[0].title()


def trim_space(text: str) -> str:
    """Return `text` without white space at its ends."""
    return text.strip()


def join(run: Run, sep: str, items: list[Any]) -> str:
    """Return the strings of `items` with `sep` between them."""
    wrong = [item for item in items if not isinstance(item, str)]
    if wrong:
        raise InvalidInput(f"wrong type in list; expected string; got {type_name(wrong[0])}")
    run.meter.made(len(sep) * len(items) + sum(map(len, items)))
    return sep.join(items)


def match(pattern: str, text: str) -> bool:
    """Tell whether `pattern` matches anywhere in `text`."""
    return regex.matches(pattern, text)


def re_replace_all(run: Run, pattern: str, replacement: str, text: str) -> str:
    """Return `text` with every match of `pattern` replaced."""
    return regex.replace_all(pattern, replacement, text, run.meter)


def safe_html(text: str) -> str:
    """Return `text` marked as HTML, which html mode then leaves as it is."""
    return SafeHtml(text)


def safe_url(text: str) -> str:
    """Return `text` marked as a URL, whose scheme html mode then trusts."""
    return SafeUrl(text)


def url_unescape(text: str) -> str:
    """Return `text` with `%XX` and `+` decoded. Raises InvalidInput on a broken escape."""
    broken = re.search(r"%(?![0-9a-fA-F]{2})", text)
    if broken:
        raise InvalidInput(f"invalid URL escape {text[broken.start() : broken.start() + 3]!r}")
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def string_slice(*items: str) -> list[str]:
    """Return the strings as a list."""
    return list(items)


def date(layout: str, at: datetime) -> str:
    """Return `at` in a Go layout."""
    return format_time(at, layout)


def tz(name: str, at: datetime) -> datetime:
    """Return `at` in the time zone `name`, such as Europe/Paris."""
    try:
        return at.astimezone(zoneinfo.ZoneInfo(name or "UTC"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, OverflowError) as error:
        raise InvalidInput(f"unknown time zone {name[:80]}") from error


def must_to_date(layout: str, text: str) -> datetime:
    """Return the time written in `text`."""
    return parse_time(layout, text)


def to_date(layout: str, text: str) -> datetime:
    """Return the time written in `text`, the zero time when it is none."""
    try:
        return parse_time(layout, text)
    except InvalidInput:
        return ZERO


def json_text(run: Run, value: object) -> str:
    """Return `value` as JSON."""
    return to_json(value, run.meter)


def base64_encode(text: str) -> str:
    """Return `text` in URL-safe base64."""
    return base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode()


def base64_decode(text: str) -> str:
    """Return the text behind URL-safe base64. Raises InvalidInput."""
    clean = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(clean, altchars=b"-_", validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("illegal base64 data") from error


def make_list(*items: object) -> list[object]:
    """Return the values as a list."""
    return list(items)


def append(items: list[object], *more: object) -> list[object]:
    """Return a new list with the values added at its end."""
    return [*items, *more]


def make_dict(*pairs: object) -> dict[str, object]:
    """Return a map of the given keys and values, in turn. Raises InvalidInput."""
    if len(pairs) % 2:
        raise InvalidInput("dict requires an even number of arguments")
    names = pairs[::2]
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise InvalidInput(f"dict keys must be strings, got {type_name(wrong[0])}")
    return {str(name): value for name, value in zip(names, pairs[1::2], strict=True)}


def route_labels(run: Run) -> object:
    """Return the labels of the route that matched."""
    if isinstance(run.root, Fields):
        try:
            return run.root.go_field("RouteLabels")
        except KeyError:
            pass
    return StringMap({})


def alertmanager_functions(now: Callable[[], datetime]) -> Mapping[str, Callable[..., Any]]:
    """Return the functions of notification templates; `now` tells the time (aware)."""

    def since(at: datetime) -> timedelta:
        return now() - at

    return {
        "append": append,
        "base64decode": base64_decode,
        "base64encode": base64_encode,
        "date": date,
        "dict": make_dict,
        "humanizeDuration": humanize_duration,
        "join": join,
        "list": make_list,
        "match": match,
        "mustToDate": must_to_date,
        "now": now,
        "reReplaceAll": re_replace_all,
        "routeLabels": route_labels,
        "safeHtml": safe_html,
        "safeUrl": safe_url,
        "since": since,
        "stringSlice": string_slice,
        "title": title,
        "toDate": to_date,
        "toJson": json_text,
        "toLower": to_lower,
        "toUpper": to_upper,
        "trimSpace": trim_space,
        "tz": tz,
        "urlUnescape": url_unescape,
    }
