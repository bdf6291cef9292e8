"""A real Prometheus without samples of its own reads ours through remote read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_pair import SPAN_S, samples, tocsin
from prometheus_peer import Peer, prometheus

from tocsin.metrics_collector.backend.encode import HEADERS, write_request

QUERIES = (
    *(
        "up",
        "late",
        "early[30m]",
        'early{note="q\\"\\\\\\n"} offset 18m',
        "sum by (job)(up)",
        "nothing",
    ),
    *('requests_total{code=~"5.."}', 'requests_total{code!="200",job!~"a.*"}', "up offset 3m"),
    *("count({__name__=~'.+'})", "max_over_time(requests_total[5m])", "absent(late)"),
    *('latency_bucket{le="+Inf"}', "sum_over_time(up[10m:1m])", "timestamp(up)"),
)


@dataclass(slots=True)
class Reading:
    """Our server with samples, and the Prometheus that reads them."""

    ours: Peer
    reader: Peer
    end_s: int

    def both(self, path: str, params: list[tuple[str, str]]) -> tuple[Any, Any]:
        """Return the data of both answers."""
        pages = self.ours.get(path, params), self.reader.get(path, params)
        for page in pages:
            assert page.status == 200, page.body
        assert "warnings" not in pages[1].json()  # how a read that failed would show
        return pages[0].json()["data"], pages[1].json()["data"]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    folder = tmp_path_factory.mktemp("remote_read")
    with tocsin(folder) as ours:
        (at, _) = ours.get("/query", [("query", "time()")]).json()["data"]["result"]
        end_s = int(at) // 60 * 60
        written = ours.send("POST", "/api/v1/write", write_request(samples(end_s)), HEADERS)
        assert written.status == 204, written.body
        with prometheus(folder, reader(ours)) as peer:
            yield Reading(ours, peer, end_s)


def reader(ours: Peer) -> str:
    return textwrap.dedent(f"""\
        global: {{scrape_interval: 1h}}
        remote_read:
          - url: http://{ours.address}/t/a/prometheus/api/v1/read
            authorization: {{credentials: {ours.token}}}
            read_recent: true
        """)


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_read_gives_what_it_gives_here(reading: Reading, query: str) -> None:
    at = f"{reading.end_s + 7}"  # no window ends on a sample: 2.42 counts both ends of one
    here, there = reading.both("/query", [("query", query), ("time", at)])
    assert there["result"] or query == "nothing" or query.startswith("absent")
    assert in_order(there["result"]) == in_order(here["result"])


def test_a_range_is_read_too(reading: Reading) -> None:
    start, end = str(reading.end_s - SPAN_S + 7), str(reading.end_s + 7)
    params = [("query", "requests_total"), ("start", start), ("end", end), ("step", "13")]
    here, there = reading.both("/query_range", params)
    assert len(there["result"]) == 6
    assert in_order(there["result"]) == in_order(here["result"])


def test_series_and_labels_are_read_too(reading: Reading) -> None:
    span = [("start", str(reading.end_s - SPAN_S)), ("end", str(reading.end_s))]
    here, there = reading.both("/series", [("match[]", '{job="api"}'), *span])
    assert sorted(map(str, there)) == sorted(map(str, here))


def in_order(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda series: sorted(series["metric"].items()))
