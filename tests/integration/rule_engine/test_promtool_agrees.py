"""What promtool refuses we refuse, and nothing else (`promtool check rules`, Debian's 2.42)."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.rule_engine.check import check_rules
from tocsin.rule_engine.config import RuleFile

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

RULES = {
    "alert": "alert: A\nexpr: up == 0\nfor: 5m\nkeep_firing_for: 1m",
    "record": "record: a:b\nexpr: sum(up)",
    "number": "record: a\nexpr: 1",
    "numeric label": "alert: A\nexpr: up\nlabels: {n: 1.10, b: on}",
    "both": "alert: A\nrecord: a\nexpr: up",
    "neither": "expr: up",
    "no expression": "alert: A",
    "bad expression": "alert: A\nexpr: sum(",
    "type error": "alert: A\nexpr: rate(up)",
    "unknown key": "alert: A\nexpr: up\nform: 5m",
    "bad duration": "alert: A\nexpr: up\nfor: 5 minutes",
    "bad label": "alert: A\nexpr: up\nlabels: {a-b: c}",
    "name as label": "alert: A\nexpr: up\nlabels: {__name__: c}",
    "bad annotation": "alert: A\nexpr: up\nannotations: {a-b: c}",
    "bad record": "record: a-b\nexpr: up",
    "for on record": "record: a\nexpr: up\nfor: 1m",
    "annotations on record": "record: a\nexpr: up\nannotations: {a: b}",
    "template": "alert: A\nexpr: up\nannotations: {a: '{{ $labels.x | toUpper }} {{ $value }}'}",
    "query in template": "alert: A\nexpr: up\nannotations: {a: '{{ query \"x\" | first }}'}",
    "unknown function": "alert: A\nexpr: up\nannotations: {a: '{{ nope 1 }}'}",
    "unknown variable": "alert: A\nexpr: up\nlabels: {a: '{{ $nope }}'}",
    "open template": "alert: A\nexpr: up\nlabels: {a: '{{ $value '}",
    "missing end": "alert: A\nexpr: up\nannotations: {a: '{{ if true }}x'}",
    "unknown field": "alert: A\nexpr: up\nannotations: {a: '{{ .Nope }}'}",
    "template in record": "record: a\nexpr: up\nlabels: {a: '{{ nope }}'}",
    "odd alert name": "alert: 'any thing: {}'\nexpr: up",
    "empty label": "record: a\nexpr: up\nlabels: {a: ''}",
}
GROUPS = {
    "no groups": "groups: []",
    "no rules": "groups: [{name: a}]",
    "twice": "groups: [{name: a}, {name: a}]",
    "no name": "groups: [{name: ''}]",
    "interval": "groups: [{name: a, interval: 30s, limit: 5}]",
    "bad interval": "groups: [{name: a, interval: 30}]",
    "unknown top key": "group: []",
    "duplicate rules": "groups: [{name: a, rules: [{alert: A, expr: up}, {alert: A, expr: up}]}]",
}


def _whole(rule: str) -> str:
    indented = rule.replace("\n", "\n      ")
    return f"groups:\n  - name: g\n    rules:\n    - {indented}\n"


def _we_accept(text: str) -> bool:
    document = parse(text, file="rules.yml")
    assert document.root is not None
    converted = convert(document.root, RuleFile)
    if document.problems or converted.problems or converted.value is None:
        return False
    return not check_rules(converted.value)


def _promtool_accepts(text: str, path: Path) -> bool:
    file = path / "rules.yml"
    file.write_text(text)
    done = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(file)], capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


@pytest.mark.parametrize(
    "text", [*map(_whole, RULES.values()), *GROUPS.values()], ids=[*RULES, *GROUPS]
)
def test_the_verdict_is_that_of_promtool(text: str, tmp_path: Path) -> None:
    assert _we_accept(text) == _promtool_accepts(text, tmp_path)
