"""The folder of one deployment, and whether its server is alive."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

DEFAULT_HOME = Path(".tocsin")
DEFAULT_PORT = 9093
HOME_VARIABLE = "TOCSIN_HOME"


@dataclass(frozen=True, slots=True)
class Running:
    """A live server: its process and the port it was started on."""

    pid: int
    port: int


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

    def running(self) -> Running | None:
        """Return the live server, None when there is none."""
        try:
            pid, port = (int(word) for word in self.pid_file.read_text().split())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return None
        return Running(pid, port) if b"tocsin" in command and alive(pid) else None

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


def home_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--port` and `--data-dir`."""
    port = click.option(
        "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, help="Port of a new server."
    )
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


def url_of(port: int) -> str:
    """Return the address of a server on this machine."""
    return f"http://127.0.0.1:{port}"


def alive(pid: int) -> bool:
    """Tell whether a process lives; a child of ours that ended does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that ended is a zombie until asked for
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def wait_until(until: Callable[[], bool], seconds: float) -> bool:
    """Ask `until` again and again; return whether it held before the time was up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.05)
    return until()
