"""A deployment's folder knows whether its server is alive, stale pid files or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.home import Home, Running, alive, url_of, wait_until
from tocsin.cli.main import main


def a_dead_pid() -> int:
    """Return the pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


@pytest.mark.parametrize("content", ["", "x y", "12", "1 2 3", "-1 9093", "999999999 9093"])
def test_a_stale_pid_file_is_no_server(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    home.pid_file.write_text(content)
    assert home.running() is None


def test_without_a_pid_file_there_is_no_server(tmp_path: Path) -> None:
    assert Home(tmp_path).running() is None


def test_a_pid_that_another_program_has_now_is_no_server(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.pid_file.write_text("1 9093")
    assert home.running() is None


def test_a_pid_whose_process_has_ended_is_no_server(tmp_path: Path) -> None:
    home, pid = Home(tmp_path), a_dead_pid()
    home.pid_file.write_text(f"{pid} 9093")
    assert home.running() is None
    assert not alive(pid)


def test_a_live_server_is_known_with_its_port(tmp_path: Path) -> None:
    home = Home(tmp_path)
    code = "import sys; print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-uc", code, "tocsin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()  # now it bears its own command line
        home.pid_file.write_text(f"{process.pid} 9200\n")
        assert home.running() == Running(process.pid, 9200)
    assert home.running() is None


def test_the_command_serves_this_folder(tmp_path: Path) -> None:
    command = Home(tmp_path).serve_command(9200)
    assert command[:4] == [sys.executable, "-m", "tocsin", "serve"]
    assert f"--config={tmp_path / 'tocsin.yaml'}" in command
    assert f"--data-dir={tmp_path / 'data'}" in command
    assert "--listen=127.0.0.1:9200" in command


def test_this_process_is_alive_and_so_is_that_of_another_user() -> None:
    assert alive(os.getpid())
    assert alive(1)


def test_waiting_ends_when_it_holds_or_when_the_time_is_up() -> None:
    answers = iter([False, True])
    assert wait_until(lambda: next(answers), 5)
    assert not wait_until(lambda: False, 0)


def test_without_a_server_status_fails_and_down_does_nothing(tmp_path: Path) -> None:
    status = CliRunner().invoke(main, ["status", f"--data-dir={tmp_path}"])
    assert (status.exit_code, status.output) == (1, "server: not running\n")
    down = CliRunner().invoke(main, ["down", f"--data-dir={tmp_path}"])
    assert (down.exit_code, down.output) == (0, "server: not running\n")
    assert url_of(9093) == "http://127.0.0.1:9093"
