"""Rule files of one tenant: found, read and checked by the rule stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os.path import relpath
from pathlib import Path

import msgspec

from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Unreadable, is_pattern
from tocsin.config_loader.report import Report
from tocsin.config_loader.tree import ListNode, MapNode, Node, Section, is_null, parse
from tocsin.promql.parser import DEFAULT, Grammar
from tocsin.rule_engine.check import check_rules, lint_rules
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup


def read_rule_file(path: Path, *, report: Report, grammar: Grammar = DEFAULT) -> RuleFile | None:
    """Return one rule file; problems stand in the report. Raises Unreadable."""
    text = report.files.text(path)
    return read_rule_text(text, file=str(path), report=report, grammar=grammar)


def read_rule_text(
    text: str,
    *,
    file: str,
    report: Report,
    grammar: Grammar = DEFAULT,
    ignore_unknown: bool = False,
) -> RuleFile | None:
    """Return the rules of a text that is called `file`; problems stand in the report.

    `ignore_unknown` passes over keys of files, groups and rules that are not known.
    """
    document = parse(text, file=file)
    report.broken(document.problems)
    if document.root is None:
        return None
    node = _without_nothing(document.root.node)
    root = replace(document.root, node=_known_keys(node) if ignore_unknown else node)
    converted = convert(root, RuleFile)
    report.broken(converted.problems)
    if converted.value is None:
        return None
    _check(converted.value, root, report, grammar)
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


def _without_nothing(file: Node) -> Node:
    """Return a rule file without groups and rules that are nothing, which promtool passes over."""
    return _at(file, "groups", lambda group: _at(group, "rules", lambda rule: rule))


def _known_keys(file: Node) -> Node:
    """Return a rule file with the keys alone that are known."""
    return _at(
        _only(file, RuleFile),
        "groups",
        lambda group: _at(_only(group, RuleGroup), "rules", lambda rule: _only(rule, Rule)),
    )


def _at(node: Node, key: str, change: Callable[[Node], Node]) -> Node:
    """Return a mapping with the items of the list below `key` changed, and none that is nothing."""
    entry = node.entries.get(key) if isinstance(node, MapNode) else None
    if entry is None or not isinstance(entry.value, ListNode) or not isinstance(node, MapNode):
        return node
    items = tuple(change(item) for item in entry.value.items if not is_null(item))
    changed = replace(entry, value=replace(entry.value, items=items))
    return replace(node, entries={**node.entries, key: changed})


def _only(node: Node, kind: type[msgspec.Struct]) -> Node:
    if not isinstance(node, MapNode):
        return node
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    kept = {key: entry for key, entry in node.entries.items() if key in known}
    return replace(node, entries=kept)


def _check(rules: RuleFile, section: Section, report: Report, grammar: Grammar) -> None:
    report.take(section, check_rules(rules, grammar))
    report.warnings += [section.problem(finding) for finding in lint_rules(rules)]
