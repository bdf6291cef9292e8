"""Label sets of a block come back in order, and selectors mean what they mean in the head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match, matcher
from tocsin.timeseries import block_index
from tocsin.timeseries.block_codec import BadBlock, Coder
from tocsin.timeseries.block_index import BlockIndex, index_of, pack_index, read_index
from tocsin.timeseries.index_merge import DROPPED, merged_index

NAMES = st.sampled_from(["__name__", "a", "b", "le", "é"])
VALUES = st.sampled_from(["a", "b", "up", "1", "1|2", "\U0001f514", "x" * 70, "a\nb"])
LABELS = st.dictionaries(NAMES, VALUES, min_size=1).map(Labels.of)
SERIES = st.sets(LABELS, max_size=12).map(sorted)
MATCHERS = st.lists(
    st.builds(
        matcher,
        st.sampled_from(["__name__", "a", "b", "none"]),
        st.sampled_from(["=", "!=", "=~", "!~"]),
        st.sampled_from(["", "a", "up", "1", "a|b", ".+", "[ab]?", "u.*", "none"]),
    ),
    max_size=3,
)


def read_back(series: list[Labels]) -> BlockIndex:
    return read_index(pack_index(Coder(), *index_of(series)))


@given(SERIES)
def test_label_sets_come_back_in_order(series: list[Labels]) -> None:
    index = read_back(series)
    assert [index.labels(number) for number in range(len(index))] == series


@given(SERIES, MATCHERS)
def test_a_selector_finds_what_matches(series: list[Labels], matchers: list[Matcher]) -> None:
    index = read_back(series)
    for _ in range(2):  # patterns are remembered
        found = [series[number] for number in index.select(matchers).tolist()]
        assert found == [labels for labels in series if all_match(matchers, labels)]


@given(SERIES)
def test_names_and_values_come_with_the_series_that_carry_them(series: list[Labels]) -> None:
    index = read_back(series)
    for name, ids in index.names():
        assert ids.tolist() == [at for at, labels in enumerate(series) if name in labels]
        values = {value: at.tolist() for value, at in index.values(name)}
        assert list(values) == sorted({labels[name] for labels in series if name in labels})
        for value, carriers in values.items():
            expected = [at for at, each in enumerate(series) if each.value(name) == value]
            assert carriers == expected
    assert sorted(name for name, _ in index.names()) == sorted({n for s in series for n in s})
    assert list(index.values("none")) == []


@given(st.lists(st.tuples(SERIES, st.integers(0, 2**12 - 1)), min_size=1, max_size=4))
def test_merged_indexes_number_the_series_that_are_kept(
    given_: list[tuple[list[Labels], int]],
) -> None:
    indexes = [read_back(series) for series, _ in given_]
    kept = [[bool(mask >> at & 1) for at in range(len(series))] for series, mask in given_]
    merged, numbers = merged_index(indexes, [np.array(each, np.bool_) for each in kept])
    index = read_index(pack_index(Coder(), *merged))
    union = {
        labels
        for (series, _), mask in zip(given_, kept, strict=True)
        for labels, keep in zip(series, mask, strict=True)
        if keep
    }
    assert [index.labels(number) for number in range(len(index))] == sorted(union)
    for (series, _), mask, new in zip(given_, kept, numbers, strict=True):
        for labels, keep, number in zip(series, mask, new.tolist(), strict=True):
            assert (index.labels(number) == labels) if keep else (number == DROPPED)
    texts = {text for labels in union for pair in labels.pairs for text in pair}
    assert len(index.texts) == len(texts)


def test_many_series_take_a_few_bytes_each() -> None:
    series = sorted(
        Labels.of({"__name__": f"m{m}", "instance": f"host-{i:04d}:9100", "job": "node"})
        for m in range(20)
        for i in range(100)
    )
    assert len(pack_index(Coder(), *index_of(series))) < 2 * len(series)


def test_what_is_remembered_of_an_index_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_index, "_LABELS_KEPT", 3)
    index = read_back([Labels.of({"a": f"{i}"}) for i in range(9)])
    for _ in range(2):
        assert [index.labels(number)["a"] for number in range(9)] == [f"{i}" for i in range(9)]


def test_an_index_that_makes_no_sense_is_an_error() -> None:
    coder = Coder()
    with pytest.raises(BadBlock, match="less than nothing"):
        read_index(coder.numbers(np.array([-1, 1])))
    texts, counts, refs = index_of([Labels.of({"a": "b"})])
    with pytest.raises(BadBlock, match="stands for no text"):
        read_index(pack_index(coder, texts, counts, refs + 1))
    with pytest.raises(BadBlock):
        read_index(b"")
