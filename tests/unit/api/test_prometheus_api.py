"""The Prometheus dialect answers as Prometheus does: queries, their errors, the envelope."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from asgi import ask
from prometheus_api import START, Api, Ticking, refused
from starlette.types import Message

from tocsin.api.queries import AtOnce, Question, Ran
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.promql.options import Options

T = TypeVar("T")


async def test_what_grafana_asks_first_is_answered_from_an_empty_store() -> None:
    data = await Api().data("/query", query="1+1", time=4)
    assert data == {"resultType": "scalar", "result": [4, "2"]}


async def test_an_instant_query_gives_each_series_and_its_value() -> None:
    data = await Api().data("/query", query='up{job="a"}', time=START)
    sample = {"metric": {"__name__": "up", "job": "a"}, "value": [START, "1"]}
    assert data == {"resultType": "vector", "result": [sample]}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        *(("1e-7", "0.0000001"), ("1e21", "1" + "0" * 21), ("0.1 + 0.2", "0.30000000000000004")),
        *(("1/0", "+Inf"), ("-1/0", "-Inf"), ("0/0", "NaN"), ("-0", "-0"), ("2", "2")),
    ],
)
async def test_a_scalar_is_written_in_digits(query: str, shown: str) -> None:
    assert (await Api().data("/query", query=query, time=4))["result"] == [4, shown]


@pytest.mark.parametrize(("query", "shown"), [("1e-7", "1e-07"), ("1e21", "1e+21"), ("1", "1")])
async def test_an_element_far_from_one_is_written_with_an_exponent(query: str, shown: str) -> None:
    data = await Api().data("/query", query=f"vector({query})", time=4)
    assert data["result"] == [{"metric": {}, "value": [4, shown]}]


async def test_without_a_time_a_query_is_about_now() -> None:
    assert (await Api().data("/query", query="time()"))["result"] == [START, str(START)]


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (str(START), START),
        (f"{START}.25", START + 0.25),
        ("2026-01-01T00:00:00Z", START),
        ("2026-01-01T01:00:00.5+01:00", START + 0.5),
        ("1.5e3", 1500),
        ("-1", -1),
    ],
)
async def test_a_time_is_unix_seconds_or_rfc_3339(written: str, at: float) -> None:
    assert (await Api().data("/query", query="vector(1)", time=written))["result"] == [
        {"metric": {}, "value": [at, "1"]}
    ]


@pytest.mark.parametrize(
    "written",
    [
        *("x", "1e999", "1e18", "-1e17", "2026-01-01", "0001-01-01T00:00:00Z", "nan", "1_0"),
        *("2026-01-01 00:00:00Z", "2026-01-01T00:00:00z"),
    ],
)
async def test_a_time_that_is_none_is_bad_data(written: str) -> None:
    got = await Api().get("/query", query="1", time=written)
    message = f"invalid time value for 'time': cannot parse \"{written}\" to a valid timestamp"
    refused(got, 400, "bad_data", f'invalid parameter "time": {message}')


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("1.0004", 1),
        ("1.0015", 1.002),
        ("1.9996", 2),
        ("-1.0014", -1.001),
        ("-1.0015", -1.002),
        ("1.0025", 1.002),  # a little less, as a float
        ("1970-01-01T00:00:01.0015Z", 1.001),
        ("1970-01-01T00:00:01.9999Z", 1.999),
        ("-292273086-05-16T16:47:06Z", -(2**53) / 1000),
        ("292277025-08-18T07:12:54.999999999Z", 2**53 / 1000),
    ],
)
async def test_a_number_is_rounded_to_milliseconds_and_a_written_time_is_cut(
    written: str, at: float
) -> None:
    assert (await Api().data("/query", query="vector(1)", time=written))["result"][0] == {
        "metric": {},
        "value": [at, "1"],
    }


async def test_a_string_and_a_window_have_their_own_result_types() -> None:
    api = Api()
    assert await api.data("/query", query='"hello"', time=5) == {
        "resultType": "string",
        "result": [5, "hello"],
    }
    window = await api.data("/query", query='up{job="b"}[2m]', time=START)
    assert window["resultType"] == "matrix"
    assert window["result"][0]["values"] == [[START - 60, "0"], [START, "0"]]


async def test_a_range_query_works_by_get_and_by_form() -> None:
    api = Api()
    asked = {"query": 'up{job="a"}', "start": START - 60, "end": START, "step": "30s"}
    by_get, by_post = (
        await api.get("/query_range", **asked),
        await api.post("/query_range", **asked),
    )
    assert by_get.json() == by_post.json()
    data = by_post.json()["data"]
    assert data["resultType"] == "matrix"
    values = [[START - 60, "1"], [START - 30, "1"], [START, "1"]]
    assert data["result"] == [{"metric": {"__name__": "up", "job": "a"}, "values": values}]


async def test_the_form_wins_over_the_url() -> None:
    got = await ask(
        Api().door,
        "POST",
        "/prometheus/api/v1/query?query=1&time=7",
        headers=[("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
        body=b"query=2",
    )
    assert got.json()["data"]["result"] == [7, "2"]


async def test_a_post_of_another_type_is_read_from_the_url_alone() -> None:
    got = await ask(
        Api().door,
        "POST",
        "/prometheus/api/v1/query?query=1&time=7",
        headers=[("content-type", "text/plain")],
        body=b"query=2",
    )
    assert got.json()["data"]["result"] == [7, "1"]


@pytest.mark.parametrize("step", ["15", "15s", "0.5", "1m30s", "1e1", ".5"])
async def test_a_step_is_seconds_or_a_duration(step: str) -> None:
    got = await Api().get("/query_range", query="1", start=0, end=60, step=step)
    assert got.status == 200


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"step": "0"}, 'invalid parameter "step": zero or negative'),
        ({"step": "-15"}, 'invalid parameter "step": zero or negative'),
        ({"step": "0s"}, 'invalid parameter "step": zero or negative'),
        ({"step": "1e999"}, 'invalid parameter "step"'),
        ({"step": "soon"}, 'invalid parameter "step": cannot parse "soon" to a valid duration'),
        ({"step": "nan"}, 'invalid parameter "step": cannot parse "nan" to a valid duration'),
        ({"step": "1e300"}, 'invalid parameter "step"'),
        ({"step": ""}, 'invalid parameter "step"'),
        ({"start": ""}, 'invalid parameter "start"'),
        ({"end": "x"}, 'invalid parameter "end": cannot parse "x" to a valid timestamp'),
        ({"query": ""}, 'invalid parameter "query"'),
    ],
)
async def test_a_range_query_that_makes_no_sense_is_bad_data(
    changed: dict[str, str], message: str
) -> None:
    asked = {"query": "1", "start": "0", "end": "60", "step": "15", **changed}
    refused(await Api().get("/query_range", **asked), 400, "bad_data", message)


async def test_an_end_before_the_start_names_the_end_alone() -> None:
    got = await Api().get("/query_range", query="1", start=60, end=0, step=1)
    refused(got, 400, "bad_data", "end timestamp must not be before start")
    assert got.json()["error"].startswith('invalid parameter "end": end ')


async def test_eleven_thousand_steps_are_answered_and_one_more_is_not() -> None:
    api = Api()
    asked = {"query": "vector(1)", "start": 0, "step": 1}
    most = await api.get("/query_range", end=11_000, **asked)
    assert len(most.json()["data"]["result"][0]["values"]) == 11_001  # both ends count
    got = await api.get("/query_range", end=11_001, **asked)
    refused(got, 400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries")
    assert got.json()["error"].startswith("exceeded")


async def test_a_query_that_does_not_parse_says_where() -> None:
    got = await Api().get("/query", query="up{", time=0)
    refused(got, 400, "bad_data", 'invalid parameter "query": 1:')
    assert "parse error" in got.json()["error"]


async def test_a_query_that_its_data_does_not_answer_is_an_execution_error() -> None:
    got = await Api().get("/query", query="up + on() up", time=START)
    refused(got, 422, "execution", "many-to-many")


async def test_a_query_over_its_budget_is_an_execution_error() -> None:
    api = Api(options=Options(max_samples=1))
    refused(await api.get("/query", query="up", time=START), 422, "execution", "samples")


@pytest.mark.parametrize(
    "asked", [{"timeout": "2s"}, {"timeout": "1.5"}, {"timeout": "30m"}, {"timeout": ""}]
)
async def test_a_query_past_its_deadline_is_a_timeout(asked: dict[str, str]) -> None:
    api = Api(clock=Ticking(timedelta(minutes=3)))
    refused(
        await api.get("/query", query="up", time=START, **asked), 503, "timeout", "query timed out"
    )


async def test_a_range_query_past_its_deadline_is_a_timeout_too() -> None:
    api = Api(clock=Ticking(timedelta(seconds=2)))
    asked = {"query": "up", "start": 0, "end": 60, "step": 15}
    refused(await api.get("/query_range", **asked, timeout="1s"), 503, "timeout", "query timed out")
    assert (await api.get("/query_range", **asked)).status == 200


async def test_a_timeout_that_is_none_is_bad_data() -> None:
    got = await Api().get("/query", query="1", timeout="soon")
    refused(got, 400, "bad_data", 'invalid parameter "timeout": cannot parse "soon"')


async def test_a_query_given_no_time_is_a_timeout_and_not_begun() -> None:
    for timeout in ("0", "-1"):
        got = await Api().get("/query", query="1", timeout=timeout)
        refused(got, 503, "timeout", "query timed out in query queue")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"limit": "x", "time": "x", "query": "("},
            'invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax',
        ),
        ({"limit": "-1"}, 'invalid parameter "limit": limit must be non-negative'),
        (
            {"limit": "9" * 19},
            'invalid parameter "limit": strconv.Atoi: parsing "9999999999999999999": '
            "value out of range",
        ),
        ({"time": "x", "timeout": "x"}, 'invalid parameter "time": invalid time value'),
        ({"timeout": "x", "lookback_delta": "y"}, 'invalid parameter "timeout": cannot parse "x"'),
        ({"timeout": "1e30"}, 'cannot parse "1e30" to a valid duration. It overflows int64'),
        (
            {"lookback_delta": "y", "query": "("},
            'error parsing lookback delta duration: cannot parse "y" to a valid duration',
        ),
        (
            {"query": ""},
            'invalid parameter "query": 1:1: parse error: no expression found in input',
        ),
    ],
)
async def test_a_request_wrong_in_two_ways_is_told_the_fault_prometheus_sees_first(
    asked: dict[str, str], message: str
) -> None:
    refused(await Api().get("/query", **asked), 400, "bad_data", message)


async def test_a_lookback_finds_older_samples() -> None:
    api = Api()
    asked = {"query": "old", "time": START}
    assert (await api.data("/query", **asked))["result"] == []
    assert len((await api.data("/query", **asked, lookback_delta="3h"))["result"]) == 1
    ranged = {"query": "old", "start": START, "end": START, "step": 1}
    assert len((await api.data("/query_range", **ranged, lookback_delta="10000"))["result"]) == 1
    assert (await api.data("/query_range", **ranged, lookback_delta="-5"))["result"] == []


async def test_a_limit_cuts_the_answer_and_says_so() -> None:
    api = Api()
    for path, asked in (
        ("/query", {"query": "up", "time": START}),
        ("/query_range", {"query": "up", "start": START, "end": START, "step": 1}),
    ):
        cut = await api.envelope(path, **asked, limit=1)
        assert len(cut["data"]["result"]) == 1
        assert cut["warnings"] == ["results truncated due to limit"]
        for limit in ("2", "0", ""):
            whole = await api.envelope(path, **asked, limit=limit)
            assert len(whole["data"]["result"]) == 2
            assert "warnings" not in whole
    assert (await api.envelope("/query", query="1", limit=1))["data"]["resultType"] == "scalar"


async def test_statistics_come_when_they_are_asked_for() -> None:
    api = Api(clock=Ticking(timedelta(milliseconds=5)))
    stats = (await api.data("/query", query="up", time=START, stats="all"))["stats"]
    assert stats["samples"] == {"totalQueryableSamples": 4, "peakSamples": 4}
    assert stats["timings"]["execTotalTime"] == stats["timings"]["evalTotalTime"] > 0
    assert stats["timings"]["execQueueTime"] == 0
    assert "stats" not in await api.data("/query", query="up", time=START)


async def test_a_function_over_native_histograms_says_why_it_gives_nothing() -> None:
    got = await Api().envelope("/query", query="histogram_sum(up) or histogram_count(up)")
    assert got["infos"] == [
        "PromQL info: histogram_count() reads native histograms, which are not stored: it gives "
        "nothing",
        "PromQL info: histogram_sum() reads native histograms, which are not stored: it gives "
        "nothing",
    ]


async def test_more_than_ten_annotations_are_counted() -> None:
    query = " + ".join(f"quantile({i}, up)" for i in range(2, 15))
    warnings = (await Api().envelope("/query", query=query, time=START))["warnings"]
    assert len(warnings) == 11
    assert warnings[-1] == "3 more warning annotations omitted"


async def test_an_answer_is_packed_for_who_takes_gzip() -> None:
    api = Api()
    url = "/prometheus/api/v1/query_range?query=vector(1)&start=0&end=1000&step=1"
    plain = await ask(api.door, "GET", url)
    assert "content-encoding" not in plain.headers
    for accept in ("gzip", "deflate, gzip;q=1.0, *;q=0.5", "GZIP"):
        packed = await ask(api.door, "GET", url, headers=[("accept-encoding", accept)])
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.headers["content-length"] == str(len(packed.body))
        assert gzip.decompress(packed.body) == plain.body
    for accept in ("identity", "gzip;q=0", "br"):
        assert (await ask(api.door, "GET", url, headers=[("accept-encoding", accept)])).body == (
            plain.body
        )


async def test_a_small_answer_is_never_packed() -> None:
    headers = [("accept-encoding", "gzip")]
    got = await ask(Api().door, "GET", "/prometheus/api/v1/query?query=1", headers=headers)
    assert "content-encoding" not in got.headers


async def test_other_answers_are_packed_too() -> None:
    api = Api()
    api.known |= {f"m{i}": Metadata("gauge", "x" * 50, "") for i in range(50)}
    headers = [("accept-encoding", "gzip")]
    got = await ask(api.door, "GET", "/prometheus/api/v1/metadata", headers=headers)
    assert got.headers["content-length"] == str(len(got.body))
    assert b'"m49"' in gzip.decompress(got.body)


async def test_an_expression_is_printed_as_prometheus_prints_it() -> None:
    api = Api()
    asked = {"query": "sum by(a)(rate(up[5m])) /on(x) b"}
    assert await api.data("/format_query", **asked) == "sum by (a) (rate(up[5m])) / on (x) b"
    assert (await api.post("/format_query", **asked)).json()["data"].startswith("sum by (a)")
    got = await api.get("/format_query", query="x +")
    refused(got, 400, "bad_data", 'invalid parameter "query": 1:4: parse error: unexpected end')


async def test_an_expression_is_shown_as_a_tree() -> None:
    tree = await Api().data("/parse_query", query="-(x)")
    assert (tree["type"], tree["op"], tree["expr"]["type"]) == ("unaryExpr", "-", "parenExpr")
    refused(await Api().post("/parse_query", query="x +"), 400, "bad_data", "unexpected end")


async def test_a_server_that_is_not_ready_is_unavailable() -> None:
    api = Api()
    api.ready = False
    got = await api.get("/query", query="1")
    refused(got, 503, "unavailable", "not ready")
    assert got.headers["retry-after"] == "1"


async def test_annotations_of_the_engine_are_in_the_envelope() -> None:
    got = (await Api().get("/query", query="rate(up[2m])", time=START)).json()
    assert "might not be a counter" in got["infos"][0]
    warned = (await Api().get("/query", query="quantile(2, up)", time=START)).json()
    assert "PromQL warning" in warned["warnings"][0]
    assert "warnings" not in got


async def test_exemplars_are_an_empty_list() -> None:
    api = Api()
    assert await api.data("/query_exemplars", query="up") == []
    refused(await api.get("/query_exemplars", query="up{"), 400, "bad_data", "1:4: parse error")
    got = await api.post("/query_exemplars", query="up", start=5, end=1)
    refused(got, 400, "bad_data", "end timestamp must not be before start timestamp")


@pytest.mark.parametrize("path", ["/nosuch", "/query/x", "/label/values", "/status"])
async def test_a_missing_path_speaks_the_dialect(path: str) -> None:
    refused(await Api().get(path), 404, "not_found", "was not found")


async def test_a_wrong_method_speaks_the_dialect() -> None:
    got = await ask(Api().door, "DELETE", "/prometheus/api/v1/query")
    refused(got, 405, "bad_data", "method DELETE is not allowed")


async def test_a_bug_is_internal_and_tells_no_detail() -> None:
    api = Api()
    api.groups = [None]  # type: ignore[list-item]  # a view that no stage would give
    refused(await api.get("/rules"), 500, "internal", "internal error")


@pytest.mark.parametrize(
    ("path", "query", "shown"),
    [
        ("/query", '"a\\xff"', "a\ufffd"),
        ("/query", 'label_replace(up,"x","a\\xff","","")', "a\ufffd"),
        ("/format_query", '"a\\xff"', r"a\xff"),
        ("/parse_query", '"a\\xff"', "a\ufffd"),
    ],
)
async def test_bytes_that_are_no_text_are_shown_as_such(path: str, query: str, shown: str) -> None:
    assert shown in str(await Api().data(path, query=query, time=START))


async def test_bytes_that_are_no_text_are_shown_in_errors_too() -> None:
    got = await Api().get("/query", query='up{__name__="\\xff"}')
    refused(got, 400, "bad_data", 'metric name must not be set twice: "up" or "\\xff"')


async def test_a_query_ends_when_the_caller_goes_away() -> None:
    gone: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    begun, ended = asyncio.Event(), asyncio.Event()

    class Endless(AtOnce):
        async def ask(self, tenant: TenantId, question: Question, render: Callable[[Ran], T]) -> T:
            begun.set()
            try:
                return await asyncio.Future()
            finally:
                ended.set()

    api = Api(queries=Endless)
    path = "/prometheus/api/v1/query?query=1"
    asking = asyncio.create_task(ask(api.door, "GET", path, gone=gone))
    await begun.wait()
    gone.set_result({"type": "http.disconnect"})
    await ended.wait()
    assert (await asking).status == 0  # nothing was sent
