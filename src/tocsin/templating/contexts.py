"""Follows the HTML that a template writes, so that each value is escaped for where it stands.

The state moves with the literal text of the template as it is written; values do not move it.
Source: Go's html/template documentation, "Contexts"; WHATWG HTML, section 13.2.5 (tokenisation).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto


class State(Enum):
    """Where in the markup the next character stands."""

    TEXT = auto()
    TAG = auto()
    AFTER_NAME = auto()
    BEFORE_VALUE = auto()
    VALUE = auto()
    RAW = auto()  # the content of textarea, title, script or style
    COMMENT = auto()


class Content(Enum):
    """What language a value stands in."""

    PLAIN = auto()
    URL = auto()
    SCRIPT = auto()
    STYLE = auto()


class UrlPart(Enum):
    """How much of a URL stands before the value."""

    NOTHING = auto()
    PATH = auto()
    QUERY = auto()


@dataclass(frozen=True, slots=True)
class Context:
    """The state after some text; `quote` is the attribute's, `string` that of a script's string."""

    state: State = State.TEXT
    element: str = ""
    content: Content = Content.PLAIN
    quote: str = ""
    url: UrlPart = UrlPart.NOTHING
    string: str = ""


_RAW_ELEMENTS: Mapping[str, Content] = {
    "script": Content.SCRIPT,
    "style": Content.STYLE,
    "textarea": Content.PLAIN,
    "title": Content.PLAIN,
}
_URL_ATTRIBUTES = frozenset(
    (
        "action", "archive", "background", "cite", "classid", "codebase", "data",
        "formaction", "href", "icon", "longdesc", "manifest", "ping", "poster",
        "profile", "src", "srcset", "usemap", "xmlns",
    )
)  # fmt: skip
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9:-]*)")
_ATTRIBUTE = re.compile(r"[^\s=>/\"']+|[\"'=]")
_SCRIPT_MARK = re.compile(r"\\.|[\"'`]|//|/\*|\*/|\n", re.DOTALL)
_SPACE = re.compile(r"\s*")
_SLASHES = re.compile(r"[\s/]*")
_VALUE_END = re.compile(r"[\s>]")


@functools.lru_cache(maxsize=512)
def follow(context: Context, text: str) -> tuple[str, Context]:
    """Return `text` as it is to be written, and the context after it.

    Comments are left out and a `<` that opens nothing becomes `&lt;`, as in Go.
    """
    out: list[str] = []
    at = 0
    while at < len(text):
        at, context, written = _STEPS[context.state](context, text, at)
        out.append(written)
    return "".join(out), context


_Step = tuple[int, Context, str]


def _in_text(context: Context, text: str, at: int) -> _Step:
    opens = text.find("<", at)
    if opens < 0:
        return len(text), context, text[at:]
    before = text[at:opens]
    if text.startswith("<!--", opens):
        return opens + 4, replace(context, state=State.COMMENT), before
    if text[opens + 1 : opens + 2] == "!":
        return opens + 2, context, before + "<!"
    tag = _TAG.match(text, opens)
    if not tag:
        return opens + 1, context, before + "&lt;"
    element = "" if text[opens + 1] == "/" else tag[1].lower()
    return tag.end(), Context(State.TAG, element=element), before + tag[0]


def _in_comment(context: Context, text: str, at: int) -> _Step:
    closes = text.find("-->", at)
    if closes < 0:
        return len(text), context, ""
    return closes + 3, Context(), ""


def _in_tag(context: Context, text: str, at: int) -> _Step:
    start = _space_end(text, at, _SLASHES)
    if text[start : start + 1] == ">":
        return start + 1, _content_of(context.element), text[at : start + 1]
    name = _ATTRIBUTE.match(text, start)
    if not name:
        return start, context, text[at:start]
    kind = attribute_content(name[0].lower())
    after = Context(State.AFTER_NAME, element=context.element, content=kind)
    return name.end(), after, text[at : name.end()]


def _after_name(context: Context, text: str, at: int) -> _Step:
    start = _space_end(text, at)
    if start == len(text):
        return start, context, text[at:]
    if text[start] == "=":
        return start + 1, replace(context, state=State.BEFORE_VALUE), text[at : start + 1]
    return start, Context(State.TAG, element=context.element), text[at:start]


def _before_value(context: Context, text: str, at: int) -> _Step:
    start = _space_end(text, at)
    if start == len(text):
        return start, context, text[at:]
    if text[start] == ">":
        return start, Context(State.TAG, element=context.element), text[at:start]
    if text[start] in "\"'":
        opened = replace(context, state=State.VALUE, quote=text[start])
        return start + 1, opened, text[at : start + 1]
    return start, replace(context, state=State.VALUE), text[at:start]


def _in_value(context: Context, text: str, at: int) -> _Step:
    if context.quote:
        end = text.find(context.quote, at)
    else:
        ends = _VALUE_END.search(text, at)
        end = ends.start() if ends else -1
    if end < 0:
        return len(text), _inside(context, text[at:]), text[at:]
    after = end + len(context.quote)
    return after, Context(State.TAG, element=context.element), text[at:after]


def _in_raw(context: Context, text: str, at: int) -> _Step:
    closing = re.compile(f"</{context.element}(?![a-z0-9])", re.IGNORECASE).search(text, at)
    if not closing:
        return len(text), _inside(context, text[at:]), text[at:]
    return closing.end(), Context(State.TAG), text[at : closing.end()]


_STEPS: Mapping[State, Callable[[Context, str, int], _Step]] = {
    State.TEXT: _in_text,
    State.COMMENT: _in_comment,
    State.TAG: _in_tag,
    State.AFTER_NAME: _after_name,
    State.BEFORE_VALUE: _before_value,
    State.VALUE: _in_value,
    State.RAW: _in_raw,
}


def _space_end(text: str, at: int, space: re.Pattern[str] = _SPACE) -> int:
    found = space.match(text, at)
    return found.end() if found else at


def _content_of(element: str) -> Context:
    if element in _RAW_ELEMENTS:
        return Context(State.RAW, element=element, content=_RAW_ELEMENTS[element])
    return Context()


def attribute_content(name: str) -> Content:
    """Return the language of the attribute `name` (lower case)."""
    name = name.removeprefix("data-") if name.startswith("data-") else name.rpartition(":")[2]
    if name.startswith("on"):
        return Content.SCRIPT
    if name == "style":
        return Content.STYLE
    if name in _URL_ATTRIBUTES or any(word in name for word in ("src", "uri", "url")):
        return Content.URL
    return Content.PLAIN


def _inside(context: Context, text: str) -> Context:
    """Return the context after `text` inside an attribute value or a raw element."""
    if context.content is Content.URL:
        return replace(context, url=_url_part(context.url, text))
    if context.content is Content.SCRIPT:
        return replace(context, string=_script_string(context.string, text))
    return context


def _url_part(part: UrlPart, text: str) -> UrlPart:
    if part is UrlPart.QUERY or "?" in text or "#" in text:
        return UrlPart.QUERY
    return UrlPart.PATH if text.strip() else part


def _script_string(string: str, text: str) -> str:
    """Return the quote of the script string that is open after `text`, "" for none."""
    closing = {"//": "\n", "/*": "*/"}
    for found in _SCRIPT_MARK.finditer(text):
        mark = found[0]
        if not string and mark in ('"', "'", "`", "//", "/*"):
            string = mark
        elif string and mark == closing.get(string, string):
            string = ""
    return string
