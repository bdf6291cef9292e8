"""Relabelling: rules that rewrite, keep or drop a label set. Pure.

Source: Prometheus documentation, "Configuration", `relabel_config`; for the corners the
behaviour of Prometheus 3. A label that becomes empty is removed. A target label that is no
label name once its groups are filled in changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tocsin.metrics_collector.http_config import Section
from tocsin.model.errors import InvalidInput
from tocsin.model.pattern import Pattern, pattern
from tocsin.model.settings import Finding

_ANY = "(.*)"
_WHOLE = "$1"
_SEPARATOR = ";"
_MODULI = 1 << 64
_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_NAME_FORM = re.compile(
    r"(?:[a-zA-Z_]|\$\{\w+\}|\$\w+)(?:\w|\$\{\w+\}|\$\w+)*", re.ASCII
)  # a name of literal text and references


class Action(StrEnum):
    """What a rule does."""

    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEP_EQUAL = "keepequal"
    DROP_EQUAL = "dropequal"
    HASH_MOD = "hashmod"
    LABEL_MAP = "labelmap"
    LABEL_DROP = "labeldrop"
    LABEL_KEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"


_CASES = (Action.LOWERCASE, Action.UPPERCASE)
_EQUALS = (Action.KEEP_EQUAL, Action.DROP_EQUAL)
_WRITES = (Action.REPLACE, Action.HASH_MOD, *_CASES, *_EQUALS)


class RelabelConfig(Section, frozen=True, kw_only=True):
    """One relabelling rule."""

    source_labels: tuple[str, ...] = ()
    """Labels whose values, joined by `separator`, are what the rule looks at."""
    separator: str | None = _SEPARATOR
    """What stands between the values."""
    regex: str | None = _ANY
    """RE2 expression that must match the whole of it (of a label's name for `labelmap`,
    `labeldrop` and `labelkeep`)."""
    modulus: int = 0
    """Modulus of `hashmod`."""
    target_label: str = ""
    """Label to write; `replace` fills in groups of the match."""
    replacement: str | None = _WHOLE
    """What `replace` writes, and the new name `labelmap` gives; groups as `$1` or `${1}`. In our
    own file write `$${name}` for a named group: `${name}` is a variable."""
    action: str = Action.REPLACE.value
    """`replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`,
    `labelkeep`, `lowercase` or `uppercase`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked rule, ready to run."""

    action: Action
    sources: tuple[str, ...]
    separator: str
    pattern: Pattern
    modulus: int
    target: str
    replacement: str


Rules = tuple[Rule, ...]


def check_relabel(configs: Iterable[RelabelConfig]) -> Iterator[Finding]:
    """Return every fault of a list of rules, the first of each rule."""
    for index, config in enumerate(configs):
        finding = next(_faults(config), None)
        if finding is not None:
            yield finding.under(index)


def compile_rules(configs: Iterable[RelabelConfig]) -> Rules:
    """Return the rules of a checked list. Raises InvalidInput for a bad expression or action."""
    return tuple(
        Rule(
            action=_action(config),
            sources=config.source_labels,
            separator=config.separator or "",
            pattern=pattern(config.regex or ""),
            modulus=config.modulus,
            target=config.target_label,
            replacement=config.replacement or "",
        )
        for config in configs
    )


def relabel(labels: Mapping[str, str], rules: Rules) -> dict[str, str] | None:
    """Return the label set after all rules, None when one of them drops it."""
    made = {name: value for name, value in labels.items() if value}
    for rule in rules:
        if not _STEPS[rule.action](rule, made):
            return None
    return made


def expand(template: str, groups: Mapping[str, str]) -> str:
    """Return a template with groups filled in, as Go's `Regexp.Expand` does.

    An unknown group is empty, `$$` is a dollar sign, and so is a `$` that begins no reference.

    >>> expand("${1}-$2x-$$1", {"1": "a", "2": "b"})
    'a--$1'
    """
    if "$" not in template:
        return template
    return _REFERENCE.sub(lambda r: r[1] or groups.get(r[2] or r[3], ""), template)


def _action(config: RelabelConfig) -> Action:
    try:
        return Action(config.action.lower())
    except ValueError as error:
        raise InvalidInput(f'unknown relabel action "{config.action}"') from error


def _faults(config: RelabelConfig) -> Iterator[Finding]:
    try:
        action = _action(config)
    except InvalidInput as error:
        yield Finding(("action",), str(error))
        return
    try:
        pattern(config.regex or "")
    except InvalidInput as error:
        yield Finding(("regex",), str(error))
    if not 0 <= config.modulus < _MODULI:
        yield Finding(("modulus",), "modulus is out of range")
    if action is Action.HASH_MOD and config.modulus == 0:
        yield Finding(("modulus",), "hashmod needs a modulus other than 0")
    yield from _name_faults(config, action)
    yield from _needless(config, action)


def _name_faults(config: RelabelConfig, action: Action) -> Iterator[Finding]:
    for index, name in enumerate(config.source_labels):
        if not _NAME.fullmatch(name):
            yield Finding(("source_labels", index), f'"{name}" is not a valid label name')
    target, form = config.target_label, _NAME_FORM if action is Action.REPLACE else _NAME
    if action in _WRITES and not target:
        yield Finding((), f"relabel action {action} needs a target_label")
    elif action in _WRITES and not form.fullmatch(target):
        yield Finding(("target_label",), f'"{target}" is invalid target_label for {action}')
    if action is Action.LABEL_MAP and not _NAME_FORM.fullmatch(config.replacement or ""):
        message = f'"{config.replacement or ""}" is invalid replacement for {action}'
        yield Finding(("replacement",), message)


def _needless(config: RelabelConfig, action: Action) -> Iterator[Finding]:
    """Tell of fields an action does not use: they show that something else was meant."""
    unused: tuple[str, ...] = ()
    if action in _CASES:
        unused = ("replacement",)
    elif action in _EQUALS:
        unused = ("regex", "modulus", "separator", "replacement")
    elif action in (Action.LABEL_DROP, Action.LABEL_KEEP):
        unused = ("source_labels", "target_label", "modulus", "separator", "replacement")
    for name in unused:
        if getattr(config, name) != getattr(_DEFAULTS, name):
            yield Finding((name,), f"relabel action {action} takes no {name}")


_DEFAULTS = RelabelConfig()


def _value(rule: Rule, labels: Mapping[str, str]) -> str:
    return rule.separator.join([labels.get(name, "") for name in rule.sources])


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value and name:
        labels[name] = value
    else:
        labels.pop(name, None)


def _replace(rule: Rule, labels: dict[str, str]) -> bool:
    value = _value(rule, labels)
    whole = rule.pattern.text == _ANY  # the default: spares a match of 10 µs
    groups = {"0": value, "1": value} if whole else rule.pattern.groups(value)
    if groups is not None:
        target = expand(rule.target, groups)
        _set(labels, target, expand(rule.replacement, groups))
    return True


def _keep(rule: Rule, labels: dict[str, str]) -> bool:
    return rule.pattern.matches(_value(rule, labels))


def _drop(rule: Rule, labels: dict[str, str]) -> bool:
    return not rule.pattern.matches(_value(rule, labels))


def _keep_equal(rule: Rule, labels: dict[str, str]) -> bool:
    return labels.get(rule.target, "") == _value(rule, labels)


def _drop_equal(rule: Rule, labels: dict[str, str]) -> bool:
    return labels.get(rule.target, "") != _value(rule, labels)


def _hash_mod(rule: Rule, labels: dict[str, str]) -> bool:
    digest = hashlib.md5(_value(rule, labels).encode(), usedforsecurity=False).digest()
    _set(labels, rule.target, str(int.from_bytes(digest[8:], "big") % rule.modulus))
    return True


def _label_map(rule: Rule, labels: dict[str, str]) -> bool:
    for name, value in list(labels.items()):
        groups = rule.pattern.groups(name)
        if groups is not None:
            _set(labels, expand(rule.replacement, groups), value)
    return True


def _label_drop(rule: Rule, labels: dict[str, str]) -> bool:
    for name in [name for name in labels if rule.pattern.matches(name)]:
        del labels[name]
    return True


def _label_keep(rule: Rule, labels: dict[str, str]) -> bool:
    for name in [name for name in labels if not rule.pattern.matches(name)]:
        del labels[name]
    return True


def _lowercase(rule: Rule, labels: dict[str, str]) -> bool:
    _set(labels, rule.target, "".join([char.lower()[0] for char in _value(rule, labels)]))
    return True


def _uppercase(rule: Rule, labels: dict[str, str]) -> bool:
    _set(labels, rule.target, "".join([_upper(char) for char in _value(rule, labels)]))
    return True


def _upper(char: str) -> str:
    """Return one character for one, as Go does: "ß" stays."""
    upper = char.upper()
    return upper if len(upper) == 1 else char


_STEPS: dict[Action, Callable[[Rule, dict[str, str]], bool]] = {
    Action.REPLACE: _replace,
    Action.KEEP: _keep,
    Action.DROP: _drop,
    Action.KEEP_EQUAL: _keep_equal,
    Action.DROP_EQUAL: _drop_equal,
    Action.HASH_MOD: _hash_mod,
    Action.LABEL_MAP: _label_map,
    Action.LABEL_DROP: _label_drop,
    Action.LABEL_KEEP: _label_keep,
    Action.LOWERCASE: _lowercase,
    Action.UPPERCASE: _uppercase,
}
