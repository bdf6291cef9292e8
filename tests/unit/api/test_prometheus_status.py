"""The Prometheus dialect says what the server is and what it holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_api import T0, Api, refused

from tocsin.api.prometheus_status import PROMETHEUS_VERSION, cardinality
from tocsin.model.labels import Labels
from tocsin.promql.options import Options


async def test_buildinfo_has_no_features_lest_grafana_takes_it_for_mimir() -> None:
    data = await Api().data("/status/buildinfo")
    fields = {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
    assert set(data) == fields | {"application"}
    assert (data["version"], data["application"]) == (PROMETHEUS_VERSION, "Tocsin")


async def test_runtimeinfo_says_since_when_it_runs_and_how_its_configuration_is() -> None:
    api = Api()
    loaded = T0 + timedelta(hours=1)
    api.state = replace(api.state, loaded_at=loaded, reload_successful=False)
    data = await api.data("/status/runtimeinfo")
    assert data["startTime"] == "2026-01-01T00:00:00Z"
    assert data["lastConfigTime"] == "2026-01-01T01:00:00Z"
    assert (data["reloadConfigSuccess"], data["storageRetention"]) == (False, "24h")
    assert data["CWD"] == ""  # a tenant need not know where the server's files are
    assert data["goroutineCount"] >= 1


async def test_configuration_and_flags_are_those_of_the_tenant() -> None:
    api = Api()
    assert await api.data("/status/config") == {"yaml": "# of acme\n"}
    assert await api.data("/status/flags") == {"query.timeout": "2m"}


async def test_the_log_has_been_read_when_this_is_answered() -> None:
    assert await Api().data("/status/walreplay") == {"min": 0, "max": 0, "current": 0}


async def test_there_are_no_notifications() -> None:
    assert await Api().data("/notifications") == []


async def test_features_tell_which_functions_are_admitted() -> None:
    functions = (await Api().data("/features"))["promql_functions"]
    assert (functions["rate"], functions["info"]) == (True, False)
    admitted = (await Api(options=Options(experimental=True)).data("/features"))["promql_functions"]
    assert all(admitted.values())


async def test_the_store_shows_where_its_series_come_from() -> None:
    data = await Api().data("/status/tsdb")
    assert (data["headStats"]["numSeries"], data["headStats"]["numLabelPairs"]) == (3, 5)
    assert data["seriesCountByMetricName"] == [
        {"name": "up", "value": 2},
        {"name": "old", "value": 1},
    ]
    assert {"name": "job", "value": 2} in data["labelValueCountByLabelName"]
    assert {"name": "__name__=up", "value": 2} in data["seriesCountByLabelValuePair"]
    assert len((await Api().data("/status/tsdb", limit=1))["memoryInBytesByLabelName"]) == 1


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5"])
async def test_a_limit_of_the_store_s_lists_is_at_least_one(limit: str) -> None:
    got = await Api().get("/status/tsdb", limit=limit)
    refused(got, 400, "bad_data", "limit must be a positive number")


def test_the_most_frequent_come_first_and_then_the_alphabet() -> None:
    series = [Labels.of({"__name__": n, "x": x}) for n, x in (("b", "1"), ("a", "1"), ("c", "2"))]
    found = cardinality(series, 2)
    assert [each["name"] for each in found["seriesCountByMetricName"]] == ["a", "b"]
    assert found["seriesCountByLabelValuePair"][0] == {"name": "x=1", "value": 2}
    assert found["memoryInBytesByLabelName"] == [
        {"name": "__name__", "value": 3},
        {"name": "x", "value": 2},
    ]
