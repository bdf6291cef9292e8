"""The URLs of receivers: they hold secrets, so every message about them is silent on the text."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tocsin.model.errors import InvalidInput
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding


def http_url(text: str) -> str:
    """Return `text` without the space around it. Raises InvalidInput unless http(s) with a host."""
    if not is_http_url(text.strip()):
        raise InvalidInput("the URL is not of the form http://host/… or https://host/…")
    return text.strip()


def is_http_url(text: str) -> bool:
    """Tell whether `text` is an http(s) URL with a host and a sane port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    fits = parts.scheme in ("http", "https") and parts.hostname and port != 0
    return bool(fits) and text.isprintable() and " " not in text


def url_findings(url: Secret | None, *, field: str) -> Iterator[Finding]:
    """Return what is wrong with a receiver's URL; a template is judged when it is rendered."""
    text = url.reveal().strip() if url else ""
    if not text:
        yield Finding((), f"one of {field} and {field}_file must be given")
    elif "{{" not in text and not is_http_url(text):
        yield Finding((field,), f"{field} must be of the form http://host/… or https://host/…")


def origin(url: str) -> str:
    """Return scheme, host and port of a URL; the whole text when it has none (a template)."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{parts.hostname}:{port or default}" if parts.hostname else url
