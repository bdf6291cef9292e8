"""The Prometheus dialect shows rules and their alerts."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from prometheus_api import T0, Api, refused

from tocsin.api.prometheus_json import rule_json
from tocsin.model.labels import Labels
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.definition import RuleKind
from tocsin.rule_engine.views import AlertView, GroupView, Health, RuleView


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


def test_a_rule_shows_what_its_expression_warned_of() -> None:
    shown = rule_json(a_rule("r", warnings=("PromQL warning: odd",)))
    assert shown["warnings"] == ["PromQL warning: odd"]
    assert "warnings" not in rule_json(a_rule("r"))


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
            "value": "5e-01",
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
    assert (await Api().data("/rules", type="ALERT")) == {"groups": []}


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


async def test_the_expression_of_a_rule_is_printed_as_prometheus_prints_it() -> None:
    api = Api()
    api.groups = [
        a_group(
            "g",
            a_rule("a", query="sum by(x)(up)/2"),
            a_rule("b", query="limitk(1,up)"),
            a_rule("c", query="what( is this"),
        )
    ]
    rules = (await api.data("/rules"))["groups"][0]["rules"]
    assert [rule["query"] for rule in rules] == [
        "sum by (x) (up) / 2",
        "limitk(1, up)",
        "what( is this",
    ]


async def test_rules_are_narrowed_by_their_labels() -> None:
    api = Api()
    api.groups = [
        a_group("g", a_rule("A"), a_rule("B", labels=Labels.of({"severity": "info", "team": "x"})))
    ]
    for selectors, names in (
        (['{severity="page"}'], ["A"]),
        (['{severity="page"}', '{team="x"}'], ["A", "B"]),
        (['{severity=~"page|info",team="x"}'], ["B"]),
    ):
        groups = (await api.data("/rules", *[("match[]", each) for each in selectors]))["groups"]
        assert [rule["name"] for group in groups for rule in group["rules"]] == names
    refused(await api.get("/rules", ("match[]", "{}")), 400, "bad_data", "match[] must contain")
    assert (await api.data("/rules", ("match[]", '{team="y"}')))["groups"] == []


async def test_groups_come_in_pages_that_go_on_where_the_last_one_ended() -> None:
    api = Api()
    empty = a_group("empty", a_rule("r", kind=RuleKind.RECORDING))
    api.groups = [
        a_group("1", a_rule("A")),
        empty,
        a_group("2", a_rule("B")),
        a_group("3", a_rule("C")),
    ]
    pages, token = [], ""
    while True:
        pairs = [("group_next_token", token)] if token else []
        data = await api.data("/rules", *pairs, group_limit=2, type="alert")
        pages.append([group["name"] for group in data["groups"]])
        token = data.get("groupNextToken", "")
        if not token:
            break
    assert pages == [["1", "2"], ["3"]]


async def test_a_page_ends_with_the_token_prometheus_would_give() -> None:
    api = Api()
    api.groups = [a_group("1", a_rule("A")), a_group("2", a_rule("B"))]
    data = await api.data("/rules", group_limit=1)
    assert data["groupNextToken"] == hashlib.sha1(b"rules.yml;2").hexdigest()  # noqa: S324  # theirs


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"group_next_token": "x"},
            'invalid parameter "group_next_token": group_limit needs to be present in order to '
            "paginate over the groups",
        ),
        (
            {"group_limit": "x"},
            'invalid parameter "group_limit": group_limit needs to be a valid number: '
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            {"group_limit": "0"},
            'invalid parameter "group_limit": group_limit needs to be greater than 0',
        ),
        (
            {"group_limit": "1", "group_next_token": "x"},
            "invalid parameter \"group_next_token\": invalid group_next_token 'x'. "
            "were rule groups changed?",
        ),
        (
            {"exclude_alerts": "maybe"},
            'invalid parameter "exclude_alerts": error converting exclude_alerts: '
            'strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
    ],
)
async def test_a_page_that_makes_no_sense_is_bad_data(asked: dict[str, str], message: str) -> None:
    api = Api()
    api.groups = [a_group("g", a_rule("A"))]
    got = await api.get("/rules", **asked)
    refused(got, 400, "bad_data", message)
