"""A pack with its parameters filled in is a plain rule file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.settings import Duration, from_scalar
from tocsin.rule_engine.config import RuleFile
from tocsin.rule_engine.pack import (
    Amount,
    Pack,
    PackChoice,
    PackFile,
    Parameter,
    ParameterUnit,
    amount,
    filled,
    holes,
)

FILE: dict[str, Any] = {
    "tocsin": {
        "title": "Shop",
        "about": "The shop.",
        "needs": "A shop.",
        "parameters": {
            "most": {"value": "5", "unit": "count", "help": "How many."},
            "left": {"value": "2d", "unit": "duration", "help": "How long."},
        },
    },
    "groups": [
        {
            "name": "g",
            "interval": "30s",
            "rules": [
                {"record": "all:queue:sum", "expr": " sum(queue) "},
                {
                    "alert": "Full",
                    "expr": "all:queue:sum > ${most} and end_seconds - time() < ${left:number}",
                    "for": "5m",
                    "labels": {"severity": "warning"},
                    "annotations": {"summary": "{{ $value }} > ${most} for ${for}, ${left}"},
                    "tocsin": {"meaning": "More than ${most}.", "steps": ["Wait ${left}."]},
                },
                {"alert": "Full", "expr": "queue > 9", "labels": {"severity": "critical"}},
                {"alert": "Gone", "expr": "absent(queue)", "labels": {"severity": "info"}},
            ],
        },
        {"name": "h", "rules": [{"alert": "Gone", "expr": "up == 0"}]},
    ],
}


@pytest.fixture
def pack() -> Pack:
    file = msgspec.convert(FILE, PackFile, dec_hook=from_scalar)
    return Pack("shop", file.tocsin, RuleFile(groups=file.groups))


def rendered(pack: Pack, **choice: Any) -> RuleFile:
    return pack.rendered(PackChoice(name="shop", **choice), pack.defaults())


def a_parameter(unit: str, **bounds: str) -> Parameter:
    return Parameter(value="1", unit=ParameterUnit(unit), help="", **bounds)


def test_numbers_and_texts_are_filled_in(pack: Pack) -> None:
    record, full, *_ = rendered(pack).groups[0].rules
    assert (record.record, record.expr) == ("all:queue:sum", "sum(queue)")
    assert full.expr == "all:queue:sum > 5 and end_seconds - time() < 172800"
    assert full.annotations == {
        "summary": "{{ $value }} > 5 for 5m, 2d",
        "runbook_url": "{{ $externalURL }}/runbooks/Full",
    }
    assert full.labels == {"severity": "warning", "pack": "shop"}


def test_a_plain_file_has_nothing_of_ours_but_its_interval(pack: Pack) -> None:
    file = rendered(pack)
    assert [group.tocsin for group in file.groups] == [{}, {}]
    assert all(rule.tocsin == {} for group in file.groups for rule in group.rules)
    assert file.groups[0].interval == timedelta(seconds=30)


def test_another_for_holds_in_rule_and_text(pack: Pack) -> None:
    full, other = rendered(pack, hold={"Full": Duration.parse("1h")}).groups[0].rules[1:3]
    assert full.hold == other.hold == timedelta(hours=1)
    assert full.annotations["summary"].endswith("for 1h, 2d")


def test_an_alert_left_out_takes_an_empty_group_along(pack: Pack) -> None:
    file = rendered(pack, without=["Gone"])
    assert [group.name for group in file.groups] == ["g"]
    assert [rule.name for rule in file.groups[0].rules] == ["all:queue:sum", "Full", "Full"]


def test_runbooks_may_lie_elsewhere(pack: Pack) -> None:
    file = rendered(pack, runbooks="https://wiki.example/alerts/")
    assert file.groups[0].rules[3].annotations["runbook_url"] == "https://wiki.example/alerts/Gone"


def test_a_pack_tells_of_its_alerts_and_what_moves_them(pack: Pack) -> None:
    assert pack.alerts == ["Full", "Gone"]
    assert (pack.moved_by("most"), pack.moved_by("left"), pack.moved_by("x")) == (
        ["Full"],
        ["Full"],
        [],
    )


def test_a_runbook_quotes_the_values_in_force(pack: Pack) -> None:
    amounts = {**pack.defaults(), "most": Amount("7", 7.0)}
    book = pack.runbook("Full", amounts)
    assert (book.meaning, book.steps) == ("More than 7.", ["Wait 2d."])
    for name in ("Gone", "all:queue:sum", "Nothing"):
        with pytest.raises(KeyError):
            pack.runbook(name, amounts)


@pytest.mark.parametrize(
    ("unit", "text", "number", "as_number"),
    [
        ("ratio", "0.05", 0.05, "0.05"),
        ("bytes", "1e9", 1e9, "1e9"),
        ("seconds", "-3.5", -3.5, "-3.5"),
        ("duration", "90m", 5400.0, "5400"),
        ("duration", "1500ms", 1.5, "1.5"),
        ("duration", "0", 0.0, "0"),
    ],
)
def test_an_amount_is_a_text_and_a_number(
    unit: str, text: str, number: float, as_number: str
) -> None:
    found = amount(a_parameter(unit), text)
    assert (found.number, found.as_number) == (number, as_number)


@pytest.mark.parametrize("text", ["", "much", "1_000", "inf", "nan", "0x10", " 1", "1;", "٣", "5m"])
def test_a_number_is_nothing_but_a_number(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a number"):
        amount(a_parameter("ratio"), text)


@pytest.mark.parametrize(
    ("unit", "text", "message"),
    [
        ("ratio", "1.01", "must be at most 1, got 1.01"),
        ("ratio", "-0.01", "must be at least 0, got -0.01"),
        ("duration", "24", "not a valid duration string: '24'"),
    ],
)
def test_what_a_parameter_cannot_be_is_refused(unit: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        amount(a_parameter(unit, at_least="0", at_most="1" if unit == "ratio" else "1h"), text)


def test_bounds_themselves_are_allowed() -> None:
    hour = a_parameter("duration", at_least="1m", at_most="1h")
    assert [amount(hour, text).number for text in ("60s", "1h")] == [60.0, 3600.0]


def test_only_known_holes_are_filled() -> None:
    known = {"a": Amount("1", 1.0)}
    assert (
        filled("$labels ${a} {{ $value }} $1 ${a:number}", known) == "$labels 1 {{ $value }} $1 1"
    )
    with pytest.raises(InvalidInput, match="no parameter 'b'"):
        filled("${b}", known)
    assert holes("${a} ${b:number} ${a}") == ["a", "b"]
