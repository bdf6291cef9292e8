"""Rule files of one tenant: found, read and checked by the rule stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os.path import relpath
from pathlib import Path

from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Unreadable, is_pattern
from tocsin.config_loader.report import Report
from tocsin.config_loader.tree import Section, parse
from tocsin.promql.parser import DEFAULT, Grammar
from tocsin.rule_engine.check import check_rules, lint_rules
from tocsin.rule_engine.config import RuleFile, RuleGroup


def read_rule_file(path: Path, *, report: Report, grammar: Grammar = DEFAULT) -> RuleFile | None:
    """Return one rule file; problems stand in the report. Raises Unreadable."""
    text = report.files.text(path)
    return read_rule_text(text, file=str(path), report=report, grammar=grammar)


def read_rule_text(
    text: str, *, file: str, report: Report, grammar: Grammar = DEFAULT
) -> RuleFile | None:
    """Return the rules of a text that is called `file`; problems stand in the report."""
    document = parse(text, file=file)
    report.broken(document.problems)
    if document.root is None:
        return None
    converted = convert(document.root, RuleFile)
    report.broken(converted.problems)
    if converted.value is None:
        return None
    _check(converted.value, document.root, report, grammar)
    return converted.value


def read_rules(
    patterns: Sequence[str],
    groups: Sequence[RuleGroup],
    section: Section,
    *,
    folder: Path,
    report: Report,
    grammar: Grammar = DEFAULT,
) -> dict[str, RuleFile]:
    """Return a tenant's rules by file, named relative to `folder`; inline groups come first.

    `section` is the tenant's: it holds `rule_files` and `groups`. `grammar` says which PromQL
    they may use.
    """
    rules: dict[str, RuleFile] = {}
    if groups:
        rules[Path(section.file).name] = inline = RuleFile(groups=list(groups))
        _check(inline, section, report, grammar)
    for path, index in _found(patterns, section, folder, report):
        name = relpath(path, folder)
        if name in rules:
            continue
        try:
            read = read_rule_file(path, report=report, grammar=grammar)
        except Unreadable as error:
            report.fault(section, str(error), "rule_files", index)
            continue
        if read is not None:
            rules[name] = read
    return rules


def _found(
    patterns: Sequence[str], section: Section, folder: Path, report: Report
) -> Iterator[tuple[Path, int]]:
    for index, pattern in enumerate(patterns):
        found = report.files.matching(folder / pattern)
        if not found and is_pattern(pattern):
            report.warn(section, f'"{pattern}" matches no file', "rule_files", index)
        elif not found:
            report.fault(section, f'rule file "{pattern}" does not exist', "rule_files", index)
        for path in found:
            yield path, index


def _check(rules: RuleFile, section: Section, report: Report, grammar: Grammar) -> None:
    report.take(section, check_rules(rules, grammar))
    report.warnings += [section.problem(finding) for finding in lint_rules(rules)]
