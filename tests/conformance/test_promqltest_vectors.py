"""The shipped promqltest vectors hold, all but a reviewed list."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "promqltest"
FILES = sorted(VECTORS.glob("*.test"))

# `file:line` of a case that may fail, and why. One that starts to pass fails the test.
SKIPPED: dict[str, str] = {}


@pytest.fixture(scope="module")
def promqltest() -> ModuleType:
    """Load the runner that stands beside this file; it is a script, not a package."""
    spec = importlib.util.spec_from_file_location(
        "promqltest", Path(__file__).with_name("promqltest.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["promqltest"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not FILES, reason="no shared/vectors/promqltest beside the project")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_vectors_holds(promqltest: ModuleType, path: Path) -> None:
    report = promqltest.run([path], known=SKIPPED)
    assert report.failures == []
    assert report.passed > 0


def test_a_skipped_case_that_passes_is_a_failure(promqltest: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "sample.test"
    file.write_text("load 1m\n  x 1\n\neval instant at 0 x\n  x 1\n")
    report = promqltest.run([file], known={"sample.test:4": "reviewed"})
    assert report.passed == 0
    assert report.failures == ["sample.test:4: on the skip list, but passes"]


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        ("  x 1\n", 0),
        ("  x 2\n", 1),
        ("  y 1\n", 1),
        ("", 1),
        ("  expect fail\n", 1),
        ("  expect warn\n  x 1\n", 1),
    ],
)
def test_a_wrong_expectation_fails_the_case(
    promqltest: ModuleType, tmp_path: Path, rows: str, failed: int
) -> None:
    file = tmp_path / "sample.test"
    file.write_text(f"load 1m\n  x 1\n\neval instant at 0 x\n{rows}")
    assert len(promqltest.run([file]).failures) == failed
