"""Alertmanager's behaviour, black box: every shared vector against `tocsin alertmanager`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from house import from_source, program, shared


@pytest.mark.timeout(300)
def test_every_vector_passes() -> None:
    program("amtool")
    tool, folder = shared("tools/am_vectors.py"), shared("vectors/alertmanager")
    start = (
        f"{sys.executable} -m tocsin alertmanager --config.file={{config}}"
        " --storage.path={dir} --web.listen-address=127.0.0.1:{port}"
    )
    done = subprocess.run(
        [sys.executable, tool, "--start", start, *sorted(folder.glob("*.json"))],
        capture_output=True,
        text=True,
        env=from_source(),
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith(", 0 failed")
