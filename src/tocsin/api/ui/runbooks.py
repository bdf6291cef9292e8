"""What the page of an alert's runbook shows: the text that comes with its rule pack."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.config_loader.packs import pack_names, read_pack
from tocsin.rule_engine.pack import Pack, filled, holes

Text = tuple[tuple[bool, str], ...]
"""A text in pieces; those that are true are code."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A parameter of the alert, with its default."""

    name: str
    value: str
    help: str


@dataclass(frozen=True, slots=True)
class RunbookPage:
    """The runbook of one alert, with the pack's defaults."""

    alert: str
    pack: str
    meaning: Text
    steps: tuple[Text, ...]
    expressions: tuple[str, ...]
    thresholds: tuple[Threshold, ...]


def runbook_page(alert: str) -> RunbookPage | None:
    """Return the runbook of an alert, None when no pack has one of the name."""
    for name in pack_names():
        pack = read_pack(name)
        if alert in pack.alerts:
            return _page(pack, alert)
    return None


def pieces(text: str) -> Text:
    """Return a text cut at its backquotes.

    >>> pieces("see `up` first")
    ((False, 'see '), (True, 'up'), (False, ' first'))
    """
    cut = enumerate(text.split("`"))
    return tuple((bool(number % 2), piece) for number, piece in cut if piece)


def _page(pack: Pack, alert: str) -> RunbookPage:
    amounts = pack.defaults()
    book = pack.runbook(alert, amounts)
    written = [rule.expr for rule in pack.rules if rule.alert == alert]
    named = dict.fromkeys(name for expr in written for name in holes(expr))
    parameters = pack.head.parameters
    return RunbookPage(
        alert=alert,
        pack=pack.name,
        meaning=pieces(book.meaning),
        steps=tuple(pieces(step) for step in book.steps),
        expressions=tuple(filled(expr, amounts) for expr in written),
        thresholds=tuple(
            Threshold(name, parameters[name].value, parameters[name].help) for name in named
        ),
    )
