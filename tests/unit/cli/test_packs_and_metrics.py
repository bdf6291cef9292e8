"""`tocsin packs` and `tocsin metrics`: what they list, render and refuse."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner, Result

from tocsin.cli.listing import Row, table
from tocsin.cli.main import main
from tocsin.config_loader.packs import pack_names, read_pack
from tocsin.metrics_collector.catalogue import catalogue

pytestmark = pytest.mark.usefixtures("logging_as_before")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_packs_are_listed_in_every_form() -> None:
    lines = run("packs", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "TITLE", "ALERTS", "RECORDING", "RULES", "PARAMETERS"]
    assert [line.split()[0] for line in lines[1:]] == pack_names()
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        listed = read(run("packs", "list", "-o", form).stdout)
        assert listed["version"] == 1
        assert [row["name"] for row in listed["items"]] == pack_names()
        assert {row["name"]: row["alerts"] for row in listed["items"]}["ai_ml"] == 9


def test_a_pack_is_shown_with_parameters_and_alerts() -> None:
    text = run("packs", "show", "ai_ml").stdout
    assert text.startswith("AI/ML: Models that answer badly")
    assert "drift_psi" in text
    assert "RecommendationNDCGLow" in text
    shown = yaml.safe_load(run("packs", "show", "ai_ml", "-o", "yaml").stdout)
    assert [row["name"] for row in shown["alerts"]] == read_pack("ai_ml").alerts
    assert {row["name"] for row in shown["parameters"]} == set(read_pack("ai_ml").head.parameters)
    assert shown["looks_back"] == "10m"
    assert "NAME" not in run("packs", "show", "adapters").stdout


def test_a_rendered_pack_is_a_rule_file() -> None:
    got = run(
        "packs",
        "render",
        "ai_ml",
        "--set=drift_psi=0.3",
        "--for=ModelStale=1d",
        "--without=FeatureStoreStale",
        "--runbooks=https://wiki",
    )
    assert got.exit_code == 0
    groups = yaml.safe_load(got.stdout)["groups"]
    rules = {r["alert"]: r for group in groups for r in group["rules"] if "alert" in r}
    assert rules["ModelFeatureDrift"]["expr"].endswith("> 0.3")
    assert rules["ModelStale"]["for"] == "1d"
    assert rules["ModelStale"]["annotations"]["runbook_url"] == "https://wiki/ModelStale"
    assert "FeatureStoreStale" not in rules


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "sistem"], 'no rule pack "sistem" (did you mean "system"?)'),
        (["render", "sistem"], 'no rule pack "sistem" (did you mean "system"?)'),
        (["test", "sistem"], 'no rule pack "sistem" (did you mean "system"?)'),
        (["render", "ai_ml", "--set=drift_psi"], "write NAME=VALUE, not 'drift_psi'"),
        (["render", "ai_ml", "--set=drift=1"], 'no parameter "drift" (did you mean "drift_psi"?)'),
        (["render", "ai_ml", "--for=ModelStale=soon"], "not a valid duration string: 'soon'"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said_with_the_nearest_name(
    arguments: list[str], message: str
) -> None:
    got = run("packs", *arguments)
    assert got.exit_code == 1
    assert message in got.stderr


def test_unit_tests_of_a_pack_are_run() -> None:
    got = run("packs", "test", "adapters")
    assert (got.exit_code, got.stdout) == (0, "Unit Testing:  adapters_test.yml\n  SUCCESS\n\n")


def test_the_catalogue_is_listed_in_every_form() -> None:
    lines = run("metrics", "catalogue").stdout.splitlines()
    assert len(lines) == len(catalogue()) + 1
    items = json.loads(run("metrics", "catalogue", "-o", "json", "--source=security").stdout)
    first = items["items"][0]
    assert (first["name"], first["labels"]) == ("auth_login_attempts_total", ["outcome", "source"])
    assert all("security" in item["source"] for item in items["items"])


def test_a_table_is_as_wide_as_its_cells() -> None:
    rows: list[Row] = [{"a": "long word", "b": [1, 2]}, {"a": "x"}]
    assert table(rows, ("a", "b")) == ["A          B", "long word  1, 2", "x"]
