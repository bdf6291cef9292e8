"""Rule packs: those that are shipped, and what a tenant's `rule_packs` makes of them."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.config_loader.convert import convert, nearest
from tocsin.config_loader.report import Report
from tocsin.config_loader.tree import Section, parse
from tocsin.model.errors import ConfigError, InvalidInput
from tocsin.model.settings import Duration, Finding, PathPart
from tocsin.rule_engine.check import check_rules
from tocsin.rule_engine.config import RuleFile
from tocsin.rule_engine.pack import (
    Amount,
    Amounts,
    Pack,
    PackChoice,
    PackFile,
    amount,
    filled,
    holes,
)

PREFIX = "pack:"  # before the name of a pack, where a rule file has its path
_FOLDER = importlib.resources.files("tocsin.rule_engine") / "packs"
_TESTS = _FOLDER / "tests"
_TEST = "_test.yml"


@dataclass(frozen=True, slots=True)
class PacksInForce:
    """What a tenant's packs give: rule files by name, and the parameters of each pack."""

    rules: dict[str, RuleFile] = field(default_factory=dict)
    amounts: dict[str, Amounts] = field(default_factory=dict)


def pack_names() -> list[str]:
    """Return the packs that are shipped, in alphabetical order."""
    names = (file.name for file in _FOLDER.iterdir())
    return sorted(name.removesuffix(".yml") for name in names if name.endswith(".yml"))


@functools.cache
def read_pack(name: str) -> Pack:
    """Return a pack. Raises InvalidInput when there is none of the name."""
    known = pack_names()
    if name not in known:
        listed = nearest(name, known) or f" (there are: {', '.join(known)})"
        raise InvalidInput(f'there is no rule pack "{name}"{listed}')
    return parse_pack(name, (_FOLDER / f"{name}.yml").read_text(encoding="utf-8"))


def parse_pack(name: str, text: str) -> Pack:
    """Return the pack in a text. Raises ConfigError with everything that is wrong with it."""
    document = parse(text, file=f"{PREFIX}{name}")
    problems = document.problems
    if document.root is not None:
        converted = convert(document.root, PackFile)
        problems += converted.problems
        if converted.value is not None and not problems:
            file = converted.value
            return Pack(name, file.tocsin, RuleFile(groups=file.groups))
    raise ConfigError(problems)


def pack_tests(name: str) -> dict[str, str]:
    """Return the unit tests of a pack, in promtool's format, by file name.

    They are `NAME_test.yml` and `NAME.<more>_test.yml`, and name the rule file as `NAME.yml`.
    """
    found = sorted(file.name for file in _TESTS.iterdir() if file.name.endswith(_TEST))
    mine = (file for file in found if file.removesuffix(_TEST).partition(".")[0] == name)
    return {file: (_TESTS / file).read_text(encoding="utf-8") for file in mine}


def parameter_rows(pack: Pack) -> list[dict[str, object]]:
    """Return the parameters of a pack, with the alerts each of them moves."""
    return [
        {
            "name": name,
            "value": each.value,
            "unit": each.unit.value,
            "at_least": each.at_least,
            "at_most": each.at_most,
            "alerts": pack.moved_by(name),
            "help": each.help,
        }
        for name, each in pack.head.parameters.items()
    ]


def alert_rows(pack: Pack) -> list[dict[str, object]]:
    """Return the alerting rules of a pack, filled with its defaults."""
    amounts = pack.defaults()
    return [
        {
            "name": rule.alert,
            "severity": rule.labels["severity"],
            "for": str(rule.hold),
            "parameters": holes(rule.expr),
            "expr": filled(rule.expr, amounts),
            "meaning": pack.runbook(rule.alert, amounts).meaning,
        }
        for rule in pack.rules
        if rule.alert
    ]


def read_packs(
    choices: Sequence[str | PackChoice], section: Section, *, report: Report
) -> PacksInForce:
    """Return what a tenant's `rule_packs` say; `section` is the tenant's."""
    found = PacksInForce()
    for index, written in enumerate(choices):
        choice = PackChoice(name=written) if isinstance(written, str) else written
        if choice.name in found.amounts:
            message = f'the pack "{choice.name}" is there already: write all changes into one entry'
            report.fault(section, message, "rule_packs", index)
            continue
        rendered, findings = _rendered(choice)
        report.take(section, findings, "rule_packs", index)
        found.rules[f"{PREFIX}{choice.name}"] = rendered.file
        found.amounts[choice.name] = rendered.amounts
    return found


@dataclass(frozen=True, slots=True)
class Rendered:
    """A pack with a choice applied: the plain rule file, and the values it was filled with."""

    file: RuleFile
    amounts: Amounts


def render(choice: PackChoice) -> Rendered:
    """Return a pack as chosen. Raises InvalidInput with everything that cannot be."""
    rendered, findings = _rendered(choice)
    if findings:
        raise InvalidInput("; ".join(finding.message for finding in findings))
    return rendered


def _rendered(choice: PackChoice) -> tuple[Rendered, tuple[Finding, ...]]:
    """Return a choice applied, and its faults. Tenants that choose the same share one file."""
    return _shared(
        choice.name,
        changes=tuple(choice.set.items()),
        holds=tuple(choice.hold.items()),
        without=tuple(choice.without),
        runbooks=choice.runbooks,
    )


@functools.lru_cache(maxsize=256)
def _shared(
    name: str,
    *,
    changes: tuple[tuple[str, str], ...],
    holds: tuple[tuple[str, Duration], ...],
    without: tuple[str, ...],
    runbooks: str,
) -> tuple[Rendered, tuple[Finding, ...]]:
    try:
        pack = read_pack(name)
    except InvalidInput as error:
        return Rendered(RuleFile(), {}), (Finding((), str(error)),)
    choice = PackChoice(
        name=name, set=dict(changes), hold=dict(holds), without=list(without), runbooks=runbooks
    )
    amounts, findings = _amounts(pack, choice)
    findings += _unknown_alerts(pack, choice)
    file = pack.rendered(choice, amounts)
    return Rendered(file, amounts), tuple(findings or _broken(choice, file))


def _amounts(pack: Pack, choice: PackChoice) -> tuple[dict[str, Amount], list[Finding]]:
    amounts, findings = pack.defaults(), []
    for name, text in choice.set.items():
        parameter = pack.head.parameters.get(name)
        if parameter is None:
            hint = nearest(name, pack.head.parameters)
            message = f'the pack "{pack.name}" has no parameter "{name}"{hint}'
            findings.append(Finding(("set", name), message))
            continue
        try:
            amounts[name] = amount(parameter, text)
        except InvalidInput as error:
            findings.append(Finding(("set", name), f"{name}: {error}"))
    return amounts, findings


def _unknown_alerts(pack: Pack, choice: PackChoice) -> Iterator[Finding]:
    known = pack.alerts
    named: list[tuple[PathPart, PathPart, str]] = [("for", name, name) for name in choice.hold]
    named += [("without", index, name) for index, name in enumerate(choice.without)]
    for key, place, name in named:
        if name not in known:
            message = f'the pack "{pack.name}" has no alert "{name}"{nearest(name, known)}'
            yield Finding((key, place), message)


def _broken(choice: PackChoice, file: RuleFile) -> Iterator[Finding]:
    """Yield a fault of the rules that the choice brought in: `runbooks` is a template."""
    for finding in check_rules(file)[:1]:
        yield Finding(("runbooks",), f"runbooks {choice.runbooks!r}: {finding.message}")
