"""The same rules and jobs at a real Prometheus and at us: `/rules`, `/alerts` and `/targets`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from house import eventually
from prometheus_pair import Pair, pair
from prometheus_peer import Peer

RULES = """\
- name: first
  interval: 1s
  limit: 10
  rules:
    - record: job:up:sum
      expr: sum by (job) (up)
      labels: {kind: rec}
    - alert: Late
      expr: late == -Inf or up{job="api"}*0-2
      for: 1s
      labels: {severity: page, of: '{{ $labels.job }}'}
      annotations: {summary: 'value {{ $value }}'}
    - alert: Never
      expr: up > 5
      keep_firing_for: 5m
- name: second
  rules:
    - {alert: Waits, expr: vector(1), for: 1h}
"""
JOBS = """\
  - job_name: itself
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{targets: ["PROMETHEUS"], labels: {zone: a}}]
  - job_name: nobody
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{targets: ["127.0.0.1:1"]}]
  - job_name: left_out
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{targets: ["127.0.0.1:2"]}]
    relabel_configs: [{source_labels: [__address__], regex: .*:2, action: drop}]
"""
PASSING = ("evaluationTime", "lastEvaluation", "activeAt", "lastScrape", "lastScrapeDuration")
NEWER = ("droppedTargetCounts",)  # of 3.x


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("rules"), rules=RULES, jobs=JOBS) as both:
        for peer in (both.ours, both.theirs):
            eventually(partial(settled, peer), within=60, what="rules and targets")
        yield both


def settled(peer: Peer) -> bool:
    """Tell whether the alert fires and every target has been scraped."""
    states = [alert["state"] for alert in peer.get("/alerts").json()["data"]["alerts"]]
    active = peer.get("/targets").json()["data"]["activeTargets"]
    scraped = [target["health"] for target in active]
    return sorted(states) == ["firing", "pending"] and sorted(scraped) == ["down", "up"]


def lasting(value: Any) -> Any:
    """Return what does not change from moment to moment, and is no matter of order."""
    if isinstance(value, dict):
        shown = {name: lasting(each) for name, each in value.items() if name not in NEWER}
        return shown | {name: "passing" for name in PASSING if name in shown}
    if isinstance(value, list):
        return [lasting(each) for each in value]
    return value


def answers(both: Pair, path: str, *params: tuple[str, str]) -> tuple[Any, Any]:
    pages = both.ours.get(path, params), both.theirs.get(path, params)
    for page in pages:
        assert page.status == 200, page.body
    ours, theirs = (lasting(page.json()["data"]) for page in pages)
    return ours, theirs


@pytest.mark.parametrize("kind", ["", "alert", "record", "RECORD"])
def test_rules_are_shown_alike(both: Pair, kind: str) -> None:
    ours, theirs = answers(both, "/rules", *([("type", kind)] if kind else []))
    groups = [group for group in theirs["groups"] if group["rules"]]  # 3.x shows no empty ones
    assert ours["groups"] == groups


def test_alerts_are_shown_alike(both: Pair) -> None:
    ours, theirs = answers(both, "/alerts")
    assert by_name(ours["alerts"]) == by_name(theirs["alerts"])


def by_name(alerts: list[Any]) -> list[Any]:
    return sorted(alerts, key=lambda alert: str(alert["labels"]["alertname"]))


@pytest.mark.parametrize("state", ["", "active", "dropped", "any"])
def test_targets_are_shown_alike(both: Pair, state: str) -> None:
    ours, theirs = answers(both, "/targets", *([("state", state)] if state else []))
    for found in (ours, theirs):
        for target in found["activeTargets"]:
            target["lastError"] = bool(target["lastError"])  # worded by another HTTP client
            target["globalUrl"] = "with the name of the host"
        for target in found["droppedTargets"]:
            target.pop("scrapePool", None)  # told by 3.x
    assert ours == theirs


def test_targets_of_one_job_are_shown_alike(both: Pair) -> None:
    ours, theirs = answers(both, "/targets", ("scrapePool", "itself"), ("state", "active"))
    assert len(ours["activeTargets"]) == 1
    assert [t["labels"] for t in ours["activeTargets"]] == [
        target["labels"] for target in theirs["activeTargets"] if target["scrapePool"] == "itself"
    ]


def test_metadata_of_what_was_scraped_is_shown_alike(both: Pair) -> None:
    for path, params in (
        ("/metadata", [("metric", "go_threads")]),
        ("/metadata", [("metric", "prometheus_http_requests_total")]),
        ("/targets/metadata", [("metric", "go_info"), ("match_target", '{job="itself"}')]),
    ):
        ours, theirs = answers(both, path, *params)
        assert ours
        assert ours == theirs
