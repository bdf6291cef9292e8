"""The same requests to a real Prometheus and to us, over the same samples: the same answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_pair import SPAN_S, Pair, pair
from prometheus_peer import Page, Peer

Params = list[tuple[str, str]]

QUERIES = (
    *("up", "1+1", '"a"', "nothing", "requests_total offset 10m", "late", "early", "-up"),
    *("sum by (job)(up)", "topk(2,requests_total)", "sort_desc(requests_total)", "up == bool 0"),
    *("1/0", "0/0", "-1/0", "time()", "1e-7", "1e21", "vector(1e21)", "vector(1e-7)", "-0"),
    *('count_values("v",up)', 'absent(nothing{a="b"})', "up @ end()", "early[30m]", "group(up)"),
    *('label_replace(up,"x","$1","job","(.).*")', "quantile_over_time(0.5,late[1m])"),
    *('up and on(job) requests_total{code="500"}', "up + on(job) group_right requests_total"),
    *("up * on(job) up", "timestamp(up)", "absent_over_time(up[5m])", "scalar(up)"),
    *("up unless up", "round(up/3,0.01)", "clamp(up,0,0.5)", '{job="api"}', "stddev(up)"),
    *("up{", "", "rate(up)", "sum(up", "nope(up)", "up[5m:", "{}", "up offset", "1 +"),
)
NEWER_QUERIES = frozenset(("up offset",))  # says what 3.x expects there
SELECTORS: tuple[list[str], ...] = (
    *([], ["up"], ["up", "{job='api'}"], ["up{"], ["{}"], ["{a=~'.*'}"], ["rate(up[5m])"]),
    *(["up offset 5m"], ["up[5m]"], ["1"], [""], ["nothing"], ['{__name__=~"up|late"}']),
    *(["{job!='api'}"], ['{note="q\\"\\\\\\n"}'], ["early", "early", "up"]),
)
LISTS = ("/series", "/labels", "/label/job/values", "/label/__name__/values", "/label/note/values")
ALWAYS = {"start": "-292273086-05-16T16:47:06Z", "end": "292277025-08-18T07:12:54.999999999Z"}
STEPS = ("", "0", "-1", "abc", "0.0004", "1e-10", "15", "1m", "7.5", "1e3", "1h30m", "1e30")
TIMEOUTS = ("", "1.5", "5m", "abc", "1e30", "1h30m")
OTHERS: tuple[tuple[str, Params], ...] = (
    ("/metadata", [("limit", "x")]),
    ("/metadata", [("limit", "0")]),
    ("/metadata", [("metric", "nope")]),
    ("/targets/metadata", [("limit", "x")]),
    ("/targets/metadata", [("match_target", "{")]),
    ("/rules", []),
    ("/rules", [("type", "x")]),
    ("/rules", [("type", "ALERT")]),
    ("/alerts", []),
    ("/query_exemplars", [("query", "up")]),
    ("/query_exemplars", [("query", "up{")]),
    ("/query_exemplars", []),
    ("/query_exemplars", [("query", "up"), ("start", "5"), ("end", "1")]),
    ("/query_exemplars", [("query", "up"), ("start", "x")]),
    ("/status/walreplay", []),
)
NEWER = {  # where 3.x says something else than 2.42
    "Invalid time value": "invalid time value",
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("pair")) as both:
        yield both


def answered(page: Page) -> tuple[int, Any]:
    """Return status and body; an error in the words of 3.x."""
    body = page.json()
    if body["status"] == "error":
        for old, new in NEWER.items():
            body["error"] = body["error"].replace(old, new)
    return page.status, body


def same(both: Pair, path: str, params: Params) -> Any:
    """Check that both answer alike, and we to a form as to a query string; return the answer."""
    ours, theirs = both.ours.get(path, params), both.theirs.get(path, params)
    assert answered(ours) == answered(theirs)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert int(ours.headers["content-length"]) == len(ours.body)
    if not path.startswith(("/label/", "/metadata", "/targets", "/rules", "/alerts", "/status")):
        assert answered(both.ours.post(path, params)) == answered(ours)
    return ours.json()


@pytest.mark.parametrize("query", sorted(set(QUERIES) - NEWER_QUERIES))
def test_an_instant_query_is_answered_alike(both: Pair, query: str) -> None:
    same(both, "/query", [("query", query), ("time", str(both.end_s))])


@pytest.mark.parametrize("query", ["up", "1", "sum by (job)(up) > 0", "late", "time()"])
@pytest.mark.parametrize("step", [15, 60, 7])
def test_a_range_query_is_answered_alike(both: Pair, query: str, step: int) -> None:
    start = str(both.end_s - SPAN_S)
    params = [("query", query), ("start", start), ("end", str(both.end_s)), ("step", str(step))]
    same(both, "/query_range", params)


@pytest.mark.parametrize("query", ['"a"', "up[5m]"])
def test_what_has_no_range_is_refused_alike(both: Pair, query: str) -> None:
    params = [("query", query), ("start", "1"), ("end", "2"), ("step", "1")]
    assert same(both, "/query_range", params)["errorType"] == "bad_data"


def test_a_time_is_read_alike(both: Pair) -> None:
    at = datetime.fromtimestamp(both.end_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fractions = [f"{both.end_s}.{digits}" for digits in ("0004", "0005", "9996", "25", "1")]
    days = [f"{at}{rest}" for rest in ("Z", ".1239Z", ".9999Z", "+01:00", ".5-00:30", "", "z")]
    for time in (
        *fractions,
        *days,
        "x",
        "1e3",
        "-1",
        "-1.0005",
        "0.0015",
        "+5",
        ".5",
        "5.",
        "0x10",
    ):
        same(both, "/query", [("query", "time()"), ("time", time)])


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_timeout_is_read_alike(both: Pair, timeout: str) -> None:
    same(both, "/query", [("query", "1"), ("time", "4"), ("timeout", timeout)])


@pytest.mark.parametrize("timeout", ["0", "-1"])
def test_a_query_given_no_time_is_a_timeout(both: Pair, timeout: str) -> None:
    for peer in (both.ours, both.theirs):  # in the queue or after it: that is chance there
        page = peer.get("/query", [("query", "1"), ("timeout", timeout)])
        assert (page.status, page.json()["errorType"]) == (503, "timeout")
        assert page.json()["error"].startswith("query timed out in ")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_read_alike(both: Pair, step: str) -> None:
    start = str(both.end_s - 60)
    params = [("query", "up"), ("start", start), ("end", str(both.end_s)), ("step", step)]
    same(both, "/query_range", params)


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        *(("1", "11001", "1"), ("1", "11002", "1"), ("5", "4", "1"), ("", "4", "1")),
        *(("1", "x", "1"), ("1", "1", "1"), ("1", "", "1"), ("1.0004", "1.0006", "0.001")),
    ],
)
def test_bounds_are_read_alike(both: Pair, start: str, end: str, step: str) -> None:
    same(both, "/query_range", [("query", "1"), ("start", start), ("end", end), ("step", step)])


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("selectors", SELECTORS, ids=repr)
def test_series_and_labels_are_listed_alike(both: Pair, path: str, selectors: list[str]) -> None:
    same(both, path, [("match[]", selector) for selector in selectors])


@pytest.mark.parametrize("path", LISTS)
def test_bounds_of_lists_are_read_alike(both: Pair, path: str) -> None:
    recent = {"start": str(both.end_s - 60), "end": str(both.end_s)}
    for bounds in (
        *({"start": "x"}, {"end": "x"}, {"start": "100", "end": "10"}, ALWAYS, recent),
        {"start": "1", "end": "2"},
    ):
        same(both, path, [("match[]", "up"), *bounds.items()])


@pytest.mark.parametrize(("path", "params"), OTHERS)
def test_what_else_there_is_is_answered_alike(both: Pair, path: str, params: Params) -> None:
    same(both, path, params)


def test_an_ambiguous_match_fails_alike(both: Pair) -> None:
    params = [("query", "up + on(job) requests_total"), ("time", str(both.end_s))]
    for peer in (both.ours, both.theirs):  # which two series are named is chance there
        page = peer.get("/query", params)
        assert (page.status, page.json()["errorType"]) == (422, "execution")
        said = page.json()["error"]
        assert said.startswith(
            'found duplicate series for the match group {job="api"} on the right'
        )
        assert said.endswith(
            "many-to-many matching not allowed: matching labels must be unique on one side"
        )


def test_statistics_have_the_same_shape(both: Pair) -> None:
    params = [("query", "up"), ("time", str(both.end_s)), ("stats", "true")]
    ours, theirs = (peer.get("/query", params).json()["data"] for peer in (both.ours, both.theirs))
    assert shape(ours) == shape(theirs)


@pytest.mark.parametrize("path", ["/status/tsdb", "/status/runtimeinfo", "/targets"])
def test_what_is_told_of_the_server_has_the_fields_of_prometheus(both: Pair, path: str) -> None:
    ours, theirs = (peer.get(path).json()["data"] for peer in (both.ours, both.theirs))
    assert set(theirs) <= set(ours)


def test_what_holds_most_series_is_told_alike(both: Pair) -> None:
    ours, theirs = (peer.get("/status/tsdb").json()["data"] for peer in (both.ours, both.theirs))
    assert ours["headStats"]["numSeries"] == theirs["headStats"]["numSeries"]
    assert ours["headStats"]["numLabelPairs"] == theirs["headStats"]["numLabelPairs"]
    for name in (
        "seriesCountByMetricName",
        "labelValueCountByLabelName",
        "seriesCountByLabelValuePair",
    ):
        assert counts(ours[name]) == counts(theirs[name]), name


@pytest.mark.parametrize("peer", ["ours", "theirs"])
def test_a_browser_may_ask_from_anywhere(both: Pair, peer: str) -> None:
    asked: Peer = getattr(both, peer)
    page = asked.send("GET", "/api/v1/query?query=1", headers={"Origin": "http://elsewhere"})
    assert page.headers["access-control-allow-origin"] == "*"
    flight = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
    preflight = asked.send("OPTIONS", "/api/v1/query", headers=flight)
    assert preflight.status in (200, 204)
    assert "POST" in preflight.headers["access-control-allow-methods"]


def counts(found: Sequence[dict[str, Any]]) -> list[int]:
    return [each["value"] for each in found]


def shape(value: Any) -> Any:
    """Return the names of fields, and the types of what is in them."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_the_pair_has_samples(both: Pair) -> None:
    """What is compared is something: both know every series."""
    found = json.loads(both.ours.get("/series", [("match[]", '{__name__=~".+"}')]).body)["data"]
    assert len(found) == 14
