"""promtool and we give the same exit codes for a corpus of broken, odd and sound files.

Where they differ, DIFFERENT says why; a difference that is gone must be taken off the list.
Debian's promtool is 2.42, we read what Prometheus 3 reads.
"""

from __future__ import annotations

import functools
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from house import SHARED

from tocsin.cli.main import main

CORPUS: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("rules_corpus.py")))
PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.usefixtures("logging_as_before"),
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed"),
]

NEWER_PROMQL = "Prometheus 3 knows it, 2.42 does not"
NEWER_KEY = "a key of Prometheus 3, unknown to 2.42"
ONE_DOCUMENT = "promtool passes over all documents but the first; we refuse to lose what is in them"
NO_TAGS = "promtool takes a tag it does not know for none; we refuse what we do not understand"
DIFFERENT = {
    "by_quoted": NEWER_PROMQL + ": UTF-8 label names",
    "matcher_quoted_label": NEWER_PROMQL + ": UTF-8 label names",
    "matcher_utf8": NEWER_PROMQL + ": UTF-8 metric names",
    "dur_number": NEWER_PROMQL + ": numbers as durations",
    "num_dur": NEWER_PROMQL + ": durations as numbers",
    "num_us": NEWER_PROMQL + ": 1_000 as a number",
    "first": NEWER_PROMQL + ": first_over_time",
    "histavg": NEWER_PROMQL + ": histogram_avg",
    "histstd": NEWER_PROMQL + ": histogram_stddev",
    "holt": "Prometheus 3 renamed holt_winters to double_exponential_smoothing",
    "group_labels": NEWER_KEY,
    "query_offset": NEWER_KEY,
    "tocsin": "our own key (docs/reference): Prometheus refuses it",
    "expr_null": "2.42 reads an expression left empty as a metric called null",
    "limit_float": "promtool cuts 1.5 to 1; we say that a limit is a whole number",
    "tag_bin": NO_TAGS,
    "tag_custom": NO_TAGS,
    "two_docs": ONE_DOCUMENT,
    "two_docs_bad": ONE_DOCUMENT,
    "fuzzy": "fuzzy_compare is a key of promtool 3",
    "right_value_us": "a number with an underscore is text in YAML 1.2, which we read",
    "tests_two_docs": ONE_DOCUMENT,
}
RULE_FILES: dict[str, str | bytes] = {
    **{
        name: yaml.safe_dump({"groups": [{"name": "g", "rules": [{"alert": "A", "expr": expr}]}]})
        for name, expr in CORPUS["EXPRESSIONS"].items()
    },
    **{n: f"groups: [{{name: g, rules: [{{{text}}}]}}]" for n, text in CORPUS["RULES"].items()},
    **{name: f"groups: [{{{text}}}]" for name, text in CORPUS["GROUPS"].items()},
    **CORPUS["FILES"],
}
TESTS: dict[str, str] = CORPUS["TESTS"]
SHARED_FILES = sorted(path for path in SHARED.rglob("*.y*ml") if "groups:" in path.read_text())


def promtool(*arguments: str | Path) -> int:
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], capture_output=True, check=False, timeout=60
    ).returncode


def tocsin(*arguments: str | Path) -> int:
    return CliRunner().invoke(main, [*map(str, arguments)]).exit_code


@functools.cache
def is_debians() -> bool:
    """Tell whether promtool is the one the list of differences was made with."""
    told = subprocess.run([str(PROMTOOL), "--version"], capture_output=True, check=True, text=True)
    return "version 2.42" in told.stdout


def agree(name: str, theirs: int, ours: int) -> None:
    if name not in DIFFERENT:
        assert theirs == ours
    elif is_debians():
        assert theirs != ours, f"they agree now: take {name!r} off the list"


@pytest.mark.parametrize("name", RULE_FILES)
def test_a_rule_file_has_the_exit_code_of_promtool(name: str, tmp_path: Path) -> None:
    path, text = tmp_path / "rules.yml", RULE_FILES[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    flags = ("check", "rules", "--lint=all", "--lint-fatal", path)
    agree(name, promtool(*flags), tocsin(*flags))


@pytest.mark.parametrize("name", TESTS)
def test_a_unit_test_has_the_exit_code_of_promtool(name: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(CORPUS["TESTED"])
    path = tmp_path / "tests.yml"
    path.write_text(TESTS[name])
    theirs = promtool("test", "rules", path)
    kind = name.partition("_")[0]
    assert kind not in ("right", "wrong") or (theirs == 0) == (kind == "right")
    for mode in ("2.42", "3"):
        agree(name, theirs, tocsin("test", "rules", f"--promql-mode={mode}", path))


@pytest.mark.skipif(not SHARED_FILES, reason="the shared material is not here")
@pytest.mark.parametrize("path", SHARED_FILES, ids=lambda path: path.name)
def test_a_shared_rule_file_has_the_exit_code_of_promtool(path: Path) -> None:
    for lint in ("all", "none"):
        flags = ("check", "rules", f"--lint={lint}", "--lint-fatal", path)
        assert promtool(*flags) == tocsin(*flags) == 0


def test_the_corpus_is_large_enough_and_every_difference_is_in_it() -> None:
    refused = [name for name in RULE_FILES if name not in DIFFERENT]
    assert len(refused) >= 200
    assert len([name for name in TESTS if name.startswith("right")]) >= 20
    assert len([name for name in TESTS if name.startswith("wrong")]) >= 10
    assert DIFFERENT.keys() <= RULE_FILES.keys() | TESTS.keys()
