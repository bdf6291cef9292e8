"""Talking to a running server from the command line: standard library only, one answer type.

A server on loopback is asked directly, whatever proxy the environment names.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from tocsin.cli.main import EXIT_ERROR, EXIT_UNREACHABLE

TIMEOUT_S = 15.0
JSON_BODY = {"Content-Type": "application/json"}
FORM_BODY = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered; `tag` is the ETag of what it answered with."""

    status: int
    body: bytes
    tag: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the decoded body, None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Client:
    """A server's address and the token to show it; `headers` go with every request."""

    url: str
    token: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, body: Any = None
    ) -> Reply:
        """Return the answer, whatever its status. Raises OSError when there is none."""
        query = "?" + urllib.parse.urlencode(params) if params else ""
        if body is None:
            return self.send(method, path + query)
        return self.send(method, path + query, json.dumps(body).encode(), JSON_BODY)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """Return the answer to a body as it is. Raises OSError when there is none."""
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked in `client`
            self.url + path, body, {**dict(self.headers), **shown, **headers}, method=method
        )
        try:
            with _opener(self.url).open(request, timeout=timeout_s) as answer:
                return Reply(answer.status, answer.read(), answer.headers.get("ETag", ""))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"what answers does not speak HTTP: {error!r}") from error

    def must(self, method: str, path: str, *, params: dict[str, str] | None = None) -> Any:
        """Return the decoded object, or end the program saying why there is none."""
        try:
            reply = self.call(method, path, params=params)
        except OSError as error:
            click.echo(f"cannot reach {self.url}: {error}", err=True)
            sys.exit(EXIT_UNREACHABLE)
        said, answer = reply.body.decode(errors="replace"), reply.json()
        if not reply.ok:
            click.echo(f"{self.url}{path}: HTTP {reply.status}: {said}", err=True)
            sys.exit(EXIT_ERROR)
        if not isinstance(answer, dict):
            click.echo(f"{self.url}{path}: no answer of Tocsin's: {said[:200]}", err=True)
            sys.exit(EXIT_ERROR)
        return answer


def client(url: str, token_file: Path | None) -> Client:
    """Return a client that shows the token in `token_file`. Raises BadParameter."""
    if not _is_http(url):
        raise click.BadParameter(f"{url!r} is no http or https address", param_hint="--url")
    return Client(url.rstrip("/"), token_file.read_text().strip() if token_file else "")


def is_ready(url: str) -> bool:
    """Tell whether the server at `url` answers and is ready."""
    try:
        return Client(url).call("GET", "/-/ready").ok
    except OSError:
        return False


def _is_http(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens `url`: on loopback without the proxies of the environment."""
    host = urllib.parse.urlsplit(url).hostname or ""
    direct = (urllib.request.ProxyHandler({}),) if _is_loopback(host) else ()
    return urllib.request.build_opener(*direct)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
