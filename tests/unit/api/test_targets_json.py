"""Targets in the JSON of Prometheus' API: active, dropped, of one pool."""

from datetime import timedelta

from tocsin.api.prometheus_json import targets_json
from tocsin.metrics_collector.views import DroppedTarget, DroppedTargets, TargetHealth, TargetView
from tocsin.model.labels import Labels
from tocsin.model.settings import Duration


def active(pool: str) -> TargetView:
    return TargetView(
        pool=pool,
        url="http://web:80/metrics",
        discovered=Labels.of({"__address__": "web:80"}),
        labels=Labels.of({"job": pool}),
        health=TargetHealth.UNKNOWN,
        last_error="",
        last_scrape=None,
        last_duration=timedelta(0),
        interval=Duration.parse("15s"),
        timeout=Duration.parse("10s"),
    )


def dropped(*pools: str) -> DroppedTargets:
    shown = tuple(DroppedTarget(pool, Labels.of({"__address__": f"{pool}:1"})) for pool in pools)
    return DroppedTargets(shown, dict.fromkeys(pools, 5))


def test_dropped_targets_stand_beside_the_active_ones() -> None:
    shown = targets_json([active("a")], dropped("b"))
    assert [each["scrapePool"] for each in shown["activeTargets"]] == ["a"]
    assert shown["droppedTargets"] == [
        {"discoveredLabels": {"__address__": "b:1"}, "scrapePool": "b"}
    ]
    assert shown["droppedTargetCounts"] == {"b": 5}


def test_one_pool_may_be_asked_for() -> None:
    shown = targets_json([active("a"), active("b")], dropped("a", "b"), pool="b")
    assert [each["scrapePool"] for each in shown["activeTargets"]] == ["b"]
    assert [each["scrapePool"] for each in shown["droppedTargets"]] == ["b"]
