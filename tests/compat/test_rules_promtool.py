"""`tocsin test rules` and `tocsin check rules` say what promtool says of the same files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.main import main

PROMTOOL = shutil.which("promtool")
RULES = Path(__file__).parent / "rules"
PACKS = Path(__file__).parents[3] / "shared" / "content" / "rule-packs"  # where it is there
UNIT_TESTS = [
    *sorted((RULES / "unittest").glob("pass_*.yml")),
    *sorted((RULES / "unittest").glob("fail_*.yml")),
]
PACK_TESTS = sorted(PACKS.glob("*_test.yml"))
RULE_FILES = [*sorted((RULES / "files").glob("*.yml")), *sorted(PACKS.glob("*[!t].yml"))]

pytestmark = pytest.mark.usefixtures("logging_as_before")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )


def tocsin(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def complaints(text: str) -> list[str]:
    """Return which alerts and expressions a report of failures names, with their times."""
    return re.findall(r"^    (?:alertname|expr|rule): .*?, time: \w+", text, re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def say_which() -> None:
    if PROMTOOL is not None:
        print(promtool("--version").stdout.splitlines()[0])  # noqa: T201


@with_promtool
@pytest.mark.parametrize("path", [*UNIT_TESTS, *PACK_TESTS], ids=lambda path: path.stem)
def test_a_unit_test_has_the_verdict_of_promtool(path: Path) -> None:
    theirs = promtool("test", "rules", path)
    ours = tocsin("test", "rules", "--promql-mode=2.42", path)
    assert ours.exit_code == theirs.returncode, ours.output


@with_promtool
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_failures_name_what_promtool_names(path: Path) -> None:
    theirs = complaints(promtool("test", "rules", path).stderr)
    ours = complaints(tocsin("test", "rules", "--promql-mode=2.42", path).stderr)
    assert [re.sub(r"(?<=m)0s$", "", line) for line in theirs] == ours


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_a_unit_test_ends_as_its_name_says(path: Path) -> None:
    got = tocsin("test", "rules", "--promql-mode=2.42", path)
    assert got.exit_code == (0 if path.name.startswith("pass_") else 1), got.output


@pytest.mark.skipif(not PACK_TESTS, reason="the shared rule packs are not here")
def test_the_shared_packs_pass_in_either_mode() -> None:
    for mode in ("3", "2.42"):
        got = tocsin("test", "rules", f"--promql-mode={mode}", *PACK_TESTS)
        assert got.exit_code == 0, got.output


@with_promtool
@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_a_rule_file_has_the_verdict_of_promtool(path: Path) -> None:
    for lint in ("all", "duplicate-rules", "none"):
        flags = (f"--lint={lint}", "--lint-fatal")
        theirs = promtool("check", "rules", *flags, path)
        ours = tocsin("check", "rules", *flags, path)
        assert ours.exit_code == theirs.returncode, ours.output


@with_promtool
def test_lint_alone_is_no_failure_for_either() -> None:
    paths = sorted((RULES / "files").glob("lint_*.yml"))
    assert paths
    assert promtool("check", "rules", *paths).returncode == 0
    assert tocsin("check", "rules", *paths).exit_code == 0


@with_promtool
def test_rules_are_counted_as_promtool_counts() -> None:
    paths = sorted((RULES / "files").glob("good_*.yml"))
    theirs = re.findall(r"\d+ rules found", promtool("check", "rules", *paths).stdout)
    assert re.findall(r"\d+ rules found", tocsin("check", "rules", *paths).stdout) == theirs


def test_there_are_enough_broken_files() -> None:
    assert len(list((RULES / "files").glob("bad_*.yml"))) >= 30
