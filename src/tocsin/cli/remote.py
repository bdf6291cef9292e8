"""What every verb that asks a running server has in common: where it is and who asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tocsin.cli.client import Client, client
from tocsin.model.errors import InvalidInput
from tocsin.model.tenant import tenant_id


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
