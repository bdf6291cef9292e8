"""From a page to what is stored."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.metrics_collector.ports import Page
from tocsin.metrics_collector.relabel import RelabelConfig, Rules, compile_rules
from tocsin.metrics_collector.scrape import Scraped, TargetSeries, scrape_time
from tocsin.metrics_collector.target import Limits, Target, with_target_labels
from tocsin.model.labels import Labels
from tocsin.model.sample import is_stale
from tocsin.model.settings import Duration

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TARGET = Labels.of({"job": "shop", "instance": "web:80"})


def target(**keys: Any) -> Target:
    minute = Duration(minutes=1)
    return Target("shop", "http://web:80/metrics", minute, minute, TARGET, TARGET, **keys)


class Series:
    """A target under scrape."""

    def __init__(self, **keys: Any) -> None:
        self.series = TargetSeries(target(**keys))

    def take(self, text: str, **headers: str) -> Scraped:
        page = Page(200, {name.replace("_", "-"): v for name, v in headers.items()}, text.encode())
        return self.series.take(page, took=SECOND)


def stored(scraped: Scraped) -> dict[str, float | str]:
    """Return values by name and labels beyond the target's; an end is "stale"."""
    return {
        _shown(labels): "stale" if is_stale(value) else value
        for batch in scraped.batches
        for labels, value in zip(batch.layout.labels, batch.values.tolist(), strict=True)
    }


def timed(scraped: Scraped) -> list[tuple[str, int, float]]:
    """Return the samples with times of the target's own."""
    if scraped.timed is None:
        return []
    labels, found = scraped.timed.series.labels, scraped.timed.samples
    rows = zip(found.numbers.tolist(), found.times.tolist(), found.values.tolist(), strict=True)
    return [(_shown(labels[number]), ts_ms, value) for number, ts_ms, value in rows]


def _shown(labels: Labels) -> str:
    rest = labels.drop(("__name__", *(name for name in TARGET if labels[name] == TARGET[name])))
    return labels["__name__"] + (str(rest) if rest else "")


def report(up: float, scraped: float, added: float) -> dict[str, float]:
    return {
        "up": up,
        "scrape_duration_seconds": 1.0,
        "scrape_samples_scraped": scraped,
        "scrape_samples_post_metric_relabeling": scraped,
        "scrape_series_added": added,
    }


def test_a_scrape_gives_samples_and_a_report_under_the_labels_of_the_target() -> None:
    scraped = Series().take('a{x="1"} 5\nb 6\n')
    assert stored(scraped) == {'a{x="1"}': 5, "b": 6, **report(1, 2, 2)}
    assert scraped.error == ""


def test_an_unchanged_page_is_written_by_the_same_layouts() -> None:
    series = Series()
    first, again = series.take("a 1\nb 2\n"), series.take("a 3\nb 4\n")
    assert [b.layout is c.layout for b, c in zip(first.batches, again.batches, strict=True)] == [
        True,
        True,
    ]
    assert stored(again) == {"a": 3, "b": 4, **report(1, 2, 0)}


def test_a_series_that_vanishes_ends_and_one_that_comes_is_counted() -> None:
    series = Series()
    series.take("a 1\nb 2\n")
    assert stored(series.take("b 3\nc 4\n")) == {"b": 3, "c": 4, "a": "stale", **report(1, 2, 1)}
    assert stored(series.take("b 3\nc 4\n")) == {"b": 3, "c": 4, **report(1, 2, 0)}


def test_a_failed_scrape_ends_every_series_but_its_own_report() -> None:
    series = Series()
    series.take("a 1\n")
    failed = series.series.fail("connection refused", took=SECOND)
    assert stored(failed) == {"a": "stale", **report(0, 0, 0)}
    assert failed.error == "connection refused"
    assert stored(series.take("a 2\n")) == {"a": 2, **report(1, 1, 1)}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, "server returned HTTP status 404 Not Found"),
        (503, "server returned HTTP status 503"),
    ],
)
def test_any_status_but_200_is_a_failure(status: int, error: str) -> None:
    scraped = Series().series.take(Page(status, {}, b"a 1\n"), took=SECOND)
    assert scraped.error == error


def test_a_page_with_one_bad_line_fails_as_a_whole() -> None:
    series = Series()
    series.take("a 1\n")
    scraped = series.take("a 2\nb oops\n")
    assert scraped.error.startswith("line 2: ")
    assert stored(scraped) == {"a": "stale", **report(0, 0, 0)}
    assert stored(series.take("b 1\na 2\n")) == {"b": 1, "a": 2, **report(1, 2, 2)}


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Limits(samples=1), "sample limit exceeded (2 samples)"),
        (Limits(labels=3), "label_limit exceeded (4 labels, limit 3)"),
        (Limits(name_length=8), "label_name_length_limit exceeded (label 'long_name')"),
        (Limits(value_length=10), "label_value_length_limit exceeded (label '__name__')"),
    ],
)
def test_a_page_beyond_a_limit_fails_as_a_whole_every_time(limits: Limits, error: str) -> None:
    series = Series(limits=limits)
    for _ in range(2):
        scraped = series.take('a 1\na_metric_of_long_name{long_name="long value!"} 1\n')
        assert scraped.error.startswith(error)
        assert stored(scraped) == report(0, 0, 0)


def test_a_page_just_within_its_limits_is_taken() -> None:
    limits = Limits(samples=1, labels=4, name_length=8, value_length=6)
    assert Series(limits=limits).take('a{x="y"} 1\n').error == ""


def test_the_content_type_tells_openmetrics() -> None:
    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "EOF" in Series().take("a 1\n", content_type=kind).error
    assert Series().take("a 1\n# EOF\n", content_type=kind).error == ""


def test_times_of_the_target_are_kept_apart() -> None:
    scraped = Series().take("a 1 1000\nb 2\n")
    assert stored(scraped) == {"b": 2, **report(1, 2, 1)}
    assert timed(scraped) == [("a", 1000, 1)]


def test_times_that_change_are_kept_apart_at_every_scrape() -> None:
    series = Series()
    for n in range(5):
        scraped = series.take(f"a {n} {n}000\nb {n}\na {n} {n}001\n")
        assert timed(scraped) == [("a", n * 1000, n), ("a", n * 1000 + 1, n)]
        assert stored(scraped) == {"b": n, **report(1, 3, float(n == 0))}
        assert scraped.duplicates == 0


def test_times_of_the_target_may_be_ignored() -> None:
    scraped = Series(honor_timestamps=False).take("a 1 1000\n")
    assert stored(scraped)["a"] == 1
    assert timed(scraped) == []


def test_of_a_series_that_stands_there_twice_the_first_counts() -> None:
    series = Series()
    for value in (1, 2):
        scraped = series.take(f'a{{x="1",y="2"}} {value}\na{{y="2",x="1"}} 9\n')
        assert stored(scraped)['a{x="1", y="2"}'] == value
        assert scraped.duplicates == 1


def test_a_target_with_many_series_that_come_and_go_is_forgotten_in_time() -> None:
    series = Series()
    pages = ["".join(f"m{turn}_{n} 1\n" for n in range(400)) for turn in range(6)]
    for page in pages:
        assert stored(series.take(page))["scrape_series_added"] == 400
    assert len(series.series._labels) < 2400
    assert stored(series.take(pages[-1]))["scrape_series_added"] == 0


def test_metadata_and_exemplars_are_told() -> None:
    kind = "application/openmetrics-text"
    page = '# TYPE a counter\na_total 1 # {x="y"} 1\n# EOF\n'
    scraped = Series().take(page, content_type=kind)
    assert scraped.metadata["a"].type == "counter"
    assert scraped.exemplars == 1


def test_a_target_that_is_gone_ends_its_series_and_its_report() -> None:
    series = Series()
    series.take("a 1\n")
    ends = stored(Scraped(series.series.end()))
    assert set(ends.values()) == {"stale"}
    assert len(ends) == 6


def test_an_adopted_target_goes_on_with_its_series() -> None:
    series, heir = Series(), Series(limits=Limits(samples=9))
    series.take("a 1\nb 1\n")
    heir.series.adopt(series.series)
    assert stored(heir.take("b 2\n")) == {"b": 2, "a": "stale", **report(1, 1, 0)}


def test_clashing_labels_are_renamed_unless_the_target_may_decide() -> None:
    series = Labels.of({"job": "own", "exported_job": "taken", "x": "y"})
    assert dict(with_target_labels(series, TARGET, honor=False)) == {
        "job": "shop",
        "instance": "web:80",
        "exported_job": "taken",
        "exported_exported_job": "own",
        "x": "y",
    }
    assert dict(with_target_labels(series, TARGET, honor=True)) == {
        "job": "own",
        "instance": "web:80",
        "exported_job": "taken",
        "x": "y",
    }


def test_a_scrape_lies_on_its_slot_unless_it_began_late() -> None:
    minute = timedelta(minutes=1)
    assert scrape_time(T0, T0 + 0.6 * SECOND, minute) == T0
    assert scrape_time(T0, T0 + 0.7 * SECOND, minute) == T0 + 0.7 * SECOND


def rules(*raw: dict[str, Any]) -> Rules:
    return compile_rules([msgspec.convert(each, RelabelConfig) for each in raw])


NO_A = {"source_labels": ["__name__"], "regex": "a.*", "action": "drop"}


def after_rules(scraped: int, kept: int, added: int) -> dict[str, float]:
    told = report(1, scraped, added)
    return {**told, "scrape_samples_post_metric_relabeling": kept}


def test_rules_rewrite_and_drop_series_before_they_are_stored() -> None:
    rename = {"source_labels": ["x"], "target_label": "y", "replacement": "${1}!"}
    series = Series(rules=rules(NO_A, rename))
    for added in (1, 0):
        scraped = series.take('a{x="1"} 1\nb{x="2"} 2\na2 3\n')
        assert stored(scraped) == {'b{x="2", y="2!"}': 2, **after_rules(3, 1, added)}
        assert scraped.duplicates == 0


def test_rules_see_the_labels_of_the_target_and_not_those_of_its_report() -> None:
    drop = {"source_labels": ["job", "__name__"], "regex": "shop;.*", "action": "drop"}
    assert stored(Series(rules=rules(drop)).take("a 1\n")) == after_rules(1, 0, 0)


def test_samples_with_times_are_dropped_too() -> None:
    scraped = Series(rules=rules(NO_A)).take("a 1 5\nb 2 6\n")
    assert timed(scraped) == [("b", 6, 2)]
    assert (scraped.duplicates, stored(scraped)) == (0, after_rules(2, 1, 0))


def test_series_that_rules_make_equal_count_once() -> None:
    series = Series(rules=rules({"regex": "x", "action": "labeldrop"}))
    scraped = series.take('a{x="1"} 1\na{x="2"} 2\n')
    assert stored(scraped) == {"a": 1, **after_rules(2, 2, 1)}
    assert scraped.duplicates == 1


def test_a_series_without_a_name_after_its_rules_fails_the_scrape() -> None:
    scraped = Series(rules=rules({"regex": "__name__", "action": "labeldrop"})).take("a 1\n")
    assert "took the metric name" in scraped.error
    nothing = {"regex": "none", "action": "labelkeep"}
    assert Series(rules=rules(nothing)).take("a 1\n").error == ""


def test_limits_count_what_relabelling_leaves() -> None:
    page = "a 1\na1 1\nb 1\n"
    assert Series(rules=rules(NO_A), limits=Limits(samples=1)).take(page).error == ""
    more = Series(rules=rules(NO_A), limits=Limits(samples=1)).take(page + "c 1\n")
    assert more.error == "sample limit exceeded (2 samples)"
    shorter = rules({"target_label": "long_name", "replacement": ""})
    limits = Limits(value_length=10)
    page = 'a{long_name="a value of many letters"} 1\n'
    assert Series(rules=shorter, limits=limits).take(page).error == ""


def test_lengths_are_counted_in_bytes() -> None:
    limits = Limits(value_length=8)
    assert Series(limits=limits).take('a{x="ääää"} 1\n').error == ""
    assert "value_length" in Series(limits=limits).take('a{x="äääää"} 1\n').error


def test_a_page_of_other_series_after_one_with_times_is_stored_whole() -> None:
    series = Series()
    series.take("a 1 1000\nb 2\n")
    assert stored(series.take("a 1\nb 2\n")) == {"a": 1, "b": 2, **report(1, 2, 1)}


class Forgetful(Series):
    """A target that is read line by line and planned anew at every scrape."""

    def take(self, text: str, **headers: str) -> Scraped:
        self.series._plan = None
        self.series._parser._shape = None
        return super().take(text, **headers)


PAGES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a2", "b", 'b{x="1"}', 'b{x="2"}', 'c{job="own"}']),
            st.sampled_from([" 1", " 2", " x", " 1 5", " 2 6"]),
        ).map("".join),
        max_size=5,
    ).map("\n".join),
    min_size=1,
    max_size=3,
)
KEYS: list[dict[str, Any]] = [
    {},
    {"honor_labels": True, "honor_timestamps": False},
    {"rules": rules(NO_A)},
    {"rules": rules({"regex": "x", "action": "labeldrop"}), "limits": Limits(samples=3)},
    {"limits": Limits(samples=2, labels=3)},
]


@given(PAGES, st.lists(st.integers(0, 2), max_size=9), st.sampled_from(KEYS))
def test_what_is_remembered_of_a_target_changes_nothing(
    pages: list[str], turns: list[int], keys: dict[str, Any]
) -> None:
    quick, slow = Series(**keys), Forgetful(**keys)
    for turn in turns:
        page = pages[turn % len(pages)] + "\n"
        ours, theirs = quick.take(page), slow.take(page)
        assert list(stored(ours).items()) == list(stored(theirs).items())
        assert timed(ours) == timed(theirs)
        assert (ours.duplicates, ours.error) == (theirs.duplicates, theirs.error)
