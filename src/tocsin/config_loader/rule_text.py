"""Rule files as canonical text, and what differs between two of them.

Two files that mean the same have the same text: order of keys, quoting and the way an
expression is laid out do not count. The order of groups and rules does: it is the order in
which they are evaluated.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import yaml

from tocsin.config_loader.masked import masked
from tocsin.model.errors import InvalidInput
from tocsin.promql.ast import Expr
from tocsin.promql.parser import parse
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup

_FIRST = ("name", "record", "alert", "expr")
_LAST = ("labels", "annotations", "tocsin", "rules")


class Action(StrEnum):
    """What would have to be done for theirs to become ours."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Difference:
    """One namespace that is not the same, with a unified diff from theirs to ours."""

    namespace: str
    action: Action
    diff: str


def differences(
    ours: Mapping[str, RuleFile], theirs: Mapping[str, RuleFile]
) -> Iterator[Difference]:
    """Yield what differs, by namespace in order."""
    for namespace in sorted({*ours, *theirs}):
        mine, other = ours.get(namespace), theirs.get(namespace)
        if mine is None or other is None:
            action = Action.ADD if other is None else Action.REMOVE
        else:
            action = Action.CHANGE
        before = canonical(worded(other, like=mine)) if other else ""
        after = canonical(mine) if mine else ""
        if before != after or other is None or mine is None:
            yield Difference(namespace, action, _unified(before, after, namespace))


def canonical(file: RuleFile) -> str:
    """Return a file as YAML; equal files give equal text.

    >>> print(canonical(RuleFile(groups=[RuleGroup(name="g")])), end="")
    groups:
      - name: g
    """
    return _dumped({"groups": [_ordered(masked(_tidy(group))) for group in file.groups]})


def group_yaml(group: RuleGroup) -> str:
    """Return one group as YAML."""
    return _dumped(_ordered(masked(_tidy(group))))


def worded(file: RuleFile, *, like: RuleFile | None) -> RuleFile:
    """Return `file` with each expression laid out as its equal in `like` is."""
    if like is None:
        return file
    known = {meaning: text for text in _expressions(like) if (meaning := _meaning(text))}

    def reworded(rule: Rule) -> Rule:
        meaning = _meaning(rule.expr)
        text = known.get(meaning) if meaning else None
        return msgspec.structs.replace(rule, expr=text) if text else rule

    groups = [
        msgspec.structs.replace(group, rules=[reworded(rule) for rule in group.rules])
        for group in file.groups
    ]
    return RuleFile(groups=groups)


def effective(file: RuleFile) -> RuleFile:
    """Return a file as a server that has loaded it tells of it: labels of groups are rules'.

    What servers do not tell is left out: `query_offset` and `tocsin`.
    """
    groups = [
        msgspec.structs.replace(
            group,
            labels={},
            query_offset=None,
            tocsin={},
            interval=group.interval or None,
            rules=[
                msgspec.structs.replace(rule, labels={**group.labels, **rule.labels}, tocsin={})
                for rule in group.rules
            ],
        )
        for group in file.groups
    ]
    return RuleFile(groups=groups)


def without_unsaid(theirs: RuleFile, ours: RuleFile) -> RuleFile:
    """Return their file without the intervals that ours leaves to the server."""
    unsaid = {group.name for group in ours.groups if not group.interval}
    groups = [
        msgspec.structs.replace(group, interval=None) if group.name in unsaid else group
        for group in theirs.groups
    ]
    return RuleFile(groups=groups)


def _expressions(file: RuleFile) -> Iterator[str]:
    return (rule.expr.strip() for group in file.groups for rule in group.rules)


def _meaning(expr: str) -> Expr | None:
    try:
        return parse(expr)
    except InvalidInput:
        return None


def _tidy(group: RuleGroup) -> RuleGroup:
    """Return a group with labels in order and expressions without space around them."""
    rules = [
        msgspec.structs.replace(
            rule,
            expr=rule.expr.strip(),
            labels=dict(sorted(rule.labels.items())),
            annotations=dict(sorted(rule.annotations.items())),
        )
        for rule in group.rules
    ]
    labels = dict(sorted(group.labels.items()))
    return msgspec.structs.replace(group, labels=labels, rules=rules)


def _ordered(group: dict[str, Any]) -> dict[str, Any]:
    rules = [_in_order(rule) for rule in group.get("rules", [])]
    return _in_order({**group, "rules": rules} if rules else group)


def _in_order(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with the keys people look for first at the top, the long ones last."""

    def place(key: str) -> tuple[int, str]:
        if key in _FIRST:
            return _FIRST.index(key), ""
        return (len(_FIRST) + 1 + _LAST.index(key), "") if key in _LAST else (len(_FIRST), key)

    return {key: entry[key] for key in sorted(entry, key=place)}


def _dumped(value: Any) -> str:
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return text


def _unified(before: str, after: str, namespace: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"server/{namespace}", namespace, lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Writes lists with their dash indented, and text of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001  # PyYAML's signature
        """Indent lists below their key."""
        del indentless
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that occurs twice twice."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
