"""A wheel, built once and installed into an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from house import PROJECT


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a fresh environment that has Tocsin from its wheel.

    The dependencies are those of the environment the tests run in, by a path file, so that
    nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder / "dist"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    venv.create(folder / "env", with_pip=True)
    python = str(folder / "env" / "bin" / "python")
    (wheel,) = (folder / "dist").glob("tocsin-*.whl")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # Listed after the environment's own folder, so the wheel wins over a source checkout.
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin"
