"""Talking to a running server from the command line: standard library only, one answer type."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tocsin.cli.main import EXIT_ERROR, EXIT_UNREACHABLE

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    status: int
    body: bytes

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
    """A server's address and the token to show it; both may come from the environment."""

    url: str
    token: str = ""

    def call(
        self, method: str, path: str, *, params: dict[str, str] | None = None, body: Any = None
    ) -> Reply:
        """Return the answer, whatever its status. Raises OSError when there is none."""
        query = "?" + urllib.parse.urlencode(params) if params else ""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked in `client`
            self.url + path + query, data, headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return Reply(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read())

    def must(self, method: str, path: str, *, params: dict[str, str] | None = None) -> Any:
        """Return the decoded answer, or end the program saying why there is none."""
        try:
            reply = self.call(method, path, params=params)
        except OSError as error:
            click.echo(f"cannot reach {self.url}: {error}", err=True)
            sys.exit(EXIT_UNREACHABLE)
        if not reply.ok:
            click.echo(f"{self.url}{path}: HTTP {reply.status}: {reply.body.decode()}", err=True)
            sys.exit(EXIT_ERROR)
        return reply.json()


def client(url: str, token_file: Path | None) -> Client:
    """Return a client; flags win over TOCSIN_URL and TOCSIN_TOKEN_FILE."""
    url = url or os.environ.get("TOCSIN_URL", "") or "http://127.0.0.1:9093"
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise click.BadParameter(f"{url!r} is no http or https address", param_hint="--url")
    path = token_file or _from_environment()
    return Client(url.rstrip("/"), path.read_text().strip() if path else "")


def is_ready(url: str) -> bool:
    """Tell whether the server at `url` answers and is ready."""
    try:
        return Client(url).call("GET", "/-/ready").ok
    except OSError:
        return False


def _from_environment() -> Path | None:
    named = os.environ.get("TOCSIN_TOKEN_FILE", "")
    return Path(named) if named else None
