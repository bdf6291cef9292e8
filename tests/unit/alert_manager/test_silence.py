"""Silences: forms, states, updates, and who is silenced."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.alert_manager.answers import Malformed, Refused
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.alert_manager.silence import (
    Silence,
    SilenceMatcher,
    Silences,
    SilenceState,
    may_update,
)
from tocsin.alert_manager.silence_form import decode_silence
from tocsin.model.labels import Labels
from tocsin.model.matchers import MatchOp, all_match

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
EQUAL = SilenceMatcher("a", "x", is_regex=False)


def silence(
    *matchers: SilenceMatcher, start: timedelta = -HOUR, end: timedelta = HOUR, name: str = "s"
) -> Silence:
    return Silence(name, matchers or (EQUAL,), NOW + start, NOW + end, NOW + start)


def form(**more: Any) -> Silence | Malformed | Refused:
    posted = {
        "matchers": [{"name": "a", "value": "x", "isRegex": False}],
        "startsAt": "2026-01-01T12:00:00Z",
        "endsAt": "2026-01-01T13:00:00Z",
        "createdBy": "",
        "comment": "",
    }
    posted |= more
    kept = {k: v for k, v in posted.items() if v != "gone"}
    return decode_silence(json.dumps(kept).encode(), now=NOW, mode=MatcherMode.CLASSIC)


def test_a_whole_form_is_read() -> None:
    made = form(
        id="x-1",
        createdBy="me",
        comment="why",
        annotations={"ticket": "OPS-1"},
        matchers=[{"name": "a", "value": "x.*", "isRegex": True, "isEqual": False}],
    )
    matcher = SilenceMatcher("a", "x.*", is_regex=True, is_equal=False)
    assert made == Silence(
        "x-1", (matcher,), NOW, NOW + HOUR, NOW, "me", "why", {"ticket": "OPS-1"}
    )


@pytest.mark.parametrize("absent", ["", "0001-01-01T00:00:00Z"])
def test_an_absent_start_is_now(absent: str) -> None:
    made = form(startsAt=absent)
    assert isinstance(made, Silence)
    assert made.starts_at == NOW


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"comment": "gone"}, 422, 602, "comment in body is required"),
        ({"createdBy": "gone"}, 422, 602, "createdBy in body is required"),
        ({"endsAt": "gone"}, 422, 602, "endsAt in body is required"),
        ({"startsAt": None}, 422, 602, "startsAt in body is required"),
        ({"matchers": "gone"}, 422, 602, "matchers in body is required"),
        ({"matchers": []}, 422, 612, "matchers in body should have at least 1 items"),
        ({"matchers": [{}]}, 422, 602, "matchers.0.isRegex in body is required"),
        (
            {"matchers": [{"isRegex": True, "name": "a"}]},
            422,
            602,
            "matchers.0.value in body is required",
        ),
        ({"endsAt": "x"}, 400, 400, "parsing silence body from"),
        ({"matchers": {}}, 400, 400, "parsing silence body from"),
    ],
)
def test_forms_with_parts_missing_are_refused(
    change: dict[str, Any], status: int, code: int, message: str
) -> None:
    found = form(**change)
    assert isinstance(found, Malformed)
    assert (found.status, found.code) == (status, code)
    assert message in found.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "silence in body is required"),
        (b"{}", "comment in body is required"),
        (b"null", "comment in body is required"),
    ],
)
def test_bodies_without_a_form_are_refused(body: bytes, message: str) -> None:
    found = decode_silence(body, now=NOW, mode=MatcherMode.FALLBACK)
    assert found == Malformed(422, 602, message)


def m(name: str, value: str, **more: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": False, **more}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"endsAt": "2026-01-01T12:00:00Z"},
            "Failed to create silence: start time must be before end time",
        ),
        (
            {"startsAt": "2026-01-01T10:00:00Z", "endsAt": "2026-01-01T11:00:00Z"},
            "Failed to create silence: end time can't be in the past",
        ),
        (
            {"matchers": [m("a", "")]},
            "invalid silence: at least one matcher must not match the empty string",
        ),
        (
            {"matchers": [m("a", ".*", isRegex=True), m("b", "")]},
            "invalid silence: at least one matcher must not match the empty string",
        ),
        (
            {"matchers": [m("ok", "x"), m("a-b", "x")]},
            'invalid silence: invalid label matcher 1: invalid label name "a-b"',
        ),
        (
            {"matchers": [m("a", "[", isRegex=True)]},
            'invalid silence: invalid label matcher 0: invalid regular expression "[": ',
        ),
    ],
)
def test_forms_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    found = form(**change)
    assert isinstance(found, Refused)
    assert found.message.startswith(message)


def test_one_matcher_that_needs_a_label_is_enough() -> None:
    assert isinstance(form(matchers=[m("a", ""), m("b", "x")]), Silence)
    assert isinstance(form(matchers=[m("a", "x", isEqual=False)]), Silence)


def test_the_operator_follows_from_the_two_flags() -> None:
    ops = {
        SilenceMatcher("a", "x", is_regex=regex, is_equal=equal).op
        for regex in (True, False)
        for equal in (True, False)
    }
    assert ops == set(MatchOp)


@pytest.mark.parametrize(
    ("after_start", "state"),
    [
        (-MINUTE, SilenceState.PENDING),
        (timedelta(0), SilenceState.ACTIVE),
        (2 * HOUR - MINUTE, SilenceState.ACTIVE),
        (2 * HOUR, SilenceState.EXPIRED),
    ],
)
def test_the_state_follows_from_the_time(after_start: timedelta, state: SilenceState) -> None:
    assert silence().state(NOW - HOUR + after_start) is state


@pytest.mark.parametrize(
    ("old", "new", "may"),
    [
        (silence(), silence(end=2 * HOUR), True),
        (silence(), silence(start=-HOUR + timedelta(milliseconds=900)), True),
        (silence(), silence(start=-HOUR + timedelta(seconds=1)), False),
        (silence(), silence(end=-MINUTE), False),
        (silence(), silence(end=timedelta(0)), True),
        (silence(), silence(SilenceMatcher("a", "y", is_regex=False)), False),
        (silence(start=MINUTE), silence(start=timedelta(0)), True),
        (silence(start=MINUTE), silence(start=-MINUTE), False),
        (silence(end=-MINUTE), silence(), False),
    ],
)
def test_an_update_may_not_rewrite_the_past(old: Silence, new: Silence, *, may: bool) -> None:
    assert may_update(old, new, NOW) is may


def test_a_new_silence_does_not_start_in_the_past() -> None:
    silences = Silences()
    assert silences.put(silence(name=""), new_id="n", now=NOW) == "n"
    kept = silences.get("n")
    assert kept is not None
    assert (kept.starts_at, kept.updated_at) == (NOW, NOW)


def test_an_update_keeps_the_id() -> None:
    silences = Silences([silence()])
    longer = silence(end=2 * HOUR)
    assert silences.put(longer, new_id="n", now=NOW) == "s"
    assert [s.ends_at for s in silences] == [NOW + 2 * HOUR]


def test_a_change_of_matchers_ends_the_old_silence_and_opens_a_new_one() -> None:
    silences = Silences([silence()])
    other = silence(SilenceMatcher("b", "y", is_regex=False))
    assert silences.put(other, new_id="n", now=NOW) == "n"
    assert {s.id: s.state(NOW) for s in silences} == {
        "s": SilenceState.EXPIRED,
        "n": SilenceState.ACTIVE,
    }


def test_expiring_ends_a_silence_now_and_is_idempotent() -> None:
    silences = Silences([silence(), silence(name="later", start=MINUTE)])
    for silence_id in ("s", "later", "s", "unknown"):
        silences.expire(silence_id, NOW)
    silences.expire("s", NOW + MINUTE)
    assert {s.ends_at for s in silences} == {NOW}
    later = silences.get("later")
    assert later is not None
    assert later.starts_at == NOW


def test_ended_silences_are_forgotten_after_a_while() -> None:
    silences = Silences([silence(end=-MINUTE), silence(name="live")])
    labels = Labels.of({"a": "x"})
    assert silences.silencing(labels, NOW) == ("live",)
    silences.forget_ended(NOW)
    assert [s.id for s in silences] == ["live"]
    assert silences.silencing(labels, NOW) == ("live",)


def test_only_active_silences_that_match_silence() -> None:
    silences = Silences(
        [
            silence(name="b"),
            silence(name="a"),
            silence(name="pending", start=MINUTE),
            silence(name="ended", end=-MINUTE),
            silence(SilenceMatcher("z", "x", is_regex=False), name="other"),
        ]
    )
    assert silences.silencing(Labels.of({"a": "x"}), NOW) == ("a", "b")
    assert silences.silencing(Labels.of({"a": "y"}), NOW) == ()
    assert Silences().silencing(Labels.of({"a": "y"}), NOW) == ()


def test_every_matcher_of_a_silence_must_match() -> None:
    second = SilenceMatcher("b", "y|z", is_regex=True)
    silences = Silences([silence(EQUAL, second)])
    assert silences.silencing(Labels.of({"a": "x", "b": "z"}), NOW) == ("s",)
    assert silences.silencing(Labels.of({"a": "x"}), NOW) == ()


label_names, label_values = (
    st.sampled_from("abc"),
    st.sampled_from(["", "x", "y", "x|y", "x|", "x.*", ".*y", "[xy]+", "x{1,2}", ".*"]),
)
some_matchers = st.lists(
    st.builds(SilenceMatcher, label_names, label_values, st.booleans(), st.booleans()),
    min_size=1,
    max_size=3,
).map(tuple)


@given(
    st.lists(some_matchers, max_size=8),
    st.dictionaries(label_names, st.sampled_from(["x", "y", "xy", "xx\ny", "z"])),
)
def test_the_index_finds_what_a_full_search_finds(
    groups: list[tuple[SilenceMatcher, ...]], pairs: dict[str, str]
) -> None:
    labels = Labels.of(pairs)
    everyone = [silence(*ms, name=str(i)) for i, ms in enumerate(groups)]
    full = [s.id for s in everyone if all_match([x.compiled() for x in s.matchers], labels)]
    silences = Silences(everyone)
    assert silences.silencing(labels, NOW) == tuple(sorted(full))
    assert silences.silencing(labels, NOW) == tuple(sorted(full))
