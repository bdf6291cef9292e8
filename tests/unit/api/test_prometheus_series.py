"""The Prometheus dialect lists series, labels, values and metadata."""

from __future__ import annotations

import pytest
from prometheus_api import START, Api, refused

from tocsin.api.prometheus_form import unescaped


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


async def test_series_that_are_wrong_in_two_ways_are_told_one() -> None:
    api = Api()
    refused(await api.get("/series", limit="x"), 400, "bad_data", "no match[] parameter provided")
    got = await api.get("/series", ("match[]", "up{"), limit="x", start="x")
    refused(got, 400, "bad_data", 'invalid parameter "limit": strconv.Atoi: parsing "x"')
    got = await api.get("/series", ("match[]", "up{"), start="x")
    refused(got, 400, "bad_data", "invalid parameter \"start\": invalid time value for 'start'")


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up + 1", "1:4: parse error: unexpected <op:+>"),
        ("rate(up[5m])", '1:5: parse error: unexpected "("'),
        ("up offset 5m", "1:4: parse error: unexpected <offset>"),
        ("up @ 0", "1:4: parse error: unexpected <op:@>"),
        ("up[5m]", '1:3: parse error: unexpected "["'),
        ("1", '1:1: parse error: unexpected number "1"'),
        ("{", "1:2: parse error: unexpected end of input inside braces"),
        ("", "1:1: parse error: unexpected end of input"),
        ("{}", "match[] must contain at least one non-empty matcher"),
        ('{a=~".*"}', "match[] must contain at least one non-empty matcher"),
    ],
)
async def test_what_is_no_selector_is_bad_data(text: str, message: str) -> None:
    for path, prefix in (
        ("/series", 'invalid parameter "match[]": '),
        ("/labels", ""),
        ("/label/job/values", ""),
    ):
        got = await Api().get(path, ("match[]", text))
        refused(got, 400, "bad_data", prefix + message)
        assert got.json()["error"] == prefix + message


async def test_a_fault_of_one_selector_comes_before_the_emptiness_of_another() -> None:
    got = await Api().get("/series", ("match[]", "{}"), ("match[]", "up{"))
    refused(got, 400, "bad_data", "1:4: parse error")


async def test_what_a_limit_leaves_out_is_said() -> None:
    api = Api()
    for path, pairs in (
        ("/series", [("match[]", "up")]),
        ("/labels", []),
        ("/label/job/values", []),
    ):
        cut = await api.envelope(path, *pairs, limit=1)
        assert (len(cut["data"]), cut["warnings"]) == (1, ["results truncated due to limit"])
        whole = await api.envelope(path, *pairs, limit=3)
        assert "warnings" not in whole


async def test_times_without_bounds_are_those_of_go() -> None:
    pairs = [("match[]", "old"), ("start", "-292273086-05-16T16:47:06Z")]
    pairs += [("end", "292277025-08-18T07:12:54.999999999Z")]
    assert len(await Api().data("/series", *pairs)) == 1


async def test_a_limit_of_metadata_counts_families_and_zero_is_none_of_them() -> None:
    api = Api()
    assert list(await api.data("/metadata", limit=1)) == ["b"]
    assert await api.data("/metadata", limit=0) == {}
    assert len(await api.data("/metadata", limit=-1, limit_per_metric=1)) == 2
    for name in ("limit", "limit_per_metric"):
        refused(
            await api.get("/metadata", **{name: "x"}), 400, "bad_data", f"{name} must be a number"
        )


async def test_a_label_without_a_name_is_bad_data() -> None:
    refused(await Api().get("/label/U__/values"), 400, "bad_data", 'invalid label name: ""')


async def test_metadata_tell_type_help_and_unit() -> None:
    api = Api()
    everything = await api.data("/metadata")
    assert everything["up"] == [{"type": "gauge", "help": "Whether it is up.", "unit": ""}]
    assert list(await api.data("/metadata", metric="b")) == ["b"]
    assert len(await api.data("/metadata", limit=1)) == 1
    assert await api.data("/metadata", metric="nosuch") == {}
