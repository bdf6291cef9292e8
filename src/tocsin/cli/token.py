"""`tocsin token`: make a token; the configuration gets its digest, a program gets the token."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import click

from tocsin.security.permissions import Role
from tocsin.security.tokens import ENTROPY_BYTES, mint

_ROLES = [role.value for role in Role if role not in (Role.NOBODY, Role.OWNER)]


@click.group()
def token() -> None:
    """Make a token for the configuration."""


@token.command()
@click.option("--name", default="new", show_default=True, help="What it is called in logs.")
@click.option("--role", type=click.Choice(_ROLES), default=Role.TENANT_ADMIN.value)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the token to this file (mode 0600) instead of to stderr.",
)
def new(name: str, role: str, out: Path | None) -> None:
    """Print the line for `tokens:`; the token itself is shown once."""
    digest = new_token(out)
    click.echo(f"- {{ name: {name}, role: {role}, sha256: {digest} }}")


def new_token(out: Path | None) -> str:
    """Make a token, show it or write it to a file only its owner can read; return its digest."""
    minted = mint(secrets.token_bytes(ENTROPY_BYTES))
    if out is None:
        click.echo(f"token: {minted.plain.reveal()}", err=True)
        return minted.sha256
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    owner_only = stat.S_IRUSR | stat.S_IWUSR
    with os.fdopen(os.open(out, flags, owner_only), "w") as file:
        os.fchmod(file.fileno(), owner_only)  # a file that was there keeps its mode otherwise
        file.write(minted.plain.reveal() + "\n")
    return minted.sha256
