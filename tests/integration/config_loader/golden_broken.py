"""Loads every broken configuration of broken.yaml; as a program, rewrites broken.txt.

PYTHONPATH=src python tests/integration/config_loader/golden_broken.py
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tocsin.config_loader.load import load
from tocsin.model.errors import ConfigError

HERE = Path(__file__).parent
GOLDEN = HERE / "broken.txt"
GOOD = {
    "rules.yml": "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n",
    "am.yml": "route: {receiver: x}\nreceivers: [{name: x}]\n",
}


def cases() -> list[dict[str, Any]]:
    """Return the broken configurations."""
    loaded: list[dict[str, Any]] = yaml.safe_load((HERE / "broken.yaml").read_text())
    return loaded


def said(case: dict[str, Any], folder: Path) -> str:
    """Return what loading `case` in `folder` says, one line a problem."""
    for name, text in {**GOOD, **case.get("files", {})}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    path = folder / "tocsin.yaml"
    path.write_text(case["config"])
    try:
        load(path, environ={})
    except ConfigError as error:
        return str(error).replace(f"{folder}{os.sep}", "")
    return "loaded without a problem"


def golden() -> dict[str, str]:
    """Return what was said when the golden file was written, by name."""
    blocks = GOLDEN.read_text().split("\n== ")
    named = (block.removeprefix("== ").rstrip("\n").split("\n", 1) for block in blocks)
    return {block[0]: block[1] for block in named}


def rewrite() -> None:
    """Write the golden file anew."""
    blocks = []
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            blocks.append(f"== {case['name']}\n{said(case, Path(folder))}\n")
    GOLDEN.write_text("\n".join(blocks))


if __name__ == "__main__":
    rewrite()
