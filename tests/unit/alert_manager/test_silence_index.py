"""The index over silences finds what trying them all finds, also at its limits."""

from __future__ import annotations

from tocsin.alert_manager.silence_index import SilenceIndex
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matchers, matcher


def indexed(*silences: Matchers) -> SilenceIndex:
    return SilenceIndex({str(at): matchers for at, matchers in enumerate(silences)})


def test_many_long_patterns_are_spread_over_sets() -> None:
    index = indexed(*((matcher("a", "=~", f"x{'y?' * 2000}{n}.*"),) for n in range(30)))
    assert index.matching(Labels.of({"a": "xyy7z"})) == ("7",)
    assert index.matching(Labels.of({"a": "w"})) == ()
    assert index.matching(Labels.of({"b": "x1"})) == ()


def test_a_set_that_cannot_be_compiled_leaves_all_its_members_to_be_tried() -> None:
    silences = {str(n): (matcher("a", "=~", f"{n}.*[^x]"),) for n in range(300)}
    index = SilenceIndex(silences, set_memory=1 << 12)
    assert index.matching(Labels.of({"a": "7w"})) == ("7",)
    assert index.matching(Labels.of({"a": "x"})) == ()


def test_other_matchers_of_a_filed_silence_count() -> None:
    index = indexed(
        (matcher("a", "=~", "x.*"), matcher("b", "!=", "1")),
        (matcher("a", "=", "x1"), matcher("b", "=~", "[12]")),
    )
    assert index.matching(Labels.of({"a": "x1", "b": "1"})) == ("1",)
    assert index.matching(Labels.of({"a": "x1", "b": "2"})) == ("0", "1")
    assert index.matching(Labels.of({"a": "x1"})) == ("0",)
