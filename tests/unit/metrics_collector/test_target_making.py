"""From discovered addresses to targets: what rules may change, drop or spoil."""

import json
from typing import Any

import msgspec
import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.metrics_collector.config import MetricsConfig, check_metrics
from tocsin.metrics_collector.pools import Pool, ScrapePool, pools_of
from tocsin.metrics_collector.target import Job, Outcome, Target
from tocsin.model.settings import Duration


def config(**keys: Any) -> MetricsConfig:
    raw = {"scrape_configs": [{"job_name": "shop", **keys}]}
    root = parse(json.dumps(raw), file="x").root
    assert root is not None
    converted = convert(root, MetricsConfig)
    assert converted.value is not None, converted.problems
    assert check_metrics(converted.value) == []
    return converted.value


def outcome(address: str = "web:80", /, *rules: dict[str, Any], **keys: Any) -> Outcome:
    labels = keys.pop("labels", {})
    made = config(relabel_configs=list(rules), **keys)
    return Job(made.scrape_configs[0], made).outcome(address, labels)


def to(target: str, value: str) -> dict[str, Any]:
    return {"target_label": target, "replacement": value}


async def pool(**keys: Any) -> Pool:
    return (await pools_of(config(**keys), {}, {}))["shop"].pool


def test_internal_labels_reach_the_scrape_and_not_the_series() -> None:
    made = outcome(
        "web:80",
        to("__scheme__", "https"),
        to("__metrics_path__", "/probe"),
        to("__param_target", "x y"),
        to("__scrape_interval__", "30s"),
        to("__scrape_timeout__", "5s"),
        to("__tmp_note", "n"),
        labels={"__meta_zone": "z", "env": "prod"},
    )
    target = made.target
    assert target is not None
    assert target.url == "https://web:80/probe?target=x+y"
    assert (str(target.interval), str(target.timeout)) == ("30s", "5s")
    assert dict(target.labels) == {"env": "prod", "instance": "web:80", "job": "shop"}
    assert made.discovered["__meta_zone"] == "z"
    assert "__tmp_note" not in made.discovered


def test_the_blackbox_pattern_turns_addresses_into_parameters() -> None:
    made = outcome(
        "https://shop.example/",
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        to("__address__", "prober:9115"),
        params={"module": ["http_2xx"]},
        metrics_path="/probe",
    )
    assert made.target is not None
    assert made.target.labels["instance"] == "https://shop.example/"
    assert made.target.url == (
        "http://prober:9115/probe?module=http_2xx&target=https%3A%2F%2Fshop.example%2F"
    )


def test_the_instance_follows_the_address_unless_a_rule_gives_it() -> None:
    moved = outcome("web:80", to("__address__", "other:1")).target
    named = outcome("web:80", to("instance", "name")).target
    assert moved is not None
    assert named is not None
    assert (moved.labels["instance"], named.labels["instance"]) == ("other:1", "name")


def test_a_parameter_of_the_job_stays_unless_a_rule_replaces_it() -> None:
    gone = {"regex": "__param_.*", "action": "labeldrop"}
    kept = outcome("web:80", gone, params={"m": ["a", "b"]}).target
    replaced = outcome("web:80", to("__param_m", "c"), params={"m": ["a", "b"]}).target
    assert kept is not None
    assert replaced is not None
    assert (kept.url, replaced.url) == (
        "http://web:80/metrics?m=a&m=b",
        "http://web:80/metrics?m=c&m=b",
    )


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (to("__address__", ""), "no address"),
        (to("__address__", "a/b"), "not a valid hostname"),
        (to("__scrape_interval__", "soon"), "not a valid duration"),
        (to("__scrape_interval__", ""), "not a valid duration"),
        (to("__scrape_interval__", "0"), "cannot be 0"),
        (to("__scrape_timeout__", "0s"), "cannot be 0"),
        (to("__scrape_timeout__", "2m"), "greater than scrape interval 1m"),
    ],
)
def test_a_target_nobody_can_ask_is_a_fault(rule: dict[str, Any], fault: str) -> None:
    made = outcome("web:80", rule)
    assert made.target is None
    assert fault in made.fault


def test_a_group_without_an_address_is_a_fault_unless_a_label_gives_it() -> None:
    assert outcome("").fault == "no address"
    given = outcome("", labels={"__address__": "web:80"}).target
    assert given is not None
    assert given.url == "http://web:80/metrics"


async def test_dropped_targets_are_kept_as_they_were_found() -> None:
    drop = {"source_labels": ["__address__"], "regex": "b.*", "action": "drop"}
    static = [{"targets": ["a:1", "b:1", "b:2"], "labels": {"__meta_x": "y"}}]
    made = await pool(static_configs=static, relabel_configs=[drop])
    assert [each.discovered["__address__"] for each in made.dropped] == ["b:1", "b:2"]
    assert made.dropped[0].discovered["__meta_x"] == "y"
    assert (made.dropped_count, len(made.targets), made.faults) == (2, 1, ())
    fewer = await pool(static_configs=static, relabel_configs=[drop], keep_dropped_targets=1)
    assert (len(fewer.dropped), fewer.dropped_count) == (1, 2)


async def test_beyond_the_target_limit_no_target_of_the_job_is_scraped() -> None:
    static = [{"targets": ["a:1", "b:1", "a:1"]}]
    within = await pool(static_configs=static, target_limit=2)
    beyond = await pool(static_configs=static, target_limit=1)
    assert {target.refused for target in within.targets.values()} == {""}
    assert {target.refused for target in beyond.targets.values()} == {
        "target_limit exceeded (number of targets: 2, limit: 1)"
    }


def only(pools: dict[str, ScrapePool]) -> Target:
    [target] = pools["shop"].pool.targets.values()
    return target


async def test_an_unchanged_group_is_not_made_again() -> None:
    static = [{"targets": ["a:1"]}]
    first = await pools_of(config(static_configs=static), {}, {})
    before = only(first)
    await first["shop"].refresh()
    assert only(first) is before
    again = await pools_of(config(static_configs=static), {}, first)
    assert only(again) is before


@pytest.mark.parametrize("changed", [{"honor_labels": True}, {"scrape_interval": "30s"}])
async def test_a_changed_job_makes_its_targets_anew(changed: dict[str, Any]) -> None:
    static = [{"targets": ["a:1"]}]
    first = await pools_of(config(static_configs=static), {}, {})
    second = await pools_of(config(static_configs=static, **changed), {}, first)
    assert only(second) != only(first)


async def test_another_interval_of_the_tenant_makes_targets_anew() -> None:
    made = config(static_configs=[{"targets": ["a:1"]}])
    first = await pools_of(made, {}, {})
    quicker = msgspec.structs.replace(made, scrape_interval=Duration.parse("20s"))
    second = await pools_of(quicker, {}, first)
    assert str(only(second).interval) == "20s"
    assert str(only(first).interval) == "1m"
