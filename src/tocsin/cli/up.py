"""`tocsin up`: a first configuration where there is none, and a server in the background."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click

from tocsin.cli.client import is_ready
from tocsin.cli.home import Home, Running, alive, home_options, url_of, wait_until
from tocsin.cli.init import write_first_configuration
from tocsin.cli.main import EXIT_ERROR

READY_WITHIN_S = 60.0


@click.command()
@home_options
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops.")
def up(port: int, folder: Path, *, foreground: bool) -> None:
    """Write a first configuration where there is none, start the server, wait until ready."""
    home = Home(folder.absolute())
    wrote = write_first_configuration(home.folder, ("tenant_a", "tenant_b"), port=port)
    click.echo(f"configuration: {home.config} ({'new' if wrote else 'kept'})")
    if foreground:
        os.execv(sys.executable, home.serve_command(port))  # noqa: S606 - our own command line
    server = home.running()
    if server is None:
        _refuse_taken(port)
        server = _start(home, port)
        click.echo(f"server: started, pid {server.pid}, log {home.log_file}")
    else:
        click.echo(f"server: already running, pid {server.pid}, port {server.port}")
    _wait_ready(home, server)
    click.echo(_next_steps(home, server.port))


def _refuse_taken(port: int) -> None:
    """End the program when somebody listens already: that server's `ready` would pass for ours."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    if taken:
        click.echo(f"server: port {port} is taken by another program: choose a --port", err=True)
        sys.exit(EXIT_ERROR)


def _start(home: Home, port: int) -> Running:
    """Start the server in a session of its own and note its pid."""
    with home.log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            home.serve_command(port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    home.pid_file.write_text(f"{process.pid} {port}\n")
    return Running(process.pid, port)


def _wait_ready(home: Home, server: Running) -> None:
    pid, url = server.pid, url_of(server.port)
    ready = wait_until(lambda: not alive(pid) or is_ready(url), READY_WITHIN_S)
    if ready and alive(pid):
        return
    why = "did not become ready" if alive(pid) else "ended"
    tail = "\n".join(home.log_file.read_text(errors="replace").splitlines()[-15:])
    click.echo(f"server: {why}; the end of {home.log_file}:\n{tail}", err=True)
    sys.exit(EXIT_ERROR)


def _next_steps(home: Home, port: int) -> str:
    return "\n".join(
        [
            f"ready: {url_of(port)}",
            f"  pages          {url_of(port)}/ui",
            f"  Alertmanager   {url_of(port)}/t/<tenant>   (Prometheus, amtool, Grafana, karma)",
            f"  PromQL         {url_of(port)}/t/<tenant>/prometheus",
            f"  tokens         {home.folder / 'tokens'}   (one file a tenant)",
            "next: ./scripts/validate_monitoring.sh"
            f" --port {port} --data-dir {home.folder}   checks it from end to end",
        ]
    )
