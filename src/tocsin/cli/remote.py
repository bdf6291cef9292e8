"""What every verb that asks a running server has in common: where it is and who asks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tocsin.cli.client import Client, client
from tocsin.model.errors import InvalidInput
from tocsin.model.rfc3339 import parse_time
from tocsin.model.tenant import tenant_id

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([^\r\n]+)")


def remote(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--url`, `--token-file` and `--tenant`; the flag wins over the environment."""
    options = (
        click.option("--url", envvar="TOCSIN_URL", default="http://127.0.0.1:9093"),
        click.option(
            "--token-file",
            envvar="TOCSIN_TOKEN_FILE",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
        ),
        click.option("--tenant", envvar="TOCSIN_TENANT", default="", help="Default: the token's."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def at_tenant(url: str, token_file: Path | None, tenant: str) -> Client:
    """Return a client for a tenant's mount, for the server's root when none is named."""
    if not tenant:
        return client(url, token_file)
    try:
        return client(f"{url.rstrip('/')}/t/{tenant_id(tenant)}", token_file)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint="--tenant") from error


def headers_of(written: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the headers written as `NAME: VALUE`. Raises BadParameter."""
    found = [_HEADER.fullmatch(text) for text in written]
    if None in found:
        raise click.BadParameter("write NAME: VALUE", param_hint="--header")
    return tuple((match[1], match[2]) for match in found if match)


def time_ms(text: str, flag: str) -> int:
    """Return a time in Unix ms, Unix seconds or RFC 3339; nothing stands for now.

    Raises BadParameter.
    """
    if not text:
        return round(time.time() * 1000)
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        at = parse_time(text)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint=flag) from error
    if at is None:
        raise click.BadParameter("the zero time is no time", param_hint=flag)
    return round(at.timestamp() * 1000)
