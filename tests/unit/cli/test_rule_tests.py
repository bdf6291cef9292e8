"""`tocsin test rules`: which tests run, what is said, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.main import main

pytestmark = pytest.mark.usefixtures("logging_as_before")

RULES = """\
groups:
  - name: g
    rules:
      - {alert: Down, expr: up == 0}
"""
TESTS = """\
rule_files: [rules.yml, nosuch.yml]
tests:
  - name: it fires
    input_series: [{series: up, values: 0x3}]
    alert_rule_test: [{eval_time: 1m, alertname: Down, exp_alerts: [{}]}]
  - name: it is quiet
    input_series: [{series: up, values: 1x3}]
    alert_rule_test: [{eval_time: 1m, alertname: Down, exp_alerts: [{}]}]
"""
FUZZY = """\
tests:
  - input_series: [{series: x, values: 0.1x3}]
    promql_expr_test: [{expr: x * 3, eval_time: 1m, exp_samples: [{labels: "{}", value: 0.3}]}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "tests.yml").write_text(TESTS)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["test", "rules", *map(str, arguments)])


def test_a_failure_is_told_and_ends_with_1(folder: Path) -> None:
    got = run(folder / "tests.yml")
    assert got.exit_code == 1
    assert got.stdout == f"Unit Testing:  {folder / 'tests.yml'}\n"
    assert got.stderr.startswith("  WARNING: no file match pattern nosuch.yml\n  FAILED:\n")
    assert "    name: it is quiet,\n    alertname: Down, time: 1m,\n" in got.stderr
    assert "it fires" not in got.stderr


@pytest.mark.parametrize("only", ["^it fires$", "fires", "(fires|burns)"])
def test_run_chooses_tests_by_name(folder: Path, only: str) -> None:
    got = run("--run", only, folder / "tests.yml")
    assert (got.exit_code, got.stdout.splitlines()[1:]) == (0, ["  SUCCESS", ""])


def test_run_may_be_given_more_than_once(folder: Path) -> None:
    got = run("--run=fires", "--run=quiet", "--format=json", folder / "tests.yml")
    [file] = json.loads(got.stdout)["files"]
    assert [test["name"] for test in file["tests"]] == ["it fires", "it is quiet"]


def test_run_takes_a_regular_expression(folder: Path) -> None:
    got = run("--run", "(", folder / "tests.yml")
    assert got.exit_code == 2
    assert "--run" in got.stderr


def test_json_is_for_programs(folder: Path) -> None:
    got = run("--format=json", folder / "tests.yml")
    report = json.loads(got.stdout)
    [file] = report["files"]
    assert (got.exit_code, report["version"], file["passed"]) == (1, 1, False)
    assert (file["problems"], file["unmatched"]) == ([], ["nosuch.yml"])
    assert [test["passed"] for test in file["tests"]] == [True, False]
    assert len(file["tests"][1]["failures"]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: [", "not valid YAML"),
        ("test: []", 'unknown field "test" (did you mean "tests"?)'),
        ("tests: [{interval: 5}]", "not a valid duration"),
        ("group_eval_order: [a, b, a]", "group name repeated in evaluation order: a"),
        ("rule_files: [bad.yml]\ntests: [{}]", "bad.yml:1:"),
        ("rule_files: [folder]\ntests: [{}]", "cannot read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(folder: Path, text: str, said: str) -> None:
    (folder / "bad.yml").write_text("groups: {}")
    (folder / "folder").mkdir()
    (folder / "t.yml").write_text(text)
    got = run(folder / "t.yml")
    assert got.exit_code == 1
    assert said in got.stderr


def test_a_file_that_is_not_there_fails(folder: Path) -> None:
    assert run(folder / "nosuch.yml").exit_code == 1
    assert run().exit_code == 2


def test_the_last_bit_counts_in_the_old_mode_or_on_demand(folder: Path) -> None:
    path = folder / "f.yml"
    path.write_text(FUZZY)
    assert run(path).exit_code == 0
    assert run("--promql-mode=2.42", path).exit_code == 1
    path.write_text("fuzzy_compare: false\n" + FUZZY)
    assert run(path).exit_code == 1
    path.write_text("fuzzy_compare: true\n" + FUZZY)
    assert run("--promql-mode=2.42", path).exit_code == 0


@pytest.mark.parametrize(("mode", "count"), [("3", 5), ("2.42", 6)])
def test_the_mode_decides_whether_a_range_holds_its_left_edge(
    folder: Path, mode: str, count: int
) -> None:
    (folder / "m.yml").write_text(
        "tests: [{interval: 1m, input_series: [{series: x, values: 1x9}], promql_expr_test: "
        '[{expr: "count_over_time(x[5m])", eval_time: 9m, '
        f'exp_samples: [{{labels: "{{}}", value: {count}}}]}}]}}]'
    )
    assert run("--promql-mode", mode, folder / "m.yml").exit_code == 0
