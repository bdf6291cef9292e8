"""The quick start of the README, verbatim, from an installed wheel in an empty directory."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from house import PROJECT, Process, answers, eventually, free_port, running, wait_ready

QUICK_START = """\
from configs import AlertManager, MetricsCollector
alert_manager = AlertManager.from_config("tenant_config.yaml")
metrics = MetricsCollector(tenant_id="spotify_tenant_1")
alert_manager.start_monitoring()
"""


def at_port(folder: Path, port: int) -> None:
    """Put the example configuration into `folder`, listening on `port`."""
    text = (PROJECT / "examples" / "tenant_config.yaml").read_text()
    assert "127.0.0.1:9093" in text
    folder.joinpath("tenant_config.yaml").write_text(text.replace(":9093", f":{port}"))


def test_the_readme_shows_this_quick_start() -> None:
    assert QUICK_START in (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("package", ["configs", "tocsin"])
def test_the_quick_start_runs_until_ctrl_c_and_stops_cleanly(
    package: str, installed: Path, tmp_path: Path
) -> None:
    port = free_port()
    at_port(tmp_path, port)
    code = QUICK_START.replace("from configs", f"from {package}")
    code += 'metrics.inc("playlist_saves", surface="home")\nprint("returned", flush=True)\n'
    process = Process([str(installed / "python"), "-c", code], tmp_path / "log", cwd=tmp_path)
    url = f"http://127.0.0.1:{port}"
    with running(process.start()):
        wait_ready(process, f"{url}/-/ready")
        eventually(lambda: "returned" in process.tail(), what="start_monitoring to return")

        def found(expr: str) -> bool:
            _, body = answers(f"{url}/prometheus/api/v1/query?query={expr}")
            return bool(json.loads(body)["data"]["result"])

        eventually(lambda: found("playlist_saves_total"), what="the counter in the store")
        later = "count_over_time(node_time_seconds[1m])>=3"  # every 5 s: the script has ended
        eventually(lambda: found(later), what="this host still being measured")
        assert answers(f"{url}/api/tocsin/v1/deliveries") == (200, '{"items":[],"next":null}')
        assert process.alive
        process.signal(signal.SIGINT)
        eventually(lambda: not process.alive, what="a clean end after Ctrl-C")
        assert process.stop() == 0, process.tail()
        assert "Traceback" not in process.tail()


def test_a_collector_without_a_server_says_what_to_do(installed: Path, tmp_path: Path) -> None:
    code = 'from tocsin import MetricsCollector\nMetricsCollector(tenant_id="acme")'
    done = subprocess.run(
        [installed / "python", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert "AlertManager.from_config" in done.stderr
    assert "sink=" in done.stderr


def test_importing_the_package_loads_no_server(installed: Path, tmp_path: Path) -> None:
    code = "import sys, tocsin; print(sorted({'uvicorn', 'numpy', 'aiohttp'} & set(sys.modules)))"
    done = subprocess.run(
        [installed / "python", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_configuration_with_faults_is_refused_with_their_places(
    installed: Path, tmp_path: Path
) -> None:
    tmp_path.joinpath("tocsin.yaml").write_text("tenants:\n  - id: a\n    scrape_confgs: []\n")
    done = subprocess.run(
        [installed / "tocsin", "check", "config", "tocsin.yaml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"tocsin\.yaml:3:5: .*scrape_configs", done.stderr), done.stderr


def test_the_drop_in_logs_its_address_as_alertmanager_does(installed: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("am.yml").write_text("route: {receiver: r}\nreceivers: [{name: r}]\n")
    process = Process(
        [
            str(installed / "tocsin"),
            "alertmanager",
            "--config.file=am.yml",
            f"--storage.path={tmp_path / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
            "--log.level=info",
        ],
        tmp_path / "log",
        cwd=tmp_path,
    )
    with running(process.start()):
        found = eventually(
            lambda: re.search(r'msg="Listening on" address=(127\.0\.0\.1:\d+)', process.tail()),
            what="the address in the log",
        )
        url = f"http://{found[1]}"
        wait_ready(process, f"{url}/-/ready")
        assert answers(f"{url}/api/v2/receivers") == (200, '[{"name":"r"}]\n')
        assert process.stop() == 0
