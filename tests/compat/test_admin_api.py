"""Samples are deleted and copied as a real Prometheus deletes and copies them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_pair import Pair, samples, tocsin
from prometheus_peer import Page, Peer, prometheus

from tocsin.metrics_collector.backend.encode import HEADERS, write_request

FLAGS = "--web.enable-remote-write-receiver", "--web.enable-admin-api"
EVERYTHING = [("match[]", '{__name__=~".+"}')]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Pair]:
    end_s = int(time.time()) // 60 * 60
    body = write_request(samples(end_s))
    with (
        prometheus(tmp_path, "global: {scrape_interval: 1h}\n", *FLAGS) as theirs,
        tocsin(tmp_path, server="admin_api: true") as ours,
    ):
        for peer in (ours, theirs):
            assert peer.send("POST", "/api/v1/write", body, HEADERS).status in (200, 204)
        yield Pair(ours, theirs, end_s)


def act(peer: Peer, path: str, *params: tuple[str, str]) -> Page:
    return peer.post(f"/admin/tsdb/{path}", params)


def series(peer: Peer) -> list[str]:
    return sorted(map(str, peer.get("/series", EVERYTHING).json()["data"]))


def counted(peer: Peer, at_s: int) -> Any:
    query = "sum by (__name__) (count_over_time({__name__=~'.+'}[1h]))"
    asked = [("query", query), ("time", str(at_s + 7))]
    found = peer.get("/query", asked).json()["data"]["result"]
    return sorted((str(each["metric"]), each["value"][1]) for each in found)


def test_what_is_deleted_is_gone_from_both(both: Pair) -> None:
    middle = str(both.end_s - 600)
    for params in (
        [("match[]", 'requests_total{job="api"}'), ("match[]", "late")],
        [("match[]", "up"), ("start", middle), ("end", f"{both.end_s - 300}.5")],
        [("match[]", "latency_bucket"), ("end", middle)],
        [("match[]", "nothing")],
        [("match[]", "early"), ("start", "10"), ("end", "1")],
    ):
        for peer in (both.ours, both.theirs):
            page = act(peer, "delete_series", *params)
            assert (page.status, page.body) == (204, b"")
        assert counted(both.ours, both.end_s) == counted(both.theirs, both.end_s)
    for peer in (both.ours, both.theirs):
        assert act(peer, "clean_tombstones").status == 204
    assert counted(both.ours, both.end_s) == counted(both.theirs, both.end_s)
    everything = ("match[]", '{__name__=~".+"}')
    for peer in (both.ours, both.theirs):
        assert act(peer, "delete_series", everything).status == 204
        assert counted(peer, both.end_s) == []


@pytest.mark.parametrize(
    "params", [[], [("match[]", "{")], [("match[]", "up[5m]")], [("match[]", "up"), ("end", "x")]]
)
def test_what_cannot_be_read_is_refused_by_both(both: Pair, params: list[tuple[str, str]]) -> None:
    ours, theirs = (act(peer, "delete_series", *params) for peer in (both.ours, both.theirs))
    assert (ours.status, ours.json()["errorType"]) == (theirs.status, theirs.json()["errorType"])
    assert ours.json()["error"].lower() == theirs.json()["error"].lower()
    assert series(both.ours) == series(both.theirs)


def test_a_copy_has_a_name_of_the_same_form(both: Pair, tmp_path: Path) -> None:
    for peer in (both.ours, both.theirs):
        page = act(peer, "snapshot")
        assert page.status == 200, page.body
        assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{1,16}", page.json()["data"]["name"])
    (copy,) = (tmp_path / "data-tocsin" / "snapshots").iterdir()
    assert [each.name for each in copy.iterdir()] == ["a"]
