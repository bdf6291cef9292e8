"""Writes values into HTML, each escaped for the place it stands in.

Source: Go's html/template documentation. Common places behave as in Go; scripts and styles are
stricter: there only numbers, quoted data and plain words come through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from tocsin.templating.budget import Meter
from tocsin.templating.contexts import Content, Context, State, UrlPart, attribute_content, follow
from tocsin.templating.jsontext import to_json
from tocsin.templating.printing import shown
from tocsin.templating.values import Kind, SafeHtml, SafeQuery, SafeUrl, kind

REFUSED = "ZgotmplZ"  # the mark Go leaves where a value was not safe

_NORMAL = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "+": "&#43;", "<": "&lt;", ">": "&gt;"}
_ESCAPE = str.maketrans({**_NORMAL, "&": "&amp;"})
_KEEP_ENTITIES = str.maketrans(_NORMAL)
_BARE = str.maketrans(
    {
        **_NORMAL, "&": "&amp;", "\0": "&#xfffd;", "\t": "&#9;", "\n": "&#10;", "\v": "&#11;",
        "\f": "&#12;", "\r": "&#13;", " ": "&#32;", "=": "&#61;", "`": "&#96;",
    }
)  # fmt: skip
_MARKUP = re.compile(r"<!--.*?(?:-->|\Z)|</?[a-zA-Z][^>]*(?:>|\Z)", re.DOTALL)
_SCHEMES = frozenset(("http", "https", "mailto"))
_NAME = re.compile(r"[a-zA-Z0-9]+")
_STYLE = re.compile(r"[\w\s.#%!+-]*", re.ASCII)
_STYLE_WORDS = ("expression", "mozbinding", "--")
_ESCAPED_BYTE = re.compile(r"%(?![0-9a-fA-F]{2})")
_UPPER_HEX = re.compile(r"%[0-9A-F]{2}")


class HtmlWriter:
    """HTML output that knows where it stands."""

    __slots__ = ("_context", "_meter", "_out")

    def __init__(self, meter: Meter) -> None:
        """Start in the text of a document; `meter` counts what is written."""
        self._meter = meter
        self._context = Context()
        self._out: list[str] = []

    def literal(self, text: str) -> None:
        """Write text of the template itself."""
        written, self._context = follow(self._context, text)
        self._write(written)

    def value(self, value: object) -> None:
        """Write a value, escaped for its place."""
        if self._context.state is State.BEFORE_VALUE:
            self._context = _value_begins(self._context)
        self._write(escape(value, self._context, self._meter))

    def result(self) -> str:
        """Return everything written."""
        return "".join(self._out)

    def _write(self, text: str) -> None:
        self._meter.shown(len(text) if text.isascii() else len(text.encode("utf-8", "replace")))
        self._out.append(text)


def _value_begins(context: Context) -> Context:
    return Context(State.VALUE, element=context.element, content=context.content)


def escape(value: object, context: Context, meter: Meter) -> str:
    """Return `value` as it may stand in `context`."""
    match context.state:
        case State.TEXT:
            return value if isinstance(value, SafeHtml) else _text(value, meter).translate(_ESCAPE)
        case State.COMMENT:
            return ""
        case State.RAW:
            return _raw(value, context, meter)
        case State.VALUE:
            return _attribute(value, context, meter)
    return _name(value, meter)


def _text(value: object, meter: Meter) -> str:
    return "" if value is None else shown(value, meter)


def _name(value: object, meter: Meter) -> str:
    """Return an attribute name, if it is a harmless one."""
    text = _text(value, meter)
    harmless = _NAME.fullmatch(text) and attribute_content(text.lower()) is Content.PLAIN
    return text.lower() if harmless else REFUSED


def _raw(value: object, context: Context, meter: Meter) -> str:
    if context.content is Content.PLAIN:
        table = _KEEP_ENTITIES if isinstance(value, SafeHtml) else _ESCAPE
        return _text(value, meter).translate(table)
    return _CONTENTS[context.content](value, context, meter)


def _attribute(value: object, context: Context, meter: Meter) -> str:
    if isinstance(value, SafeHtml) and context.content is Content.PLAIN:
        return _MARKUP.sub("", value).translate(_KEEP_ENTITIES if context.quote else _BARE)
    text = _CONTENTS[context.content](value, context, meter)
    if context.quote:
        return text.translate(_ESCAPE)
    return text.translate(_BARE) or REFUSED


def _plain(value: object, context: Context, meter: Meter) -> str:
    return _text(value, meter)


def _url(value: object, context: Context, meter: Meter) -> str:
    text = _text(value, meter)
    if context.url is UrlPart.QUERY:
        if isinstance(value, SafeQuery):
            return text
        return _lower_hex(quote(text.encode("utf-8", "replace"), safe=""))
    trusted = isinstance(value, SafeUrl) or context.url is not UrlPart.NOTHING
    if not trusted and not _harmless_url(text):
        return "#" + REFUSED
    loose = _ESCAPED_BYTE.sub("%25", text)
    return _lower_hex(quote(loose.encode("utf-8", "replace"), safe="!#$&*+,/:;=?@[]%~"))


def _harmless_url(text: str) -> bool:
    scheme, colon, _ = text.partition(":")
    return not colon or "/" in scheme or scheme.lower() in _SCHEMES


def _lower_hex(text: str) -> str:
    return _UPPER_HEX.sub(lambda found: found[0].lower(), text)


def _script(value: object, context: Context, meter: Meter) -> str:
    if context.string in ("//", "/*"):
        return ""
    if context.string:
        return _script_safe(_text(value, meter))
    if kind(value) in (Kind.BOOL, Kind.INT, Kind.FLOAT, Kind.NIL):
        return f" {to_json(value, meter)} "
    if kind(value) is Kind.STRING:
        return f'"{_script_safe(str(value))}"'
    return to_json(value, meter)


def _script_safe(text: str) -> str:
    """Return `text` with everything but letters, digits and spaces as `\\uXXXX`."""
    return "".join(c if c.isascii() and (c.isalnum() or c == " ") else _units(c) for c in text)


def _units(char: str) -> str:
    raw = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at : at + 2].hex()}" for at in range(0, len(raw), 2))


def _style(value: object, context: Context, meter: Meter) -> str:
    text = _text(value, meter)
    bad = any(word in text.lower() for word in _STYLE_WORDS) or not _STYLE.fullmatch(text)
    return REFUSED if bad else text


_CONTENTS: Mapping[Content, Callable[[Any, Context, Meter], str]] = {
    Content.PLAIN: _plain,
    Content.URL: _url,
    Content.SCRIPT: _script,
    Content.STYLE: _style,
}
