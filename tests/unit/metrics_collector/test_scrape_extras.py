"""What a job may ask for beyond the usual: ends of timed series, three more about the scrape."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tocsin.metrics_collector.ports import TOO_LARGE, Page
from tocsin.metrics_collector.scrape import Scraped, TargetSeries
from tocsin.metrics_collector.target import Limits, Target
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import is_stale
from tocsin.model.settings import Duration

MINUTE = Duration(minutes=1)
WHO = Labels.of({"job": "shop", "instance": "web:80"})
REPORTS = ("up", "scrape_")


def series(**keys: Any) -> TargetSeries:
    return TargetSeries(Target("shop", "http://web/", MINUTE, MINUTE, WHO, WHO, **keys))


def take(of: TargetSeries, text: str) -> Scraped:
    return of.take(Page(200, {}, text.encode()), took=timedelta(0))


def written(scraped: Scraped) -> dict[str, float | str]:
    return {
        labels[METRIC_NAME]: "stale" if is_stale(value) else value
        for batch in scraped.batches
        for labels, value in zip(batch.layout.labels, batch.values.tolist(), strict=True)
    }


def values(scraped: Scraped) -> dict[str, float | str]:
    return {n: v for n, v in written(scraped).items() if not n.startswith(REPORTS)}


def test_a_timed_series_that_is_gone_goes_stale_by_age() -> None:
    plain = series()
    take(plain, "a 1 1000\nb 2\n")
    assert values(take(plain, "b 2\n")) == {"b": 2}
    assert values(plain.fail("away", took=timedelta(0))) == {"b": "stale"}


def test_a_timed_series_that_is_tracked_ends_once() -> None:
    tracked = series(track=True)
    take(tracked, "a 1 1000\nb 2 1000\n")
    take(tracked, "a 1 2000\nb 2 1000\n")
    assert values(take(tracked, "b 2 2000\n")) == {"a": "stale"}
    assert values(take(tracked, "b 2 3000\n")) == {}


def test_a_timed_series_that_loses_its_time_does_not_end() -> None:
    tracked = series(track=True)
    take(tracked, "a 1 1000\n")
    assert values(take(tracked, "a 2\n")) == {"a": 2}
    assert values(take(tracked, "")) == {"a": "stale"}


def test_tracked_series_end_with_their_target_and_when_it_fails() -> None:
    for tracked in (series(track=True), series(track=True)):
        take(tracked, "a 1 1000\n")
    assert values(tracked.fail("away", took=timedelta(0))) == {"a": "stale"}
    assert values(tracked.fail("away", took=timedelta(0))) == {}
    take(tracked, "a 1 1000\n")
    (timed, _) = tracked.end()
    assert [is_stale(value) for value in timed.values.tolist()] == [True]


def test_tracked_series_go_on_after_a_reload() -> None:
    before, after = series(track=True), series(track=True)
    take(before, "a 1 1000\n")
    after.adopt(before)
    assert values(take(after, "b 1\n")) == {"a": "stale", "b": 1}


def test_three_more_series_are_told_where_they_are_asked_for() -> None:
    page = "a 1\n"
    usual = written(take(series(), page)).keys()
    told = written(take(series(extra=True, limits=Limits(samples=7)), page))
    assert {name: told[name] for name in told.keys() - usual} == {
        "scrape_timeout_seconds": 60,
        "scrape_sample_limit": 7,
        "scrape_body_size_bytes": 4,
    }


def test_the_size_of_a_page_that_failed_is_0_or_minus_1() -> None:
    extra = series(extra=True)
    for error, size in (("away", 0), (f"{TOO_LARGE}: over 1 bytes", -1)):
        told = written(extra.fail(error, took=timedelta(0)))
        assert told["scrape_body_size_bytes"] == size
        assert told["scrape_timeout_seconds"] == 60
