"""Structs are put side by side without losing names, defaults or descriptions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tocsin.config_loader.compose import extended, flat, part, parts_of
from tocsin.config_loader.describe import default_of, field_docs, summary


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What all have,
    over two lines.

    And a second paragraph.
    """

    name: str
    """Who it is,
    in full."""
    silent: int = 1


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How fast."""

    every: int = 5
    """How often."""
    hold: list[int] = msgspec.field(name="for", default_factory=lambda: [1])
    """How long."""
    must: bool


class Child(Base, frozen=True, kw_only=True):
    """One more field."""

    silent: int = 2
    """Described here only."""


def both() -> Any:
    return flat("Both", Base, Rates)


def test_a_flat_struct_has_the_fields_of_all_parts() -> None:
    fields = {f.name: f for f in msgspec.structs.fields(both())}
    assert list(fields) == ["name", "silent", "every", "hold", "must"]
    assert fields["hold"].encode_name == "for"
    assert [f.required for f in fields.values()] == [True, False, False, False, True]
    assert [default_of(f) for f in fields.values()] == [None, 1, 5, [1], None]


def test_a_part_comes_out_as_it_went_in() -> None:
    value = both()(name="x", must=True, every=7)
    assert part(value, Rates) == Rates(must=True, every=7)
    assert part(value, Base) == Base(name="x")


def test_two_fields_of_one_name_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="would have two fields every"):
        flat("Wrong", Rates, Rates)


def test_a_struct_remembers_its_parts() -> None:
    assert parts_of(both()) == (Rates,)
    assert parts_of(Base) == ()


def test_unknown_fields_stay_forbidden() -> None:
    made = extended("More", Base, [("extra", int, 3)])
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "x", "other": 1}, made)
    assert made.__doc__ == Base.__doc__


def test_descriptions_come_from_the_source_of_every_part() -> None:
    assert field_docs(both()) == {
        "name": "Who it is, in full.",
        "every": "How often.",
        "hold": "How long.",
    }
    assert field_docs(Child) == {"name": "Who it is, in full.", "silent": "Described here only."}


def test_a_struct_without_source_has_no_descriptions() -> None:
    made = msgspec.defstruct("Made", [("x", int)], module="nowhere")
    assert field_docs(made) == {}


def test_a_summary_joins_the_lines_of_a_paragraph() -> None:
    assert summary(Base) == "What all have, over two lines.\n\nAnd a second paragraph."
