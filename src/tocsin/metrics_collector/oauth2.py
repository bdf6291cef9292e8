"""Access tokens by OAuth 2.0 client credentials: fetched, kept, fetched again before they end.

A server is asked with the credentials in the header first and, should it refuse, with them in
the body; what it took is remembered. Source: RFC 6749, 2.3.1, 4.4 and 5.1.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote_plus, urlencode

import msgspec

from tocsin.metrics_collector.backend.ports import Exchange, Outgoing
from tocsin.metrics_collector.ports import FetchOptions, Page, TokenOptions
from tocsin.model.errors import TocsinError, Unreachable
from tocsin.model.secret import Secret
from tocsin.model.version import VERSION

_EARLY_S = 10.0  # a token that ends so soon counts as ended
_TIMEOUT_S = 30.0
_PATIENCE_S = 5.0  # after a failure, until the server is asked again
_LIMIT = 1 << 20  # bytes of an answer
_FORM = "application/x-www-form-urlencoded"
_REFUSED = (400, 401)


class _Granted(msgspec.Struct):
    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105 - a kind of token, no token
    expires_in: float | str | None = None
    error: str = ""


@dataclass(slots=True)
class _Kept:
    """What is known of one client. `ends_s` is None for a token that does not end."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    header: Secret | None = None
    ends_s: float | None = None
    in_body: bool | None = None
    failure: str = ""
    failed_s: float = 0.0


class Tokens:
    """Access tokens of all clients. One event loop."""

    def __init__(self, http: Exchange, *, now: Callable[[], float] = time.monotonic) -> None:
        """Fetch through `http`; `now` tells seconds."""
        self._http = http
        self._now = now
        self._kept: dict[TokenOptions, _Kept] = {}

    async def header(self, options: TokenOptions) -> Secret:
        """Return an Authorization header. Raises Unreachable when no token is to be had."""
        kept = self._kept.setdefault(options, _Kept())
        if (header := self._valid(kept)) is not None:
            return header
        async with kept.turn:
            return self._valid(kept) or await self._fetched(options, kept)

    def refused(self, options: TokenOptions, header: Secret) -> None:
        """Note that a server did not take a token: the next request gets a new one."""
        kept = self._kept.get(options)
        if kept is not None and kept.header == header:
            kept.header = None

    def _valid(self, kept: _Kept) -> Secret | None:
        ended = kept.ends_s is not None and self._now() >= kept.ends_s
        return None if ended else kept.header

    async def _fetched(self, options: TokenOptions, kept: _Kept) -> Secret:
        if kept.failure and self._now() < kept.failed_s + _PATIENCE_S:
            raise Unreachable(kept.failure)
        try:
            granted = await self._granted(options, kept)
        except TocsinError as error:
            kept.failure, kept.failed_s = f"no access token: {error}", self._now()
            raise Unreachable(kept.failure) from error
        kept.failure = ""
        kind = granted.token_type.strip() or "Bearer"
        kind = "Bearer" if kind.lower() == "bearer" else kind
        kept.header = Secret(f"{kind} {granted.access_token}")
        kept.ends_s = _end(granted, self._now())
        return kept.header

    async def _granted(self, options: TokenOptions, kept: _Kept) -> _Granted:
        ways = (False, True) if kept.in_body is None else (kept.in_body,)
        page = await self._ask(options, in_body=ways[0])
        took = ways[0]
        if page.status in _REFUSED and len(ways) > 1:
            page, took = await self._ask(options, in_body=True), True
        granted = read(page)
        kept.in_body = took
        return granted

    async def _ask(self, options: TokenOptions, *, in_body: bool) -> Page:
        secret = options.client_secret.reveal()
        form = {"grant_type": "client_credentials", **dict(options.parameters)}
        if options.scopes:
            form["scope"] = " ".join(options.scopes)
        headers = {
            "Accept": "application/json",
            "Content-Type": _FORM,
            "User-Agent": f"Tocsin/{VERSION}",
        }
        if in_body:
            form |= {"client_id": options.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(options.client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        call = Outgoing("POST", options.url, headers, urlencode(form).encode())
        how = FetchOptions(tls=options.tls, proxy=options.proxy)
        return await self._http.exchange(call, timeout_s=_TIMEOUT_S, limit=_LIMIT, options=how)


def read(page: Page) -> _Granted:
    """Return what a token server granted. Raises Unreachable when that is no token."""
    if not 200 <= page.status < 300:
        raise Unreachable(f"the token server answered {page.status}{_error(page)}")
    granted = _decoded(page)
    if granted is None or not granted.access_token:
        raise Unreachable("the token server's answer holds no access_token")
    return granted


def _decoded(page: Page) -> _Granted | None:
    kind = page.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in (_FORM, "text/plain"):
            pairs: Mapping[str, str] = dict(parse_qsl(page.body.decode()))
            return msgspec.convert(pairs, _Granted)
        return msgspec.json.decode(page.body, type=_Granted)
    except (msgspec.MsgspecError, ValueError):
        return None


def _error(page: Page) -> str:
    """Return the code of an error (RFC 6749, 5.2), which holds no secret."""
    granted = _decoded(page)
    return f": {granted.error[:100]}" if granted is not None and granted.error else ""


def _end(granted: _Granted, now_s: float) -> float | None:
    """Return when a token is to be fetched again, None for never."""
    try:
        seconds = float(granted.expires_in or 0)
    except ValueError:
        seconds = 0.0
    return now_s + max(seconds - _EARLY_S, seconds / 2) if seconds > 0 else None
