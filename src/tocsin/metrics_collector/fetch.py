"""HTTP for scraping and for backends, by aiohttp: one connection pool for all of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from tocsin.metrics_collector.backend.ports import Exchange, Outgoing
from tocsin.metrics_collector.oauth2 import Tokens
from tocsin.metrics_collector.ports import PLAIN, TOO_LARGE, Fetch, FetchOptions, Page
from tocsin.metrics_collector.proxy import proxy_of
from tocsin.metrics_collector.tls import TlsContexts
from tocsin.model.errors import LimitExceeded, Unreachable

MAX_REDIRECTS = 10
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class AiohttpFetch(Fetch, Exchange):
    """Goes out over HTTP. Make it anywhere, use it on one event loop, `close()` it there."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Open nothing yet; `environ` names proxies, for whom asks for them."""
        self._session: aiohttp.ClientSession | None = None
        self._environ = environ
        self._tls = TlsContexts()
        self._tokens = Tokens(self)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit: int,
        options: FetchOptions = PLAIN,
    ) -> Page:
        """Return the answer. Raises Unreachable when there is none, LimitExceeded when too long.

        A redirect to another host, or from https to http, is refused: it would carry the
        credential there.
        """
        return await _in_time(self._follow(url, headers, limit, options), timeout_s)

    async def exchange(
        self, call: Outgoing, *, timeout_s: float, limit: int, options: FetchOptions = PLAIN
    ) -> Page:
        """Return the answer to one request. Raises as `get` does; follows no redirect."""
        return await _in_time(self._once(call, limit, options), timeout_s)

    async def _follow(
        self, url: str, headers: Mapping[str, str], limit: int, options: FetchOptions
    ) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            page = await self._once(Outgoing("GET", url, headers), limit, options)
            location = page.headers.get("location", "")
            if page.status not in _REDIRECTS or not location or not options.follow_redirects:
                return page
            url = redirected(url, location)
        raise Unreachable(f"stopped after {MAX_REDIRECTS} redirects")

    async def _once(self, call: Outgoing, limit: int, options: FetchOptions) -> Page:
        """Send one request, with a token where one is asked for."""
        if options.token is None:
            return await self._sent(call, limit, options)
        header = await self._tokens.header(options.token)
        named = {**call.headers, "Authorization": header.reveal()}
        page = await self._sent(replace(call, headers=named), limit, options)
        if page.status == 401:
            self._tokens.refused(options.token, header)
        return page

    async def _sent(self, call: Outgoing, limit: int, options: FetchOptions) -> Page:
        proxy = proxy_of(call.url, options.proxy, self._environ)
        named = {name: value.reveal() for name, value in options.proxy.headers} if proxy else {}
        async with self._open().request(
            call.method,
            call.url,
            headers=call.headers,
            data=call.body or None,
            allow_redirects=False,
            ssl=await self._tls.of(options.tls),
            server_hostname=options.tls.server_name or None,
            proxy=proxy,
            proxy_headers=named or None,
        ) as answer:
            chunks, size = list[bytes](), 0
            async for chunk in answer.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise LimitExceeded(f"{TOO_LARGE}: over {limit} bytes")
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Page(answer.status, names, b"".join(chunks))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _in_time(answer: Coroutine[Any, Any, Page], timeout_s: float) -> Page:
    """Return the answer if it comes in time; put what aiohttp raises in our words."""
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError as error:
        raise Unreachable(f"no answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unreachable(_told(error)) from error


def redirected(url: str, location: str) -> str:
    """Return where a redirect leads. Raises Unreachable when it leaves the host."""
    target = urljoin(url, location)
    old, new = urlsplit(url), urlsplit(target)
    if new.scheme not in ("http", "https") or new.hostname != old.hostname:
        raise Unreachable(f"redirect to another host refused: {new.scheme}://{new.hostname}")
    if old.scheme == "https" and new.scheme == "http":
        raise Unreachable("redirect from https to http refused")
    return target


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
