"""`tocsin down|status`: the server in the background, known by its pid file."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from tocsin.cli.client import is_ready
from tocsin.cli.home import Home, alive, home_options, url_of, wait_until
from tocsin.cli.main import EXIT_ERROR

STOPPED_WITHIN_S = 35.0  # the server drains for at most 30 s


@click.command()
@home_options
def down(port: int, folder: Path) -> None:
    """Stop the server and wait until it has gone; nothing happens when none runs."""
    home = Home(folder.absolute())
    server = home.running()
    if server is None:
        click.echo("server: not running")
        return
    pid = server.pid
    os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: not alive(pid), STOPPED_WITHIN_S):
        click.echo(f"server: pid {pid} has not stopped in {STOPPED_WITHIN_S:.0f} s", err=True)
        sys.exit(EXIT_ERROR)
    home.pid_file.unlink(missing_ok=True)
    click.echo(f"server: stopped, pid {pid}")


@click.command()
@home_options
def status(port: int, folder: Path) -> None:
    """Say whether the server runs and is ready; exit 1 when it is not."""
    home = Home(folder.absolute())
    server = home.running()
    ready = server is not None and is_ready(url_of(server.port))
    if server is None:
        click.echo("server: not running")
    else:
        state = "ready" if ready else "not ready"
        click.echo(f"server: pid {server.pid}, {state} on {url_of(server.port)}")
    sys.exit(0 if ready else EXIT_ERROR)
