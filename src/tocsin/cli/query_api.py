"""Asks the Prometheus API of a server: Tocsin's own below `/prometheus`, anybody's elsewhere."""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from tocsin.cli.client import FORM_BODY, Client, Reply
from tocsin.cli.main import EXIT_ERROR, EXIT_UNREACHABLE

T = TypeVar("T")
Params = Sequence[tuple[str, str]]
_MOUNT = "/prometheus"
_WITHIN_S = 150.0  # longer than any server lets a query run
_LONG = 2000  # characters of a query string that every proxy takes
_SHOWN = 300  # characters of an answer that is none


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """What is around every answer."""

    status: str
    data: Any = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []
    infos: list[str] = []


@dataclass(frozen=True, slots=True)
class PrometheusApi:
    """One server; whether its API is below `/prometheus` or at its root is found out."""

    client: Client

    def data(self, path: str, params: Params) -> Any:
        """Return the data of an answer, or end the program saying why there is none.

        What else the server says goes to standard error.
        """
        try:
            reply, url = self._reply("/api/v1" + path, urllib.parse.urlencode(params))
        except OSError as error:
            click.echo(f"cannot reach {self.client.url}: {error}", err=True)
            sys.exit(EXIT_UNREACHABLE)
        envelope = _envelope(reply)
        if envelope is None:
            said = " ".join(reply.body.decode(errors="replace").split())[:_SHOWN]
            fail(f"{url}: HTTP {reply.status}: {said or '(empty)'}")
        if envelope.status != "success":
            fail(f"query error: {envelope.error_type}: {envelope.error}")
        for note in (*envelope.warnings, *envelope.infos):
            click.echo(note, err=True)
        return envelope.data

    def _reply(self, path: str, query: str) -> tuple[Reply, str]:
        """Return the answer and its address: of the mount, else of the root."""
        mounted = self.client.url.endswith(_MOUNT)
        reply, tried = Reply(0, b""), path
        for tried in (path,) if mounted else (_MOUNT + path, path):
            if len(query) < _LONG:
                reply = self.client.send("GET", f"{tried}?{query}", timeout_s=_WITHIN_S)
            else:
                body = query.encode()
                reply = self.client.send("POST", tried, body, FORM_BODY, timeout_s=_WITHIN_S)
            if reply.status != 404 or _envelope(reply) is not None:
                break
        return reply, self.client.url + tried


def read(data: Any, kind: type[T]) -> T:
    """Return `data` as what it must be, or end the program."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        fail(f"this is no answer of Prometheus's API: {error}")


def fail(message: str) -> NoReturn:
    """End the program."""
    click.echo(message, err=True)
    sys.exit(EXIT_ERROR)


def _envelope(reply: Reply) -> Envelope | None:
    try:
        return msgspec.json.decode(reply.body, type=Envelope)
    except msgspec.DecodeError:
        return None
