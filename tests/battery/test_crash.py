"""kill -9 at random moments, thirty times: nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import subprocess
import sys

from house import free_port, from_source, shared


def test_thirty_kills_lose_nothing_and_every_repeat_bears_its_key() -> None:
    tool = shared("tools/crash_battery.py")
    start = (
        f"{sys.executable} -m tocsin serve --config {{config}} --data-dir {{dir}}"
        " --listen 127.0.0.1:{port}"
    )
    ports = [f"--port={free_port()}", f"--sink-port={free_port()}"]
    done = subprocess.run(
        [sys.executable, tool, "--start", start, "--kills=30", "--json", *ports],
        capture_output=True,
        text=True,
        env=from_source(),
        check=False,
    )
    result = json.loads(done.stdout)
    assert result["lost"] == 0
    assert result["acked"] > 1000
    assert result["duplicates_same_key"] == result["duplicates"]
