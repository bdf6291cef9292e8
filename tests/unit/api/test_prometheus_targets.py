"""The Prometheus dialect shows scrape targets, dropped ones too, and what they give."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_api import T0, Api, refused

from tocsin.api.prometheus_targets import family_of
from tocsin.metrics_collector.views import DroppedTarget, DroppedTargets, TargetHealth, TargetView
from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata
from tocsin.model.settings import Duration


async def test_targets_show_their_last_scrape() -> None:
    api = Api()
    api.shown = [
        TargetView(
            pool="api",
            url="http://127.0.0.1:1/metrics",
            discovered=Labels.of({"__address__": "127.0.0.1:1"}),
            labels=Labels.of({"job": "api"}),
            health=health,
            last_error=error,
            last_scrape=at,
            last_duration=timedelta(milliseconds=20),
            interval=Duration.parse("15s"),
            timeout=Duration.parse("10s"),
        )
        for health, error, at in (
            (TargetHealth.UP, "", T0),
            (TargetHealth.UNKNOWN, "", None),
            (TargetHealth.DOWN, "refused", T0),
        )
    ]
    data = await api.data("/targets")
    up, new, down = data["activeTargets"]
    assert data["droppedTargets"] == []
    assert (up["health"], up["lastScrape"]) == ("up", "2026-01-01T00:00:00Z")
    assert (up["scrapeInterval"], up["scrapeTimeout"]) == ("15s", "10s")
    assert up["lastScrapeDuration"] == 0.02
    assert new["lastScrape"] == "0001-01-01T00:00:00Z"
    assert down["lastError"] == "refused"


def a_target(pool: str, **labels: str) -> TargetView:
    """Return a target that was not scraped yet."""
    return TargetView(
        pool=pool,
        url="http://web:80/metrics",
        discovered=Labels.of({"__address__": "web:80"}),
        labels=Labels.of({"job": pool, **labels}),
        health=TargetHealth.UNKNOWN,
        last_error="",
        last_scrape=None,
        last_duration=timedelta(0),
        interval=Duration.parse("15s"),
        timeout=Duration.parse("10s"),
    )


@pytest.fixture
def api() -> Api:
    """Show two pools, each with a target and a dropped one."""
    api = Api()
    api.shown = [a_target("b"), a_target("a")]
    gone = tuple(DroppedTarget(p, Labels.of({"__address__": f"{p}:1"})) for p in ("a", "c"))
    api.dropped = DroppedTargets(gone, {"a": 5, "c": 1})
    return api


@pytest.mark.parametrize(
    ("asked", "active", "dropped"),
    [
        ({}, ["a", "b"], ["a", "c"]),
        ({"state": "any"}, ["a", "b"], ["a", "c"]),
        ({"state": "Active"}, ["a", "b"], []),
        ({"state": "dropped"}, [], ["a", "c"]),
        ({"state": "other"}, [], []),
        ({"scrapePool": "a"}, ["a"], ["a"]),
        ({"scrapePool": "nosuch"}, [], []),
    ],
)
async def test_targets_are_narrowed_by_state_and_pool(
    api: Api, asked: dict[str, str], active: list[str], dropped: list[str]
) -> None:
    data = await api.data("/targets", **asked)
    assert [each["scrapePool"] for each in data["activeTargets"]] == active
    assert [each["scrapePool"] for each in data["droppedTargets"]] == dropped


async def test_all_that_was_dropped_is_counted_where_dropped_targets_are_shown(api: Api) -> None:
    assert (await api.data("/targets"))["droppedTargetCounts"] == {"a": 5, "c": 1}
    assert (await api.data("/targets", state="active"))["droppedTargetCounts"] is None


async def test_pools_are_named_even_when_all_their_targets_were_dropped(api: Api) -> None:
    assert await api.data("/scrape_pools") == {"scrapePools": ["a", "b", "c"]}


async def test_metadata_of_targets_are_those_of_the_series_they_have(api: Api) -> None:
    up = {"type": "gauge", "help": "Whether it is up.", "unit": ""}
    assert await api.data("/targets/metadata") == [
        {"target": {"job": "a"}, "metric": "up", **up},
        {"target": {"job": "b"}, "metric": "up", **up},
    ]
    named = await api.data("/targets/metadata", metric="up", match_target='{job="b"}')
    assert named == [{"target": {"job": "b"}, **up}]
    assert await api.data("/targets/metadata", metric="nosuch") == []
    assert len(await api.data("/targets/metadata", limit=1)) == 1
    assert await api.data("/targets/metadata", limit=0) == []
    assert len(await api.data("/targets/metadata", limit=-1)) == 2


async def test_what_is_no_selector_of_targets_is_bad_data(api: Api) -> None:
    refused(
        await api.get("/targets/metadata", match_target="{"),
        400,
        "bad_data",
        'invalid parameter "match_target": 1:2: parse error: unexpected end of input inside braces',
    )
    got = await api.get("/targets/metadata", limit="x")
    refused(got, 400, "bad_data", "limit must be a number")


@pytest.mark.parametrize(
    ("name", "family"),
    [("x_bucket", "x"), ("x_total", "x_total"), ("y_total", "y"), ("z_sum", "z_sum")],
)
def test_a_series_belongs_to_the_family_its_name_begins_with(name: str, family: str) -> None:
    known = dict.fromkeys(("x", "x_total", "y"), Metadata())
    assert family_of(name, known) == family
