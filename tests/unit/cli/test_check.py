"""`tocsin check` tells every fault with its place, in words, JSON or a workflow's annotations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tocsin.cli.main import main

GOOD = """\
tenant: acme
alertmanager:
  route: {receiver: team}
  receivers: [{name: team}]
"""
ALERTMANAGER = """\
route: {receiver: team}
receivers: [{name: team}]
"""
RULES = """\
groups:
  - name: g
    rules:
      - {alert: Down, expr: up == 0}
"""


def check(kind: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", kind, *map(str, arguments)])


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [GOOD, ALERTMANAGER])
def test_a_sound_configuration_is_ok(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "c.yaml", text)
    got = check("config", path)
    assert (got.exit_code, got.stdout) == (0, f"{path}: ok\n")


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    bad = write(tmp_path, "bad.yaml", GOOD.replace("receiver: team", "receiver: nosuch"))
    worse = write(tmp_path, "worse.yaml", GOOD + "scrape_confgs: []\nlogg: {}\n")
    got = check("config", good, bad, worse)
    assert got.exit_code == 1
    assert got.stdout == f"{good}: ok\n"
    assert f"{bad}: 1 problem\n  {bad}:3:" in got.stderr
    assert f"{worse}: 2 problems\n  {worse}:5:1: " in got.stderr
    assert "did you mean" in got.stderr or "scrape_configs" in got.stderr


def test_json_is_for_programs(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.yaml", GOOD + "scrape_confgs: []\n")
    got = check("config", "--format=json", bad)
    assert got.exit_code == 1
    report = json.loads(got.stdout)
    assert report["version"] == 1
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == (str(bad), 5, 1)
    assert "scrape_confgs" in problem["message"]
    sound = check("config", "--format=json", write(tmp_path, "good.yaml", GOOD))
    assert (sound.exit_code, json.loads(sound.stdout)["problems"]) == (0, [])


def test_github_is_an_annotation_a_fault(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.yaml", GOOD + "scrape_confgs: []\n")
    got = check("config", "--format=github", bad)
    assert got.exit_code == 1
    assert got.stdout.startswith(f"::error file={bad},line=5,col=1::")
    assert check("config", "--format=github", write(tmp_path, "ok.yaml", GOOD)).stdout == ""


def test_an_annotation_cannot_be_broken_out_of(tmp_path: Path) -> None:
    bad = write(tmp_path, "a,b:c%.yaml", GOOD + '"x%0A::error::\\n y": []\n')
    got = check("config", "--format=github", bad)
    (line,) = got.stdout.splitlines()
    head, _, message = line.removeprefix("::").partition("::")
    assert head.endswith("a%2Cb%3Ac%25.yaml,line=5,col=1")
    assert "x%250A" in message


def test_a_warning_is_said_and_does_not_fail(tmp_path: Path) -> None:
    text = ALERTMANAGER + "templates: ['*.nosuch']\n"
    got = check("config", write(tmp_path, "c.yml", text))
    assert got.exit_code == 0
    assert "warning: " in got.stderr


@pytest.mark.parametrize("kind", ["config", "rules"])
def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path, kind: str) -> None:
    got = check(kind, tmp_path / "nosuch.yml")
    assert got.exit_code == 1
    assert "nosuch.yml: 1 problem" in got.stderr


def test_a_sound_rule_file_is_ok_and_a_bad_one_is_not(tmp_path: Path) -> None:
    good = write(tmp_path, "good.yml", RULES)
    assert check("rules", good).stdout == f"{good}: ok, 1 rules found\n"
    bad = write(tmp_path, "bad.yml", RULES.replace("up == 0", "up ="))
    got = check("rules", good, bad, "--format=json")
    assert got.exit_code == 1
    (problem,) = json.loads(got.stdout)["problems"]
    assert (problem["file"], problem["line"]) == (str(bad), 4)


def test_lint_is_said_and_fatal_only_on_demand(tmp_path: Path) -> None:
    twice = write(tmp_path, "twice.yml", RULES + "      - {alert: Down, expr: up == 1}\n")
    got = check("rules", twice)
    assert (got.exit_code, got.stdout) == (0, f"{twice}: ok, 2 rules found\n")
    assert f"{twice}: 2 lint findings\n  {twice}:4:" in got.stderr
    assert check("rules", twice, "--lint-fatal").exit_code == 3
    assert check("rules", twice, "--lint-fatal", "--lint=all").exit_code == 3
    assert check("rules", twice, "--lint-fatal", "--lint=none").exit_code == 0
    report = json.loads(check("rules", twice, "--format=json").stdout)
    assert (report["problems"], [row["line"] for row in report["lint"]]) == ([], [4, 5])
    assert check("rules", twice, "--format=github").stdout.startswith("::warning file=")


def test_a_fault_weighs_more_than_lint(tmp_path: Path) -> None:
    twice = write(tmp_path, "twice.yml", RULES + "      - {alert: Down, expr: up == 1}\n")
    bad = write(tmp_path, "bad.yml", RULES.replace("up == 0", "up ="))
    assert check("rules", twice, bad, "--lint-fatal").exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["-"]])
@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (RULES.encode(), 0, "standard input: ok, 1 rules found\n"),
        (b"", 0, "standard input: ok, 0 rules found\n"),
        (b"groups: [{name: ''}]", 1, "  standard input:1:"),
        (b"groups: \xff", 1, "standard input is not UTF-8"),
        (b"#" * (1 << 20) + b"#", 1, "file is too large"),
    ],
)
def test_rules_may_come_on_standard_input(
    arguments: list[str], given: bytes, code: int, said: str
) -> None:
    got = CliRunner().invoke(main, ["check", "rules", *arguments], input=given)
    assert got.exit_code == code
    assert said in got.output


def test_a_file_is_needed() -> None:
    assert check("config").exit_code == 2


def test_keys_of_others_are_passed_over_when_asked_to(tmp_path: Path) -> None:
    theirs = "namespace: x\n" + RULES.replace("- name: g", "- name: g\n    source_tenants: [a]")
    path = write(tmp_path, "r.yml", theirs.replace("up == 0", "up == 0, debug: 1"))
    assert check("rules", path).exit_code == 1
    got = check("rules", "--ignore-unknown-fields", path)
    assert (got.exit_code, got.stdout) == (0, f"{path}: ok, 1 rules found\n")
    faulty = write(tmp_path, "f.yml", theirs.replace("up == 0", "up =="))
    assert check("rules", "--ignore-unknown-fields", faulty).exit_code == 1


def test_rules_are_read_as_the_prometheus_asked_for_reads_them(tmp_path: Path) -> None:
    path = write(
        tmp_path, "r.yml", RULES.replace("up == 0", "'holt_winters(up[1h], 0.5, 0.5) > 1'")
    )
    assert check("rules", path).exit_code == 1
    assert check("rules", "--promql-mode=2.42", path).exit_code == 0


def test_groups_and_rules_that_are_nothing_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "r.yml", "groups: [null, {name: g, rules: [null, ~]}]\n")
    assert check("rules", path).stdout == f"{path}: ok, 0 rules found\n"
    limit = write(tmp_path, "l.yml", f"groups: [{{name: g, limit: {2**63}}}]\n")
    assert "limit does not fit into 64 bits" in check("rules", limit).stderr
