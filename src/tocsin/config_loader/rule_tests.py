"""A file of unit tests for rules, and the rule files it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rules import read_rule_file
from tocsin.config_loader.tree import parse
from tocsin.model.errors import ConfigError, Problem
from tocsin.rule_engine.config import RuleFile
from tocsin.rule_engine.unittest_file import RuleTestFile


@dataclass(frozen=True, slots=True)
class RuleTests:
    """A test file with its rules by path.

    `problems` are faults of the rule files, `unmatched` the entries of `rule_files` that name
    no file: legal, but surely not meant.
    """

    file: RuleTestFile
    rules: dict[str, RuleFile]
    problems: tuple[Problem, ...] = ()
    unmatched: tuple[str, ...] = ()


def read_rule_tests(path: Path) -> RuleTests:
    """Return a test file and its rules. Raises ConfigError for faults of the test file itself."""
    report = Report()
    try:
        text = report.files.text(path)
    except Unreadable as error:
        raise ConfigError((Problem(str(error)),)) from error
    document = parse(text, file=str(path))
    report.broken(document.problems)
    if document.root is None:
        raise report.refused()
    converted = convert(document.root, RuleTestFile)
    report.broken(converted.problems)
    if converted.value is not None:
        for name in _repeated(converted.value.group_eval_order):
            fault = f"group name repeated in evaluation order: {name}"
            report.fault(document.root, fault, "group_eval_order")
    if converted.value is None or report.problems:
        raise report.refused()
    return _with_rules(converted.value, path.parent)


def _repeated(names: list[str]) -> Iterator[str]:
    return (name for index, name in enumerate(names) if name in names[:index])


def _with_rules(file: RuleTestFile, folder: Path) -> RuleTests:
    report = Report()
    unmatched, rules = [], {}
    for entry in file.rule_files:
        found = report.files.matching(folder / entry) if entry else []
        if not found:
            unmatched.append(entry)
        for path in found:
            name = os.path.normpath(path)
            read = _rules(path, report) if name not in rules else None
            if read is not None:
                rules[name] = read
    return RuleTests(file, rules, in_file_order(report.problems), tuple(unmatched))


def _rules(path: Path, report: Report) -> RuleFile | None:
    try:
        return read_rule_file(path, report=report)
    except Unreadable as error:
        report.broken([Problem(str(error))])
        return None
