"""`tocsin deliveries`: what was sent, to whom, and how each attempt went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from tocsin.cli.remote import at_tenant, remote

_COLUMNS = "{:<24} {:<10} {:<20} {:<12} {:>3}  {}"


@click.command()
@remote
@click.option("--receiver", default="", help="Only this receiver.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def deliveries(
    *, url: str, token_file: Path | None, tenant: str, receiver: str, limit: int, output: str
) -> None:
    """List notifications, newest first, with the outcome of their attempts."""
    params = {"limit": str(limit)} | ({"receiver": receiver} if receiver else {})
    path = "/api/tocsin/v1/deliveries"
    found = at_tenant(url, token_file, tenant).must("GET", path, params=params)["items"]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(_COLUMNS.format("FLUSHED", "STATE", "RECEIVER", "INTEGRATION", "TRY", "LAST"))
    for delivery in found:
        click.echo(_line(delivery))


def _line(delivery: dict[str, Any]) -> str:
    notification, attempts = delivery["notification"], delivery["attempts"]
    last = attempts[-1] if attempts else {}
    said = " ".join(str(last.get(key, "")) for key in ("status", "reason"))
    return _COLUMNS.format(
        notification["flushed_at"][:23],
        delivery["state"],
        notification["receiver"],
        notification["integration"],
        len(attempts),
        said.strip(),
    )
