"""The values every room speaks of."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.codec import decode, encode
from tocsin.model.duration import format_duration, parse_duration
from tocsin.model.errors import ConfigError, InvalidInput, InvalidTenant, Problem
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.matchers import MatchOp, all_match, matcher
from tocsin.model.notification import notification_id
from tocsin.model.pattern import Pattern, pattern
from tocsin.model.rfc3339 import ZERO_TIME, format_millis, format_nano, parse_time
from tocsin.model.sample import STALE, is_stale
from tocsin.model.secret import Secret
from tocsin.model.settings import ByteSize, Duration, Finding, from_scalar
from tocsin.model.severity import Severity, severity_of
from tocsin.model.size import format_size, parse_size
from tocsin.model.tenant import tenant_id

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5)


@given(NAMES)
def test_labels_are_equal_whatever_order_they_came_in_and_hold_no_empty_value(
    pairs: dict[str, str],
) -> None:
    labels, backwards = Labels(pairs.items()), Labels(reversed(pairs.items()))
    assert labels == backwards
    assert hash(labels) == hash(backwards)
    assert all(labels.values())
    assert labels == {name: value for name, value in pairs.items() if value}
    assert decode(encode(labels), Labels) == labels


def test_labels_are_kept_dropped_merged_and_printed() -> None:
    labels = Labels.of({"b": "2", "a": 'q"1'})
    assert str(labels) == '{a="q\\"1", b="2"}'
    assert repr(labels) == f"Labels({labels})"
    assert labels.keep(["a", "x"]) == {"a": 'q"1'}
    assert labels.drop(["a"]) == {"b": "2"}
    assert labels.merged({"b": "", "c": "3"}) == {"a": 'q"1', "c": "3"}
    assert labels.merged({}) is labels
    assert Labels.of(labels) is labels
    assert labels.value("none") == ""
    assert sorted([labels, EMPTY]) == [EMPTY, labels]
    assert labels != 1


def test_only_values_of_ours_have_a_stored_form() -> None:
    with pytest.raises(NotImplementedError, match="complex has no stored form"):
        encode(1j)
    with pytest.raises(NotImplementedError, match="has no stored form"):
        decode(b'"x"', complex)
    with pytest.raises(InvalidInput):
        decode(b"[", list)


@pytest.mark.parametrize(
    ("text", "value", "hit"),
    [("a|b", "b", True), ("a|b", "ab", False), ("a.*", "a\nb", True), ("a", "xa", False)],
)
def test_a_pattern_matches_the_whole_value(text: str, value: str, hit: bool) -> None:  # noqa: FBT001
    assert pattern(text).matches(value) is hit


def test_patterns_are_told_apart_by_their_text() -> None:
    assert pattern("a.c") == Pattern("a.c")
    assert hash(pattern("a.c")) == hash(Pattern("a.c"))
    assert pattern("a.c") != pattern("abc")
    assert repr(pattern("a.c")) == "Pattern('a.c')"
    assert pattern("x|y").literals == frozenset({"x", "y"})
    assert pattern("a.c").literals is None
    for bad in ("(", "a." * 6_000):
        with pytest.raises(InvalidInput, match="regular expression"):
            pattern(bad)


def test_an_absent_label_counts_as_empty() -> None:
    labels = Labels.of({"team": "db"})
    assert all_match([matcher("team", "=", "db"), matcher("x", "=", "")], labels)
    assert matcher("x", "!=", "y").matches_set(labels)
    assert matcher("x", "=~", ".*").matches_set(labels)
    assert not matcher("team", "!~", "d.").matches_set(labels)
    assert str(matcher("team", MatchOp.REGEX, 'd"')) == 'team=~"d\\""'


@given(st.integers(min_value=0, max_value=10**12))
def test_a_printed_duration_reads_back(millis: int) -> None:
    value = timedelta(milliseconds=millis)
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize("bad", ["", "5", "1m1h", "-1s", "1.5h", "s", "99999999999y"])
def test_what_is_no_duration_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        parse_duration(bad)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_a_printed_time_reads_back(naive: datetime) -> None:
    at = naive.replace(tzinfo=UTC)
    assert parse_time(format_nano(at)) == at


def test_times_have_the_shapes_of_the_family() -> None:
    assert format_millis(T0) == "2026-01-02T03:04:05.000Z"
    assert format_nano(T0) == "2026-01-02T03:04:05Z"
    assert format_nano(None) == ZERO_TIME
    assert parse_time(ZERO_TIME) is None
    assert parse_time("2026-01-02T04:04:05.123456789+01:00") == T0 + timedelta(microseconds=123456)
    for bad in ("yesterday", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05"):
        with pytest.raises(InvalidInput, match="not an RFC 3339 time"):
            parse_time(bad)


@given(st.integers(0, 2**63 - 1))
def test_a_printed_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
    assert from_scalar(ByteSize, str(ByteSize(size))) == size


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512 << 20), ("1GB512MiB", 3 << 29), ("0", 0), ("0.5KB", 512)]
)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("bad", ["", "5", "1 GB", "1gb", "1iB", "x1GB", "1GBx", "99999999EB"])
def test_what_is_no_size_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput, match="size"):
        parse_size(bad)
    with pytest.raises(InvalidInput, match="size"):
        from_scalar(ByteSize, bad)
    with pytest.raises(InvalidInput, match="a size such as 512MB"):
        from_scalar(ByteSize, 5)


def test_scalars_of_a_file_become_durations_and_secrets() -> None:
    assert from_scalar(Duration, "90s") == timedelta(seconds=90)
    assert from_scalar(Duration, 0) == timedelta(0)
    assert str(Duration.parse("90s")) == "1m30s"
    assert from_scalar(Secret, "x") == Secret("x")
    for kind, value in ((Duration, 5), (Secret, 5)):
        with pytest.raises(InvalidInput):
            from_scalar(kind, value)
    with pytest.raises(NotImplementedError, match="complex is no configuration type"):
        from_scalar(complex, "x")
    assert Finding(("a", 0), "bad").under("top", 1) == Finding(("top", 1, "a", 0), "bad")


def test_a_secret_never_prints_itself() -> None:
    secret = Secret("s3cr3t")
    assert "s3cr3t" not in f"{secret} {secret!r}"
    assert secret.reveal() == "s3cr3t"
    assert not Secret("")


def test_a_problem_prints_its_place() -> None:
    placed, bare = Problem("bad", "f.yml", 3, 5), Problem("bad")
    assert str(placed) == "f.yml:3:5: bad"
    assert str(ConfigError((placed, bare))) == "f.yml:3:5: bad\nbad"


def test_a_staleness_marker_is_told_by_its_bits() -> None:
    assert is_stale(STALE)
    assert not is_stale(float("nan"))
    assert not is_stale(1.0)


@pytest.mark.parametrize(
    ("label", "severity"),
    [("PAGE", Severity.CRITICAL), ("", Severity.INFO), ("purple", Severity.WARNING)],
)
def test_a_severity_is_read_from_its_label(label: str, severity: Severity) -> None:
    assert severity_of(label) is severity


@pytest.mark.parametrize("good", ["a", "spotify_tenant_1", "a-b", "0", "a" * 64])
def test_a_tenant_id_is_taken_as_it_is(good: str) -> None:
    assert tenant_id(good) == good


@pytest.mark.parametrize("bad", ["", "A", "a/b", "..", "-a", "a_", "a" * 65, "a\n", "ä"])
def test_what_could_be_a_path_is_no_tenant_id(bad: str) -> None:
    with pytest.raises(InvalidTenant, match="tenant id"):
        tenant_id(bad)


def test_the_id_of_a_notification_depends_on_every_part_of_its_cause() -> None:
    tenant = tenant_id("a")
    ids = {
        notification_id(tenant, "f", "webhook[0]"),
        notification_id(tenant, "f", "webhook[1]"),
        notification_id(tenant, "g", "webhook[0]"),
        notification_id(tenant_id("b"), "f", "webhook[0]"),
    }
    assert len(ids) == 4
    assert notification_id(tenant, "f", "webhook[0]") in ids


def test_a_pickled_label_set_carries_no_hash_of_another_process() -> None:
    labels = Labels([("a", "b")])
    assert labels.__reduce__() == (Labels, ((("a", "b"),),))
    assert pickle.loads(pickle.dumps(labels)) == labels  # noqa: S301
