"""Selectors are set operations on postings, and mean what Prometheus says they mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match, matcher
from tocsin.timeseries.catalog import NEVER, Catalog

SERIES = [
    Labels.of({"__name__": "up", "job": "node", "instance": "a:9100"}),
    Labels.of({"__name__": "up", "job": "node", "instance": "b:9100"}),
    Labels.of({"__name__": "up", "job": "web"}),
    Labels.of({"__name__": "load", "job": "node", "instance": "a:9100"}),
    Labels.of({"job": "x\ny"}),
]


def catalog_of(series: list[Labels]) -> Catalog:
    catalog = Catalog()
    for labels in series:
        catalog.add(labels)
    return catalog


def selected(catalog: Catalog, *matchers: Matcher) -> list[Labels]:
    return [catalog.labels(sid) for sid in catalog.select(matchers).tolist()]


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ([("__name__", "=", "up")], [0, 1, 2]),
        ([("__name__", "=", "up"), ("job", "=", "node")], [0, 1]),
        ([("__name__", "=", "up"), ("job", "!=", "node")], [2]),
        ([("instance", "=", "")], [2, 4]),
        ([("instance", "!=", "")], [0, 1, 3]),
        ([("instance", "!=", "a:9100")], [1, 2, 4]),
        ([("instance", "=~", "a.*|")], [0, 2, 3, 4]),
        ([("instance", "=~", "a.*")], [0, 3]),
        ([("instance", "=~", "a.+|b.+")], [0, 1, 3]),
        ([("instance", "!~", "a.*")], [1, 2, 4]),
        ([("instance", "!~", "a.*|")], [1]),
        ([("instance", "=~", ".*")], [0, 1, 2, 3, 4]),
        ([("instance", "!~", ".*")], []),
        ([("instance", "=~", ".+")], [0, 1, 3]),
        ([("instance", "!~", ".+")], [2, 4]),
        ([("job", "=~", "node|web|none")], [0, 1, 2, 3]),
        ([("job", "!~", "node|web|none")], [4]),
        ([("job", "=~", "x.y")], [4]),
        ([("none", "=", "x")], []),
        ([("none", "!=", "x")], [0, 1, 2, 3, 4]),
        ([("none", "=", "")], [0, 1, 2, 3, 4]),
        ([], [0, 1, 2, 3, 4]),
    ],
)
def test_a_selector_finds_what_prometheus_finds(
    matchers: list[tuple[str, str, str]], expected: list[int]
) -> None:
    found = selected(catalog_of(SERIES), *(matcher(*each) for each in matchers))
    assert found == sorted(SERIES[i] for i in expected)


names = st.sampled_from(["__name__", "job", "instance"])
values = st.sampled_from(["", "a", "b", "ab", "c"])
label_sets = st.dictionaries(names, values, min_size=1).map(Labels.of)
matcher_sets = st.lists(
    st.builds(
        matcher,
        names,
        st.sampled_from(["=", "!=", "=~", "!~"]),
        st.sampled_from(["", "a", "b", "a|b", ".*", ".+", "a.*", "[ab]|", "c?"]),
    ),
    max_size=3,
)


@given(st.lists(label_sets, unique=True), st.data())
def test_the_index_agrees_with_trying_every_series(
    series: list[Labels], data: st.DataObject
) -> None:
    catalog = Catalog()
    live: set[Labels] = set()
    for labels in series:
        sid = catalog.add(labels)
        live.add(labels)
        matchers = data.draw(matcher_sets)
        assert selected(catalog, *matchers) == sorted(s for s in live if all_match(matchers, s))
        if data.draw(st.booleans()):
            catalog.remove([sid])
            live.discard(labels)
    matchers = data.draw(matcher_sets)
    assert selected(catalog, *matchers) == sorted(s for s in live if all_match(matchers, s))
    assert len(catalog) == len(live)


def test_a_pattern_sees_values_that_came_after_it_was_first_used() -> None:
    catalog = catalog_of(SERIES[:1])
    pattern = matcher("instance", "=~", "[ab]:.*")
    assert len(selected(catalog, pattern)) == 1
    catalog.add(SERIES[1])
    assert len(selected(catalog, pattern)) == 2


def test_a_pattern_outlives_values_that_come_and_go() -> None:
    catalog = catalog_of([Labels.of({"pod": "stays"})])
    pattern = matcher("pod", "=~", "p.*7")
    for i in range(3000):
        labels = Labels.of({"pod": f"p{i}"})
        sid = catalog.add(labels)
        assert selected(catalog, pattern) == ([labels] if i % 10 == 7 else [])
        catalog.remove([sid])
    assert [value for value, _ in catalog.postings.values("pod")] == ["stays"]


def test_only_so_many_patterns_are_remembered_and_all_still_answer() -> None:
    catalog = catalog_of(SERIES)
    for _ in range(2):
        for i in range(600):
            assert selected(catalog, matcher("job", "=~", f"web.{{0,{i}}}")) == [SERIES[2]]


def test_values_and_names_vanish_with_their_last_series() -> None:
    catalog = catalog_of(SERIES)
    catalog.remove([0, 1, 3])
    assert sorted(catalog.postings.names()) == ["__name__", "job"]
    assert [value for value, _ in catalog.postings.values("job")] == ["web", "x\ny"]
    assert list(catalog.postings.values("instance")) == []


def test_an_id_is_given_out_again_without_the_past_of_its_series() -> None:
    catalog = catalog_of(SERIES)
    catalog.newest_times[2] = 5
    catalog.remove([2])
    other = Labels.of({"__name__": "other"})
    assert catalog.add(other) == 2
    assert catalog.newest_times[2] == NEVER
    assert catalog.find(SERIES[2]) is None
    assert selected(catalog, matcher("__name__", "=", "other")) == [other]


def test_a_label_set_keeps_its_id() -> None:
    catalog = catalog_of(SERIES)
    assert catalog.add(Labels.of(dict(SERIES[1]))) == 1


def test_an_id_out_of_use_has_no_labels() -> None:
    catalog = catalog_of(SERIES)
    catalog.remove([1])
    with pytest.raises(KeyError):
        catalog.labels(1)


def test_a_generation_moves_with_the_series_of_its_metric_only() -> None:
    catalog = catalog_of(SERIES)
    before = catalog.generation("up"), catalog.generation("load")
    sid = catalog.add(Labels.of({"__name__": "up", "job": "new"}))
    added = catalog.generation("up")
    catalog.remove([sid])
    assert len({before[0], added, catalog.generation("up")}) == 3
    assert catalog.generation("load") == before[1]
    catalog.remove([3])
    assert catalog.generation("load") == 0
    assert catalog.generation("none") == 0


def test_small_and_large_selections_come_in_label_order() -> None:
    series = [Labels.of({"i": f"{i:03}", "j": str(i % 20)}) for i in range(199, -1, -1)]
    catalog = catalog_of(series)
    few = selected(catalog, matcher("j", "=", "3"))
    assert few == sorted(few)
    assert len(few) == 10
    assert selected(catalog) == sorted(series)
    assert selected(catalog, matcher("j", "=", "3")) == few


def test_arrays_by_series_id_grow_with_the_catalog() -> None:
    catalog = catalog_of([Labels.of({"i": str(i)}) for i in range(1000)])
    assert catalog.size >= 1000
    assert int(np.count_nonzero(catalog.in_use)) == 1000
    assert (catalog.newest_times == NEVER).all()
