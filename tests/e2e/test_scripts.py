"""The scripts of the README, on a port and a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import PROJECT, free_port


class Deployment:
    """One folder and port for all scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder / "home", free_port()

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        common = (f"--port={self.port}", f"--data-dir={self.folder}")
        return subprocess.run(
            [PROJECT / "scripts" / script, *arguments, *common],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder.parent,
            env={**os.environ},
            check=False,
        )


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    if not (PROJECT / ".venv" / ".tocsin-dev").exists():
        pytest.skip("needs the environment that ./scripts/test.sh makes")
    made = Deployment(tmp_path)
    yield made
    made.run("deploy_monitoring.sh", "--stop")


def test_deploy_validate_twice_status_and_stop(deployment: Deployment) -> None:
    first = deployment.run("deploy_monitoring.sh")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "ready: http://127.0.0.1" in first.stdout
    tokens = sorted(p.name for p in (deployment.folder / "tokens").iterdir())
    assert tokens == ["operator.token", "tenant_a.token", "tenant_b.token"]
    config = (deployment.folder / "tocsin.yaml").read_text()

    again = deployment.run("deploy_monitoring.sh")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "already running" in again.stdout
    assert (deployment.folder / "tocsin.yaml").read_text() == config

    checked = deployment.run("validate_monitoring.sh")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for tenant in ("tenant_a", "tenant_b"):
        assert f"ok    {tenant}: notification: test alert reached" in checked.stdout

    assert deployment.run("deploy_monitoring.sh", "--status").returncode == 0
    assert deployment.run("deploy_monitoring.sh", "--stop").returncode == 0
    assert deployment.run("deploy_monitoring.sh", "--status").returncode == 1
    assert deployment.run("validate_monitoring.sh").returncode == 1
