"""Routes, inhibition rules and time intervals: what they compile to, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tocsin.alert_manager.checks import check_inhibit_rules, check_route, check_time_intervals
from tocsin.alert_manager.config import (
    InhibitRuleConfig,
    Integration,
    RouteConfig,
    TimeIntervalConfig,
    compile_config,
    decode_source,
    encode_source,
    from_source,
    interval,
    text_of,
)
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.alert_manager.route import Router, match
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.settings import Finding, from_scalar


def route(**config: Any) -> RouteConfig:
    return msgspec.convert({"receiver": "a", **config}, RouteConfig, dec_hook=from_scalar)


def rule(**config: Any) -> InhibitRuleConfig:
    return msgspec.convert(config, InhibitRuleConfig)


def named(*parts: Any, name: str = "n") -> TimeIntervalConfig:
    return msgspec.convert({"name": name, "time_intervals": list(parts)}, TimeIntervalConfig)


def faults(found: list[Finding]) -> list[tuple[str, str]]:
    return [(".".join(map(str, f.path)), f.message) for f in found]


def route_faults(mode: MatcherMode = MatcherMode.FALLBACK, **config: Any) -> list[tuple[str, str]]:
    return faults(
        check_route(route(**config), receivers=["a", "b"], time_intervals=["night"], mode=mode)
    )


TREE = route(
    group_by=["alertname"],
    group_wait="1s",
    labels={"tier": 1},
    routes=[
        {
            "receiver": "b",
            "match": {"team": "db", "port": 80, "up": True},
            "match_re": {"env": "prod|dev"},
            "matchers": ['{a!="b",c=~"d"}'],
            "group_by": ["..."],
            "group_interval": "2m",
            "continue": True,
            "mute_time_intervals": ["night"],
            "routes": [{"group_by": [], "repeat_interval": "1h", "labels": {"x": "y"}}],
        },
        {"matchers": ["severity=critical"], "receiver": "c"},
    ],
)


def test_options_are_inherited_and_time_intervals_are_not() -> None:
    root, branch, leaf, other = compile_config(TREE, receivers={}, hash="1").routes
    assert [r.receiver for r in (root, branch, leaf, other)] == ["a", "b", "b", "c"]
    assert root.group_by == other.group_by == frozenset({"alertname"})
    assert branch.group_by is None
    assert leaf.group_by == frozenset()
    assert {r.group_wait for r in (root, branch, leaf, other)} == {timedelta(seconds=1)}
    assert root.group_interval == timedelta(minutes=5)
    assert branch.group_interval == leaf.group_interval == timedelta(minutes=2)
    assert root.repeat_interval == timedelta(hours=4)
    assert leaf.repeat_interval == timedelta(hours=1)
    assert (branch.mute, leaf.mute) == (("night",), ())
    assert dict(leaf.labels) == {"tier": "1", "x": "y"}
    assert [r.proceed for r in (root, branch, leaf, other)] == [False, True, False, False]


def test_keys_name_the_path_of_matchers_in_printing_order() -> None:
    _, branch, leaf, other = compile_config(TREE, receivers={}, hash="1").routes
    own = '{a!="b",c=~"d",env=~"prod|dev",port="80",team="db",up="true"}'
    assert branch.key == "{}/" + own
    assert leaf.key == "{}/" + own + "/{}"
    assert other.key == '{}/{severity="critical"}'


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"team": "web"}, ["a"]),
        ({"team": "db"}, ["b"]),
        ({"team": "db", "severity": "critical"}, ["b", "c"]),
        ({"severity": "critical"}, ["c"]),
        ({"severity": "minor"}, ["a"]),
    ],
)
def test_an_alert_takes_the_first_match_and_those_after_a_continue(
    labels: dict[str, str], receivers: list[str]
) -> None:
    config = route(
        routes=[
            {"receiver": "b", "matchers": ['team="db"'], "continue": True},
            {"receiver": "c", "matchers": ['severity=~"crit.*"']},
            {"receiver": "d", "matchers": ['severity="critical"']},
        ]
    )
    root = compile_config(config, receivers={}, hash="1").route
    router = Router(root)
    for _ in range(2):
        assert [r.receiver for r in router.match(Labels.of(labels))] == receivers
    assert match(root.routes[0], Labels.of({"team": "x"})) == ()


def test_a_missing_label_matches_as_the_empty_string() -> None:
    config = route(routes=[{"receiver": "b", "matchers": ['team=""']}])
    root = compile_config(config, receivers={}, hash="1").route
    assert [r.receiver for r in match(root, Labels.of({"x": "y"}))] == ["b"]


def test_the_source_of_a_configuration_survives_the_log() -> None:
    config = compile_config(
        TREE,
        receivers={"z": (Integration("webhook[0]", send_resolved=True),), "a": ()},
        hash="42",
        inhibit_rules=[None, rule(source_matchers=["a=b"], equal=["c", "b", "b"])],
        time_intervals=[named({"weekdays": ["monday:friday"]})],
        resolve_timeout=timedelta(seconds=90),
        matcher_mode=MatcherMode.CLASSIC,
        start_delay=timedelta(seconds=3),
    )
    again = from_source(decode_source(encode_source(config.source)))
    assert again == config
    assert list(again.receivers) == ["z", "a"]
    assert again.resolve_timeout == timedelta(seconds=90)
    assert again.matcher_mode is MatcherMode.CLASSIC
    assert again.inhibit_rules[0].equal == ("b", "c")
    with pytest.raises(InvalidInput, match="not a stored configuration"):
        decode_source(b"{}")


def test_unknown_keys_are_faults() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `grup_by`"):
        route(grup_by=[])


def test_a_sound_tree_has_no_faults() -> None:
    assert check_route(TREE, receivers=["a", "b", "c"], time_intervals=["night"]) == []


def test_the_root_must_be_plain_and_have_a_receiver() -> None:
    found = faults(
        check_route(
            route(
                receiver="",
                matchers=["a=b"],
                mute_time_intervals=["night"],
                active_time_intervals=["night"],
                **{"continue": True},
            ),
            receivers=[],
            time_intervals=["night"],
        )
    )
    assert found == [
        ("", "root route must specify a default receiver"),
        ("", "root route must not have any matchers"),
        ("mute_time_intervals", "root route must not have any mute time intervals"),
        ("active_time_intervals", "root route must not have any active time intervals"),
        ("continue", "cannot have continue in root route"),
    ]


@pytest.mark.parametrize(
    ("child", "place", "message"),
    [
        ({"receiver": "x"}, "receiver", 'undefined receiver "x" used in route'),
        (
            {"mute_time_intervals": ["night", "day"]},
            "mute_time_intervals.1",
            'undefined time interval "day" used in route',
        ),
        (
            {"active_time_intervals": ["day"]},
            "active_time_intervals.0",
            'undefined time interval "day" used in route',
        ),
        (
            {"group_by": ["...", "a"]},
            "group_by",
            "cannot have wildcard group_by (`...`) and other labels at the same time",
        ),
        ({"group_by": ["a", "b", "a"]}, "group_by.2", 'duplicated label "a" in group_by'),
        ({"group_by": [""]}, "group_by.0", 'invalid label name "" in group_by list'),
        ({"group_interval": "0s"}, "group_interval", "group_interval cannot be zero"),
        ({"repeat_interval": 0}, "repeat_interval", "repeat_interval cannot be zero"),
        ({"match": {"a-b": "c"}}, "match.a-b", 'invalid label name "a-b"'),
        ({"labels": {"": "c"}}, "labels.", 'invalid label name ""'),
        ({"matchers": ["a=b", "=="]}, "matchers.1", "bad matcher format: =="),
    ],
)
def test_faults_of_a_route_are_told_at_their_place(
    child: dict[str, Any], place: str, message: str
) -> None:
    found = route_faults(routes=[{}, {"routes": [child]}])
    assert found == [(f"routes.1.routes.0.{place}", message)]


def test_a_bad_pattern_is_told_where_it_stands() -> None:
    ((place, message),) = route_faults(routes=[{"match_re": {"a": "["}}])
    assert place == "routes.0.match_re.a"
    assert message.startswith("bad regular expression '['")


def test_zero_group_wait_is_allowed() -> None:
    assert route_faults(group_wait="0s") == []


def test_the_classic_mode_restricts_names() -> None:
    ((place, _),) = route_faults(MatcherMode.CLASSIC, group_by=["foo🙂"])
    assert place == "group_by.0"
    assert route_faults(group_by=["foo🙂"]) == []


def test_faults_of_inhibition_rules_are_told_at_their_place() -> None:
    rules = [
        None,
        rule(
            source_match={"a-b": "c"},
            source_match_re={"a": "["},
            source_matchers=["=="],
            target_match={"c-d": "e"},
            target_match_re={"e": "("},
            target_matchers=["x"],
            equal=["ok", ""],
        ),
    ]
    places = [place for place, _ in faults(check_inhibit_rules(rules))]
    assert places == [
        "1.source_match.a-b",
        "1.source_match_re.a",
        "1.source_matchers.0",
        "1.target_match.c-d",
        "1.target_match_re.e",
        "1.target_matchers.0",
        "1.equal.1",
    ]


def test_faults_of_time_intervals_are_told_at_their_place() -> None:
    bad = {
        "times": [{"start_time": "09:00"}, {"start_time": "10:00", "end_time": "09:00"}],
        "weekdays": ["monday", "funday"],
        "days_of_month": ["40"],
        "months": ["may:april"],
        "years": ["2026:2020"],
        "location": "Nowhere/Land",
    }
    found = check_time_intervals(
        [named(name=""), named(bad), named(), named(name="taken")], taken=["taken"]
    )
    assert faults(found) == [
        ("0", "missing name in time interval"),
        ("1.time_intervals.0.times.0", "both start and end times must be provided"),
        (
            "1.time_intervals.0.times.1",
            "start time cannot be equal or greater than end time",
        ),
        ("1.time_intervals.0.weekdays.1", "funday is not a valid weekday"),
        ("1.time_intervals.0.days_of_month.0", "40 is not a valid day of the month: out of range"),
        ("1.time_intervals.0.months.0", "end month 4 is before start month 5"),
        ("1.time_intervals.0.years.0", "end year 2020 is before start year 2026"),
        ("1.time_intervals.0.location", "unknown time zone Nowhere/Land"),
        ("2.name", 'time interval "n" is not unique'),
        ("3.name", 'time interval "taken" is not unique'),
    ]


def test_numbers_that_yaml_made_of_times_are_understood() -> None:
    config = named(
        {
            "times": [{"start_time": 540, "end_time": 1020}],
            "days_of_month": [65, 7],
            "months": [63, 12],
            "years": [2026],
        }
    ).time_intervals[0]
    made = interval(config)
    assert made.times == ((540, 1020),)
    assert made.days_of_month == ((1, 5), (7, 7))
    assert made.months == ((1, 3), (12, 12))
    assert made.years == ((2026, 2026),)


def test_scalars_read_as_they_were_written() -> None:
    assert [text_of(v) for v in ("x", 8080, True, False, 1.5)] == [
        *("x", "8080", "true", "false", "1.5")
    ]
