"""`tocsin serve` and `tocsin alertmanager` in this process, ended by the signals they know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from house import answers, eventually, free_port, request

from tocsin.cli.main import main

ALERTMANAGER = """\
route: { receiver: team, group_by: [alertname] }
receivers: [{ name: team }]
"""


def run(arguments: list[str], url: str, meanwhile: Callable[[], None]) -> Result:
    """Run a command, do `meanwhile` in a thread once it is ready, then end it with SIGTERM."""
    trouble: list[BaseException] = []

    def drive() -> None:
        try:
            eventually(lambda: answers(f"{url}/-/ready")[0] == 200, what="ready")
            meanwhile()
        except BaseException as error:  # noqa: BLE001 - raised again by the test
            trouble.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=drive)
    thread.start()
    got = CliRunner().invoke(main, arguments)
    thread.join()
    if trouble:
        raise trouble[0]
    return got


def alertmanager(folder: Path, port: int, *flags: str) -> list[str]:
    (folder / "alertmanager.yml").write_text(ALERTMANAGER)
    return [
        "alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]


def test_an_unchanged_alertmanager_yml_is_served_without_tokens(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    seen: list[tuple[int, str]] = []

    def use() -> None:
        alert = [{"labels": {"alertname": "Down"}}]
        seen.append(request("POST", f"{url}/api/v2/alerts", body=alert))
        seen.append(answers(f"{url}/api/v2/alerts"))

    got = run(alertmanager(tmp_path, port), url, use)
    assert got.exit_code == 0
    assert seen[0] == (200, "")
    assert '"alertname":"Down"' in seen[1][1]
    assert "level=info" in got.stderr
    assert "msg=stopped" in got.stderr


def test_flags_of_gossip_are_taken_and_answered_in_the_log(tmp_path: Path) -> None:
    port = free_port()
    flags = [
        "--cluster.listen-address=0.0.0.0:9094",
        "--cluster.peer=other:9094",
        "--cluster.settle-timeout=1s",
        "--web.timeout=5s",
        "--enable-feature=classic-mode,auto-gomemlimit",
        "--dispatch.start-delay=1s",
        "--log.format=json",
        "--web.route-prefix=/base",
    ]
    url = f"http://127.0.0.1:{port}/base"
    got = run(alertmanager(tmp_path, port, *flags), url, lambda: None)
    assert got.exit_code == 0
    assert "there is no gossip: several servers share a PostgreSQL database instead" in got.stderr
    assert "--cluster.settle-timeout changes nothing: there is no gossip" in got.stderr
    assert "--web.timeout changes nothing" in got.stderr
    assert "--cluster.probe-timeout" not in got.stderr
    assert got.stderr.startswith('{"ts":')


def test_hanging_up_reloads_and_a_bad_file_does_not_end_it(tmp_path: Path) -> None:
    port = free_port()
    url, file = f"http://127.0.0.1:{port}", tmp_path / "alertmanager.yml"
    arguments = alertmanager(tmp_path, port)

    def receivers() -> str:
        return answers(f"{url}/api/v2/receivers")[1]

    def successful(expected: int) -> bool:
        line = f"tocsin_config_last_reload_successful {expected}.0"
        return line in answers(f"{url}/metrics")[1]

    def change() -> None:
        file.write_text("route: {")
        os.kill(os.getpid(), signal.SIGHUP)
        eventually(lambda: successful(0), what="a refused reload")
        assert '"team"' in receivers()
        file.write_text(ALERTMANAGER.replace("team", "other"))
        os.kill(os.getpid(), signal.SIGHUP)
        eventually(lambda: '"other"' in receivers(), what="the new receiver")
        assert successful(1)

    got = run(arguments, url, change)
    assert got.exit_code == 0
    assert "configuration refused, the old one stays" in got.stderr


def test_serve_takes_an_alertmanager_yml_too(tmp_path: Path) -> None:
    port = free_port()
    arguments = [
        "serve" if word == "alertmanager" else word for word in alertmanager(tmp_path, port)
    ]
    got = run(arguments, f"http://127.0.0.1:{port}", lambda: None)
    assert got.exit_code == 0


def test_serve_takes_our_own_file(tmp_path: Path) -> None:
    port = free_port()
    CliRunner().invoke(main, ["init", f"--dir={tmp_path}", f"--port={port}"])
    seen: list[int] = []

    def use() -> None:
        token = (tmp_path / "tokens/tenant_a.token").read_text().strip()
        seen.append(answers(f"http://127.0.0.1:{port}/api/v2/alerts", token=token)[0])
        seen.append(answers(f"http://127.0.0.1:{port}/api/v2/alerts")[0])

    arguments = ["serve", f"--config={tmp_path / 'tocsin.yaml'}", "--log.level=warn"]
    got = run(arguments, f"http://127.0.0.1:{port}", use)
    assert (got.exit_code, seen) == (0, [200, 401])


@pytest.mark.parametrize("verb", ["serve", "alertmanager"])
def test_a_file_that_is_refused_ends_the_program_in_words(tmp_path: Path, verb: str) -> None:
    file = tmp_path / "c.yml"
    file.write_text("route: { receiver: nosuch }\nreceivers: []\n")
    got = CliRunner().invoke(main, [verb, f"--config.file={file}"])
    assert got.exit_code == 1
    assert got.stderr.startswith("the configuration is refused:\n")
    assert "nosuch" in got.stderr
    missing = CliRunner().invoke(main, [verb, f"--config.file={tmp_path / 'nosuch.yml'}"])
    assert missing.exit_code == 1
    assert "nosuch.yml" in missing.stderr


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999", "0.0.0.0:9093"])
def test_an_address_that_makes_no_sense_or_is_open_is_refused(tmp_path: Path, address: str) -> None:
    CliRunner().invoke(main, ["init", f"--dir={tmp_path}"])
    got = CliRunner().invoke(
        main, ["serve", f"--config={tmp_path / 'tocsin.yaml'}", f"--listen={address}"]
    )
    assert got.exit_code == 1
    assert address in got.stderr
    assert "Traceback" not in got.stderr


def test_a_port_in_use_and_data_in_use_are_said(tmp_path: Path) -> None:
    port = free_port()
    seen: list[str] = []

    def use() -> None:
        other = tmp_path / "other"
        other.mkdir()
        seen.append(second(alertmanager(other, port)))
        seen.append(second(alertmanager(tmp_path, free_port())))

    got = run(alertmanager(tmp_path, port), f"http://127.0.0.1:{port}", use)
    assert got.exit_code == 0
    assert f"cannot start: cannot listen on 127.0.0.1:{port}" in seen[0]
    assert "cannot start: " in seen[1]
    assert "in use" in seen[1] or "another process" in seen[1]


def second(arguments: list[str]) -> str:
    """Return what a process of its own says when it may not start."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr
