"""promtool takes the rendered packs, and its verdict on their unit tests is ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tocsin.cli.main import main
from tocsin.cli.packs import write_pack_tests
from tocsin.config_loader.packs import pack_names

PROMTOOL = shutil.which("promtool")

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("logging_as_before"),
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed"),
]


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("name", pack_names())
def test_promtool_finds_no_fault_in_a_pack_and_passes_its_tests(name: str, tmp_path: Path) -> None:
    tests = list(write_pack_tests(name, tmp_path))
    checked = promtool("check", "rules", tmp_path / f"{name}.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", *tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert tested.stdout.count("SUCCESS") == len(tests)


@pytest.mark.parametrize("mode", ["3", "2.42"])
@pytest.mark.parametrize("name", pack_names())
def test_our_verdict_is_the_same_in_either_mode(name: str, mode: str) -> None:
    got = CliRunner().invoke(main, ["packs", "test", name, f"--promql-mode={mode}"])
    assert got.exit_code == 0, got.output


def test_a_pack_that_is_changed_fails_in_both(tmp_path: Path) -> None:
    tests = list(write_pack_tests("ai_ml", tmp_path))
    rules = tmp_path / "ai_ml.yml"
    text = rules.read_text()
    rules.write_text(re.sub(r"(ml_feature_drift_psi\) >) 0\.2", r"\1 0.6", text))
    assert rules.read_text() != text
    assert promtool("test", "rules", *tests).returncode == 1
    ours = CliRunner().invoke(main, ["test", "rules", *map(str, tests)])
    assert ours.exit_code == 1
    assert "ModelFeatureDrift" in ours.stderr
