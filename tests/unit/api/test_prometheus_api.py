"""The Prometheus dialect answers as Prometheus does, over a real engine and plain views."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode

import pytest
from asgi import Answered, ask

from tocsin.api.http import Access, Door
from tocsin.api.prometheus import PROMETHEUS_VERSION, PrometheusApi
from tocsin.api.prometheus_form import unescaped
from tocsin.metrics_collector.views import TargetHealth, TargetView
from tocsin.model.clock import Clock
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.sample import Metadata
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.definition import RuleKind
from tocsin.rule_engine.views import AlertView, GroupView, Health, RuleView
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import TokenTable

T0 = datetime(2026, 1, 1, tzinfo=UTC)
START = int(T0.timestamp())
ACME = tenant_id("acme")
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = "application/json"


class Ticking(Clock):
    """A clock that goes on by `step` whenever it is read."""

    def __init__(self, step: timedelta = timedelta(0)) -> None:
        self._reads = count()
        self._step = step

    def now(self) -> datetime:
        return T0 + next(self._reads) * self._step

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Catalog:
    """The metric store's other face, over the series of the fake."""

    def __init__(self, held: MemorySeries) -> None:
        self._held = held

    def series(
        self, tenant: TenantId, matchers: tuple[Matcher, ...], *, start_ms: int, end_ms: int
    ) -> list[Labels]:
        found = self._held.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)
        return [series.labels for series in found]

    def metadata(self, tenant: TenantId) -> Mapping[str, Metadata]:
        return {
            "up": Metadata("gauge", "Whether it is up.", ""),
            "b": Metadata("counter", "B", "s"),
        }


class Api:
    """The dialect behind a door that is open to all."""

    def __init__(self, *, clock: Clock | None = None, options: Options | None = None) -> None:
        held = MemorySeries()
        for job, value in (("a", 1.0), ("b", 0.0)):
            labels = Labels.of({"__name__": "up", "job": job})
            held.add(ACME, labels, [((START - s) * 1000, value) for s in (0, 60)])
        held.add(ACME, Labels.of({"__name__": "old", "a.b": "x"}), [((START - 9000) * 1000, 1.0)])
        clock = clock or Ticking()
        self.groups: list[GroupView] = []
        self.shown: list[TargetView] = []
        dialect = PrometheusApi(
            engine=Engine(held, options=options),
            catalog=Catalog(held),
            rules=lambda _: self.groups,
            targets=lambda _: self.shown,
            clock=clock,
            started_at=T0,
        ).dialect()
        self.door = Door(
            dialects=(dialect,),
            access=Access(TokenTable([]), frozenset({ACME}), open_to_all=True),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=clock,
            ready=lambda: True,
        )

    async def get(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Answered:
        query = urlencode([*pairs, *params.items()])
        return await ask(self.door, "GET", f"/prometheus/api/v1{path}?{query}")

    async def post(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Answered:
        body = urlencode([*pairs, *params.items()]).encode()
        return await ask(self.door, "POST", f"/prometheus/api/v1{path}", headers=[FORM], body=body)

    async def data(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Any:
        got = await self.get(path, *pairs, **params)
        assert got.status == 200, got.body
        envelope = got.json()
        assert envelope["status"] == "success"
        return envelope["data"]


def refused(got: Answered, status: int, kind: str, message: str) -> None:
    """Check an error's envelope."""
    assert got.status == status
    body = got.json()
    assert (body["status"], body["errorType"]) == ("error", kind)
    assert message in body["error"]
    assert got.headers["content-type"] == JSON


async def test_what_grafana_asks_first_is_answered_from_an_empty_store() -> None:
    data = await Api().data("/query", query="1+1", time=4)
    assert data == {"resultType": "scalar", "result": [4, "2"]}


async def test_an_instant_query_gives_each_series_and_its_value() -> None:
    data = await Api().data("/query", query='up{job="a"}', time=START)
    sample = {"metric": {"__name__": "up", "job": "a"}, "value": [START, "1"]}
    assert data == {"resultType": "vector", "result": [sample]}


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
    "written", ["x", "1e999", "1e18", "-1e17", "2026-01-01", "0001-01-01T00:00:00Z", "nan", "1_0"]
)
async def test_a_time_that_is_none_is_bad_data(written: str) -> None:
    got = await Api().get("/query", query="1", time=written)
    message = f'invalid parameter "time": cannot parse "{written}" to a valid timestamp'
    refused(got, 400, "bad_data", message)


async def test_a_string_and_a_window_have_their_own_result_types() -> None:
    api = Api()
    assert await api.data("/query", query='"hello"', time=5) == {
        "resultType": "string",
        "result": [5, "hello"],
    }
    window = await api.data("/query", query='up{job="b"}[2m]', time=START)
    assert window["resultType"] == "matrix"
    assert window["result"][0]["values"] == [[START - 60, "0"], [START, "0"]]


async def test_special_values_are_spelled_as_prometheus_spells_them() -> None:
    api = Api()
    for expr, spelled in (("1/0", "+Inf"), ("-1/0", "-Inf"), ("0/0", "NaN"), ("1e21", "1e+21")):
        assert (await api.data("/query", query=expr, time=0))["result"] == [0, spelled]


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


async def test_eleven_thousand_points_are_answered_and_one_more_is_not() -> None:
    api = Api()
    asked = {"query": "vector(1)", "start": 0, "step": 1}
    most = await api.get("/query_range", end=10_999, **asked)
    assert len(most.json()["data"]["result"][0]["values"]) == 11_000
    got = await api.get("/query_range", end=11_000, **asked)
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


async def test_annotations_of_the_engine_are_in_the_envelope() -> None:
    got = (await Api().get("/query", query="rate(up[2m])", time=START)).json()
    assert "might not be a counter" in got["infos"][0]
    warned = (await Api().get("/query", query="quantile(2, up)", time=START)).json()
    assert "PromQL warning" in warned["warnings"][0]
    assert "warnings" not in got


async def test_series_need_a_selector() -> None:
    refused(await Api().get("/series"), 400, "bad_data", "no match[] parameter provided")


async def test_series_of_several_selectors_are_listed_once() -> None:
    api = Api()
    pairs = [("match[]", 'up{job="a"}'), ("match[]", "up"), ("match[]", '{job=~"a|b"}')]
    by_get, by_post = await api.get("/series", *pairs), await api.post("/series", *pairs)
    assert by_get.json() == by_post.json()
    assert by_get.json()["data"] == [
        {"__name__": "up", "job": "a"},
        {"__name__": "up", "job": "b"},
    ]


async def test_a_range_of_times_narrows_series() -> None:
    api = Api()
    old = ("match[]", "old")
    assert len(await api.data("/series", old)) == 1
    assert await api.data("/series", old, start=START - 60) == []
    assert len(await api.data("/series", old, end=START - 60)) == 1
    assert await api.data("/labels", start=START - 60) == ["__name__", "job"]


@pytest.mark.parametrize(("limit", "names"), [("0", 3), ("2", 2), ("9", 3), ("", 3)])
async def test_a_limit_cuts_and_zero_does_not(limit: str, names: int) -> None:
    assert len(await Api().data("/labels", limit=limit)) == names


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "9" * 5000])
async def test_a_limit_that_is_none_is_bad_data(limit: str) -> None:
    refused(await Api().get("/labels", limit=limit), 400, "bad_data", 'invalid parameter "limit"')


async def test_label_names_and_values_are_sorted() -> None:
    api = Api()
    assert await api.data("/labels") == ["__name__", "a.b", "job"]
    assert (await api.post("/labels", ("match[]", "up"))).json()["data"] == ["__name__", "job"]
    assert await api.data("/label/job/values") == ["a", "b"]
    assert await api.data("/label/__name__/values", limit=1) == ["old"]
    assert await api.data("/label/job/values", ("match[]", 'up{job="b"}')) == ["b"]
    assert await api.data("/label/nosuch/values") == []


async def test_a_name_beyond_ascii_may_come_escaped() -> None:
    api = Api()
    assert await api.data("/label/U__a_2e_b/values") == ["x"]
    assert await api.data("/label/a.b/values") == ["x"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("job", "job"),
        ("U__a_2e_b", "a.b"),
        ("U__a__b", "a_b"),
        ("U__a_2E_b_1f600_", "a.b😀"),
        ("U__a___2e_", "a_."),
        ("U__", ""),
        ("U__a_b", "U__a_b"),
        ("U__a_ffffff_", "U__a_ffffff_"),
        ("U__a_d800_", "U__a_d800_"),
        ("U__a_2e", "U__a_2e"),
    ],
)
def test_an_escaped_name_is_read_and_a_wrong_escape_left_alone(written: str, name: str) -> None:
    assert unescaped(written) == name


@pytest.mark.parametrize("text", ["up + 1", "rate(up[5m])", "up offset 5m", "up @ 0", "1", "{"])
async def test_what_is_no_selector_is_bad_data(text: str) -> None:
    for path in ("/series", "/labels", "/label/job/values"):
        got = await Api().get(path, ("match[]", text))
        refused(got, 400, "bad_data", 'invalid parameter "match[]": ')


async def test_metadata_tell_type_help_and_unit() -> None:
    api = Api()
    everything = await api.data("/metadata")
    assert everything["up"] == [{"type": "gauge", "help": "Whether it is up.", "unit": ""}]
    assert list(await api.data("/metadata", metric="b")) == ["b"]
    assert len(await api.data("/metadata", limit=1)) == 1
    assert await api.data("/metadata", metric="nosuch") == {}


async def test_exemplars_are_an_empty_list() -> None:
    assert await Api().data("/query_exemplars", query="up") == []


def a_rule(name: str, *, kind: RuleKind = RuleKind.ALERTING, **changed: Any) -> RuleView:
    """Return a rule that was evaluated, with one alert when it alerts."""
    alert = AlertView(
        labels=Labels.of({"alertname": name}),
        annotations=Labels.of({"summary": "s"}),
        state=State.FIRING,
        active_at=T0,
        value=0.5,
        keep_firing_since=T0 + timedelta(seconds=1.5),
    )
    values: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "query": "up == 0",
        "labels": Labels.of({"severity": "page"}),
        "annotations": Labels.of({"summary": "t"}),
        "hold": timedelta(minutes=5),
        "keep_firing_for": timedelta(minutes=1),
        "state": State.FIRING,
        "health": Health.OK,
        "last_error": "",
        "evaluation_time": timedelta(milliseconds=2),
        "last_evaluation": T0,
        "alerts": (alert,) if kind is RuleKind.ALERTING else (),
    }
    return RuleView(**{**values, **changed})


def a_group(name: str, *rules: RuleView, file: str = "rules.yml") -> GroupView:
    """Return a group that was evaluated once."""
    return GroupView(
        name=name,
        file=file,
        interval=timedelta(seconds=15),
        limit=0,
        rules=rules,
        evaluation_time=timedelta(milliseconds=3),
        last_evaluation=None,
    )


async def test_a_rule_shows_its_state_and_its_alerts() -> None:
    api = Api()
    broken = a_rule("r", kind=RuleKind.RECORDING, health=Health.ERR, last_error="no data")
    api.groups = [a_group("g", a_rule("Down"), broken)]
    (group,) = (await api.data("/rules"))["groups"]
    assert (group["name"], group["file"], group["interval"]) == ("g", "rules.yml", 15)
    assert group["lastEvaluation"] == "0001-01-01T00:00:00Z"
    alerting, recording = group["rules"]
    assert (alerting["type"], alerting["state"], alerting["health"]) == ("alerting", "firing", "ok")
    assert (alerting["duration"], alerting["keepFiringFor"]) == (300, 60)
    assert alerting["lastEvaluation"] == "2026-01-01T00:00:00Z"
    assert alerting["annotations"] == {"summary": "t"}
    assert "lastError" not in alerting
    assert alerting["alerts"] == [
        {
            "labels": {"alertname": "Down"},
            "annotations": {"summary": "s"},
            "state": "firing",
            "activeAt": "2026-01-01T00:00:00Z",
            "value": "0.5",
            "keepFiringSince": "2026-01-01T00:00:01.5Z",
        }
    ]
    assert (recording["type"], recording["lastError"]) == ("recording", "no data")
    assert not {"state", "alerts", "duration", "annotations"} & set(recording)


@pytest.mark.parametrize(
    ("pairs", "shown"),
    [
        ([], {"one": ["Down", "r"], "two": ["Down"]}),
        ([("type", "alert")], {"one": ["Down"], "two": ["Down"]}),
        ([("type", "record")], {"one": ["r"]}),
        ([("rule_name[]", "r")], {"one": ["r"]}),
        ([("rule_name[]", "r"), ("rule_name[]", "Down")], {"one": ["Down", "r"], "two": ["Down"]}),
        ([("rule_group[]", "two")], {"two": ["Down"]}),
        ([("file[]", "b.yml")], {"two": ["Down"]}),
        ([("file[]", "a.yml"), ("rule_group[]", "two")], {}),
        ([("rule_name[]", "nosuch")], {}),
    ],
)
async def test_rules_are_narrowed_by_type_name_group_and_file(
    pairs: list[tuple[str, str]], shown: dict[str, list[str]]
) -> None:
    api = Api()
    recording = a_rule("r", kind=RuleKind.RECORDING)
    api.groups = [
        a_group("one", a_rule("Down"), recording, file="a.yml"),
        a_group("two", a_rule("Down"), file="b.yml"),
    ]
    groups = (await api.data("/rules", *pairs))["groups"]
    assert {g["name"]: [r["name"] for r in g["rules"]] for g in groups} == shown


async def test_a_type_of_rules_that_does_not_exist_is_bad_data() -> None:
    got = await Api().get("/rules", type="banana")
    refused(got, 400, "bad_data", 'invalid parameter "type": not supported value "banana"')


async def test_rules_may_be_asked_for_without_their_alerts() -> None:
    api = Api()
    api.groups = [a_group("g", a_rule("Down"))]
    for flag, alerts in (("true", 0), ("1", 0), ("false", 1), ("", 1)):
        (group,) = (await api.data("/rules", exclude_alerts=flag))["groups"]
        assert len(group["rules"][0].get("alerts", ())) == alerts


async def test_the_alerts_of_all_rules_are_one_list() -> None:
    api = Api()
    quiet = a_rule("Quiet", alerts=(), state=State.INACTIVE)
    api.groups = [a_group("g", a_rule("A"), quiet), a_group("h", a_rule("B"))]
    alerts = (await api.data("/alerts"))["alerts"]
    assert [a["labels"]["alertname"] for a in alerts] == ["A", "B"]


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


async def test_buildinfo_has_no_features_lest_grafana_takes_it_for_mimir() -> None:
    data = await Api().data("/status/buildinfo")
    fields = {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
    assert set(data) == fields | {"application"}
    assert (data["version"], data["application"]) == (PROMETHEUS_VERSION, "Tocsin")


async def test_runtimeinfo_says_since_when_it_runs() -> None:
    assert (await Api().data("/status/runtimeinfo"))["startTime"] == "2026-01-01T00:00:00.000Z"


async def test_health_is_public() -> None:
    got = await ask(Api().door, "GET", "/prometheus/-/healthy")
    assert (got.status, got.headers["content-type"].split(";")[0]) == (200, "text/plain")


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
