"""Rule packs as values: rule files with named thresholds, and what a tenant chooses of one.

A pack is a rule file whose numbers may be written `${name}`. Its key `tocsin:` lists these
parameters with default, unit and bounds; that of a rule holds its runbook. Filled in, a pack is
a plain Prometheus rule file. The same parameters draw the thresholds of dashboards. What is
shipped lies in the folder `packs`; `config_loader.packs` reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from tocsin.model.duration import format_duration, parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.model.settings import Duration
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup

NUMBER = ":number"  # `${name:number}`: a duration as seconds, where PromQL calculates with it
FOR = "for"  # `${for}` in an annotation: the rule's own `for`
RUNBOOKS = "{{ $externalURL }}/runbooks"
PACK_LABEL = "pack"
_NUMBER_FORM = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_HOLE = re.compile(r"\$\{([^}]*)\}")


class ParameterUnit(StrEnum):
    """What a parameter is measured in; a duration is written `15m`, the others are numbers."""

    RATIO = "ratio"
    SECONDS = "seconds"
    BYTES = "bytes"
    COUNT = "count"
    PER_SECOND = "per second"
    PSI = "psi"
    FACTOR = "factor"
    HOUR = "hour"
    DURATION = "duration"


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of a pack that a tenant may change. Values are text, as the rules have them."""

    value: str
    """The default."""
    unit: ParameterUnit
    """What it is measured in."""
    help: str
    """What it decides, in a sentence."""
    at_least: str = ""
    """The smallest value allowed; empty means none."""
    at_most: str = ""
    """The largest value allowed; empty means none."""


class PackHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the key `tocsin:` of a pack says."""

    title: str
    """What people call it."""
    about: str
    """What it watches, in a sentence or two."""
    needs: str
    """What must be collected for it to see anything."""
    looks_back: Duration = msgspec.field(default_factory=Duration)
    """How far its rules look back; with less history some of them stay silent."""
    parameters: dict[str, Parameter] = msgspec.field(default_factory=dict)
    """Its numbers, by name."""


class PackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole pack, once its parameters are filled in."""

    tocsin: PackHead
    """What it is, and its parameters."""
    groups: list[RuleGroup] = msgspec.field(default_factory=list)
    """Its rules; the `tocsin` of an alerting rule is a Runbook."""


class Runbook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the person who is told of an alert reads first."""

    meaning: str
    """What the alert says, and why it matters."""
    steps: list[str]
    """What to do first, in order."""


class PackChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule pack with changes. A name alone, in its place, takes the pack as it is."""

    name: str
    """Which pack; `tocsin packs list` names them."""
    set: dict[str, str] = msgspec.field(default_factory=dict)
    """Parameters with another value; `tocsin packs show NAME` lists them."""
    hold: dict[str, Duration] = msgspec.field(name="for", default_factory=dict)
    """How long the condition of an alert must hold, by alert, in place of what the pack says."""
    without: list[str] = msgspec.field(default_factory=list)
    """Alerts to leave out."""
    runbooks: str = RUNBOOKS
    """Where runbooks are: `runbook_url` of an alert is this, `/` and its name. A template."""


@dataclass(frozen=True, slots=True)
class Amount:
    """The value of a parameter: as PromQL writes it, and as a number of its base unit."""

    text: str
    number: float

    @property
    def as_number(self) -> str:
        """Return the text of the number; that of a duration is seconds."""
        if self.text[-1].isdigit():
            return self.text
        return f"{self.number:.3f}".rstrip("0").rstrip(".")


Amounts = Mapping[str, Amount]
"""Values of parameters by name."""


@dataclass(frozen=True, slots=True)
class Pack:
    """One rule pack, its parameters not yet filled in."""

    name: str
    head: PackHead
    file: RuleFile

    @property
    def alerts(self) -> list[str]:
        """Return the names of its alerts, each once, in the order of the file."""
        return list(dict.fromkeys(rule.alert for rule in self.rules if rule.alert))

    @property
    def rules(self) -> list[Rule]:
        """Return every rule, as it is written."""
        return [rule for group in self.file.groups for rule in group.rules]

    def defaults(self) -> dict[str, Amount]:
        """Return the value of each parameter where nobody says otherwise."""
        return {name: amount(each, each.value) for name, each in self.head.parameters.items()}

    def moved_by(self, parameter: str) -> list[str]:
        """Return the alerts whose expression uses a parameter, each once."""
        found = (rule.alert for rule in self.rules if parameter in holes(rule.expr))
        return list(dict.fromkeys(name for name in found if name))

    def rendered(self, choice: PackChoice, amounts: Amounts) -> RuleFile:
        """Return a plain rule file: parameters filled in, done what `choice` says.

        Alerts get the label `pack` and the annotation `runbook_url`; notes of ours are left
        out. Raises InvalidInput when a text names a parameter that is not in `amounts`.
        """
        groups = [_group(group, choice, amounts) for group in self.file.groups]
        return RuleFile(groups=[group for group in groups if group.rules])

    def runbook(self, alert: str, amounts: Amounts) -> Runbook:
        """Return the runbook of an alert; rules of one name share the first that is there.

        Raises KeyError when the pack has no such alert.
        """
        for rule in self.rules:
            if rule.alert == alert and rule.tocsin:
                written = msgspec.convert(rule.tocsin, Runbook)
                steps = [filled(step, amounts) for step in written.steps]
                return Runbook(meaning=filled(written.meaning, amounts), steps=steps)
        raise KeyError(alert)


def amount(parameter: Parameter, text: str) -> Amount:
    """Return what `text` means to a parameter. Raises InvalidInput for what it cannot be."""
    found = _read(parameter.unit, text)
    least, most = parameter.at_least, parameter.at_most
    if least and found.number < _read(parameter.unit, least).number:
        raise InvalidInput(f"must be at least {least}, got {text}")
    if most and found.number > _read(parameter.unit, most).number:
        raise InvalidInput(f"must be at most {most}, got {text}")
    return found


def filled(text: str, amounts: Amounts) -> str:
    """Return `text` with its `${name}` replaced. Raises InvalidInput for an unknown name.

    >>> filled("x > ${most}", {"most": Amount("5", 5.0)})
    'x > 5'
    """

    def value(found: re.Match[str]) -> str:
        name = found[1].removesuffix(NUMBER)
        if name not in amounts:
            raise InvalidInput(f"the pack has no parameter {name!r}")
        return amounts[name].as_number if found[1].endswith(NUMBER) else amounts[name].text

    return _HOLE.sub(value, text)


def holes(text: str) -> list[str]:
    """Return the parameters that a text uses, each once.

    >>> holes("x > ${most} and y < ${least:number}")
    ['most', 'least']
    """
    return list(dict.fromkeys(name.removesuffix(NUMBER) for name in _HOLE.findall(text)))


def _read(unit: ParameterUnit, text: str) -> Amount:
    if unit is ParameterUnit.DURATION:
        span = parse_duration(text)
        return Amount(format_duration(span), span.total_seconds())
    if not _NUMBER_FORM.fullmatch(text):
        raise InvalidInput(f"expected a number, got {text!r}")
    return Amount(text, float(text))


def _group(group: RuleGroup, choice: PackChoice, amounts: Amounts) -> RuleGroup:
    wanted = (rule for rule in group.rules if not rule.alert or rule.alert not in choice.without)
    rules = [_rule(rule, choice, amounts) for rule in wanted]
    return msgspec.structs.replace(group, rules=rules, tocsin={})


def _rule(rule: Rule, choice: PackChoice, amounts: Amounts) -> Rule:
    changes: dict[str, Any] = {"expr": filled(rule.expr, amounts).strip(), "tocsin": {}}
    if rule.alert:
        hold = choice.hold.get(rule.alert, rule.hold)
        known = {**amounts, FOR: Amount(str(hold), hold.total_seconds())}
        told = {name: filled(text, known) for name, text in rule.annotations.items()}
        url = f"{choice.runbooks.rstrip('/')}/{rule.alert}"
        changes["labels"] = {**rule.labels, PACK_LABEL: choice.name}
        changes["annotations"] = {**told, "runbook_url": url}
        changes["hold"] = hold
    return msgspec.structs.replace(rule, **changes)
