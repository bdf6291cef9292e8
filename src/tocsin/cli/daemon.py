"""`tocsin up|down|status`: a server in the background, known by its pid file."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tocsin.cli.client import is_ready
from tocsin.cli.init import write_first_configuration
from tocsin.cli.main import EXIT_ERROR

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 35.0  # the server drains for at most 30 s
DEFAULT_HOME = Path(".tocsin")
DEFAULT_PORT = 9093
HOME_VARIABLE = "TOCSIN_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one deployment: configuration, tokens, data, pid file and log."""

    folder: Path

    @property
    def config(self) -> Path:
        """Return where the configuration is."""
        return self.folder / "tocsin.yaml"

    @property
    def pid_file(self) -> Path:
        """Return where the process id of the background server is kept."""
        return self.folder / "tocsin.pid"

    @property
    def log_file(self) -> Path:
        """Return where the background server writes what it has to say."""
        return self.folder / "tocsin.log"

    def running_pid(self) -> int | None:
        """Return the pid of the live server, None when there is none."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        return pid if b"tocsin" in command and _alive(pid) else None

    def serve_command(self, port: int) -> list[str]:
        """Return the command line that serves this deployment."""
        return [
            sys.executable,
            "-m",
            "tocsin",
            "serve",
            f"--config={self.config}",
            f"--data-dir={self.folder / 'data'}",
            f"--listen=127.0.0.1:{port}",
        ]


def _home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    port = click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT)
    folder = click.option(
        "--data-dir",
        "folder",
        envvar=HOME_VARIABLE,
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_HOME,
        show_default=True,
        help="Folder of configuration, tokens, data, pid file and log.",
    )
    return port(folder(command))


@click.command()
@_home_options
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops.")
def up(port: int, folder: Path, *, foreground: bool) -> None:
    """Write a first configuration where there is none, start the server, wait until ready."""
    home = Home(folder.absolute())
    wrote = write_first_configuration(home.folder, ("tenant_a", "tenant_b"), port=port)
    click.echo(f"configuration: {home.config} ({'new' if wrote else 'kept'})")
    if foreground:
        os.execv(sys.executable, home.serve_command(port))  # noqa: S606 - our own command line
    pid = home.running_pid()
    if pid is None:
        pid = _start(home, port)
        click.echo(f"server: started, pid {pid}, log {home.log_file}")
    else:
        click.echo(f"server: already running, pid {pid}")
    _wait_ready(home, port, pid)
    click.echo(_next_steps(home, port))


@click.command()
@_home_options
def down(port: int, folder: Path) -> None:
    """Stop the server and wait until it has gone; nothing happens when none runs."""
    home = Home(folder.absolute())
    pid = home.running_pid()
    if pid is None:
        click.echo("server: not running")
        return
    os.kill(pid, signal.SIGTERM)
    if not _wait(lambda: not _alive(pid), STOPPED_WITHIN_S):
        click.echo(f"server: pid {pid} has not stopped in {STOPPED_WITHIN_S:.0f} s", err=True)
        sys.exit(EXIT_ERROR)
    home.pid_file.unlink(missing_ok=True)
    click.echo(f"server: stopped, pid {pid}")


@click.command()
@_home_options
def status(port: int, folder: Path) -> None:
    """Say whether the server runs and is ready; exit 1 when it is not."""
    home = Home(folder.absolute())
    pid = home.running_pid()
    ready = pid is not None and is_ready(_url(port))
    if pid is None:
        click.echo("server: not running")
    else:
        click.echo(f"server: pid {pid}, {'ready' if ready else 'not ready'} on {_url(port)}")
    sys.exit(0 if ready else EXIT_ERROR)


def _start(home: Home, port: int) -> int:
    """Start the server in a session of its own and note its pid."""
    with home.log_file.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            home.serve_command(port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    home.pid_file.write_text(f"{process.pid}\n")
    return process.pid


def _wait_ready(home: Home, port: int, pid: int) -> None:
    ready = _wait(lambda: not _alive(pid) or is_ready(_url(port)), READY_WITHIN_S)
    if ready and _alive(pid):
        return
    why = "did not become ready" if _alive(pid) else "ended"
    tail = "\n".join(home.log_file.read_text(errors="replace").splitlines()[-15:])
    click.echo(f"server: {why}; the end of {home.log_file}:\n{tail}", err=True)
    sys.exit(EXIT_ERROR)


def _next_steps(home: Home, port: int) -> str:
    return "\n".join(
        [
            f"ready: {_url(port)}",
            f"  pages          {_url(port)}/ui",
            f"  Alertmanager   {_url(port)}/t/<tenant>   (for Prometheus, amtool, Grafana, karma)",
            f"  PromQL         {_url(port)}/t/<tenant>/prometheus",
            f"  tokens         {home.folder / 'tokens'}   (one file a tenant)",
            "next: ./scripts/validate_monitoring.sh"
            f" --port {port} --data-dir {home.folder}   checks it from end to end",
        ]
    )


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that ended is a zombie until asked for
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.05)
    return until()
