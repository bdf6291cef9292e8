"""Every fault of a broken configuration is told, at its line and column, and nothing else."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _golden() -> ModuleType:
    path = Path(__file__).with_name("golden_broken.py")
    spec = importlib.util.spec_from_file_location("golden_broken", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


broken = _golden()
GOLDEN = broken.golden()


def outline(said: str) -> list[str]:
    """Return place and message of each line, without what a parser says after a second colon."""
    return [": ".join(line.split(": ")[:2]) for line in said.splitlines()]


@pytest.mark.parametrize("case", broken.cases(), ids=lambda case: case["name"])
def test_what_is_said_of_a_broken_configuration(case: dict[str, Any], tmp_path: Path) -> None:
    assert outline(broken.said(case, tmp_path)) == outline(GOLDEN[case["name"]])


def test_every_problem_has_a_place() -> None:
    lines = [line for text in GOLDEN.values() for line in text.splitlines()]
    assert len(GOLDEN) >= 30
    assert len(lines) >= 80
    without = [line for line in lines if not re.match(r"[\w.-]+:\d+:\d+: ", line)]
    assert without == ["bad.tmpl:2: missing value for if"]
