"""The reference of the rule packs, written from the packs: docs/reference/rule-packs.md.

python -m tocsin.config_loader.pack_reference > docs/reference/rule-packs.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta

from tocsin.config_loader.packs import pack_names, parameter_rows, read_pack
from tocsin.rule_engine.config import Rule
from tocsin.rule_engine.pack import Pack, filled, holes

_HEAD = """\
# Rule packs

<!-- Written by `python -m tocsin.config_loader.pack_reference`; do not edit. -->

The rules that come with Tocsin. A tenant names those it wants under `rule_packs` and changes their
numbers there: [how to use them](../howto/rule-packs.md). `tocsin packs render NAME` prints a pack
as a plain Prometheus rule file.

Every alert has the labels `severity` (`critical`: now, `warning`: today, `info`: when there is
time) and `pack`, and the annotations `summary`, `description` and `runbook_url`. The server shows
the runbooks below at `/runbooks/<alert>`.
"""
_A_DAY = timedelta(days=1)


def pack_reference() -> str:
    """Return the reference as Markdown."""
    packs = [read_pack(name) for name in pack_names()]
    rows = [f"| [{p.name}](#{_anchor(p)}) | {len(p.alerts)} | {p.head.about} |" for p in packs]
    index = ["| pack | alerts | watches |", "|---|---|---|", *rows, ""]
    return "\n".join([_HEAD, *index, *(line for pack in packs for line in _section(pack))])


def _anchor(pack: Pack) -> str:
    return f"pack-{pack.name}"


def _section(pack: Pack) -> Iterator[str]:
    head = pack.head
    yield from (f"## Pack {pack.name}", "", f"{head.about}", "", f"Needs: {head.needs}", "")
    if head.looks_back >= _A_DAY:
        yield f"Its rules look back {head.looks_back}: with a shorter `storage.retention`, those "
        yield "that compare with days before stay silent."
        yield ""
    yield from _parameters(pack)
    yield from _recorded(pack)
    for alert in pack.alerts:
        yield from _alert(pack, alert)


def _parameters(pack: Pack) -> Iterator[str]:
    rows = parameter_rows(pack)
    if not rows:
        return
    yield from (
        "| parameter | default | unit | allowed | what it decides |",
        "|---|---|---|---|---|",
    )
    for row in rows:
        allowed = " to ".join(str(row[key]) or "…" for key in ("at_least", "at_most"))
        cells = (f"`{row['name']}`", f"`{row['value']}`", row["unit"], allowed, row["help"])
        yield "| " + " | ".join(map(str, cells)) + " |"
    name, value = rows[0]["name"], rows[0]["value"]
    yield from (
        "",
        f"To change one: `rule_packs: [{{name: {pack.name}, set: {{{name}: {value}}}}}]`.",
    )
    yield ""


def _recorded(pack: Pack) -> Iterator[str]:
    names = [f"`{rule.record}`" for rule in pack.rules if rule.record]
    if names:
        yield from ("Records " + ", ".join(names) + ".", "")


def _alert(pack: Pack, alert: str) -> Iterator[str]:
    amounts = pack.defaults()
    book = pack.runbook(alert, amounts)
    rules = [rule for rule in pack.rules if rule.alert == alert]
    yield from (f"### {alert}", "", book.meaning, "")
    yield from (f"{number}. {step}" for number, step in enumerate(book.steps, start=1))
    yield ""
    for rule in rules:
        yield from (f"{_told(rule)}:", "", "```promql", filled(rule.expr, amounts), "```", "")
    used = dict.fromkeys(name for rule in rules for name in holes(rule.expr))
    thresholds = [f"`{name}` ({pack.head.parameters[name].value})" for name in used]
    if thresholds:
        yield from (f"Thresholds: {', '.join(thresholds)}.", "")


def _told(rule: Rule) -> str:
    """Return how an alert is told: severity, other labels, and how long it must hold."""
    more = [f"{name} {value}" for name, value in rule.labels.items() if name != "severity"]
    hold = f"after {rule.hold}" if rule.hold else "at once"
    return ", ".join([f"`{rule.labels['severity']}`", *more, hold])


if __name__ == "__main__":
    sys.stdout.write(pack_reference())
