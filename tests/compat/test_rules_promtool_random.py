"""Random rules over random data: the same alerts fire in `promtool test rules` and in ours.

Each test expects that nothing fires, so that both programs print what does.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tocsin.cli.main import main

PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.usefixtures("logging_as_before"),
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed"),
]
EXPRESSIONS = (
    "x > 5",
    "sum by (h) (x) > 8",
    "rate(c[5m]) > 0.5",
    "absent(x{h='a'})",
    "x unless on (h) y",
    "changes(x[6m]) > 1",
    "count by (h) (ALERTS{alertstate='firing'}) > 0",
    "delta(x[5m]) > 1",
    "x offset 2m > 5",
    "max_over_time(sum(x)[5m:1m]) > 7",
)
_FIRED = re.compile(
    r"alertname: (\w+), time: (\w+?)(?:0s)?, ?\n\s+exp:.*?\n\s+got:\[(.*?)\n\s+\]", re.DOTALL
)


def fired(report: str) -> list[tuple[str, str, str]]:
    """Return name, time and alerts of every failure."""
    return [(hit[1], hit[2], " ".join(hit[3].split())) for hit in _FIRED.finditer(report)]


def rule(dice: random.Random, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "alert": name,
        "expr": dice.choice(EXPRESSIONS),
        "labels": {"s": "{{ if gt $value 6.0 }}hi{{ else }}lo{{ end }}"},
        "annotations": {"v": "{{ $value }} {{ $labels.h }} {{ humanize $value }}"},
    }
    if dice.random() < 0.6:
        made["for"] = dice.choice(("1m", "3m", "90s"))
    if dice.random() < 0.4:
        made["keep_firing_for"] = dice.choice(("1m", "2m", "5m"))
    return made


def values(dice: random.Random) -> str:
    forms = ("_", "stale", "_x3", "NaN", "{a}", "{a}x{n}", "{a}+{b}x{n}", "{a}-1.5x3")
    numbers = [(dice.randint(0, 9), dice.randint(0, 3), dice.randint(1, 5)) for _ in range(8)]
    return " ".join(dice.choice(forms).format(a=a, b=b, n=n) for a, b, n in numbers)


def write(folder: Path, dice: random.Random) -> Path:
    names = [f"A{index}" for index in range(4)]
    rules = [
        {"record": "y", "expr": dice.choice(("x > 3", "sum by (h) (x)", "x * 2"))},
        *(rule(dice, name) for name in names),
    ]
    test = {
        "interval": dice.choice(("1m", "30s", "15s")),
        "input_series": [
            {"series": f'{metric}{{h="{host}"}}', "values": values(dice)}
            for metric in "xc"
            for host in "ab"
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []}
            for minute in range(0, 25, 2)
            for name in names
        ],
    }
    interval = dice.choice(("1m", "30s", "2m"))
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": interval, "tests": [test]}
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    (folder / "tests.yml").write_text(json.dumps(whole))
    return folder / "tests.yml"


@pytest.mark.parametrize("seed", range(30))
def test_the_same_alerts_fire(seed: int, tmp_path: Path) -> None:
    path = write(tmp_path, random.Random(seed))  # noqa: S311  # repeatable, not secret
    theirs = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(path)],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    ours = CliRunner().invoke(main, ["test", "rules", "--promql-mode=2.42", str(path)])
    assert ours.exit_code == theirs.returncode
    assert fired(ours.stderr) == fired(theirs.stderr)
