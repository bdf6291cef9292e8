"""Names of OpenTelemetry become the names Prometheus gives them."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.metrics_collector.otlp.config import OtlpConfig, TranslationStrategy, check_otlp
from tocsin.metrics_collector.otlp.names import Kind, label_name, metric_name, unit_name

FULL = TranslationStrategy.ESCAPED_WITH_SUFFIXES
ESCAPED = TranslationStrategy.ESCAPED
SUFFIXED = TranslationStrategy.WITH_SUFFIXES
AS_SENT = TranslationStrategy.AS_SENT
GAUGE, COUNTER = Kind.GAUGE, Kind.COUNTER


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        (
            "http.server.request.duration",
            "s",
            Kind.HISTOGRAM,
            "http_server_request_duration_seconds",
        ),
        ("http.server.active_requests", "{request}", Kind.UP_DOWN, "http_server_active_requests"),
        ("requests", "", COUNTER, "requests_total"),
        ("requests_total", "", COUNTER, "requests_total"),
        ("total.requests", "", COUNTER, "requests_total"),
        ("items", "1", COUNTER, "items_total"),
        ("items", "1", Kind.UP_DOWN, "items"),
        ("cpu_usage", "1", GAUGE, "cpu_usage_ratio"),
        ("cpu_usage_ratio", "1", GAUGE, "cpu_usage_ratio"),
        ("memory.usage", "By", GAUGE, "memory_usage_bytes"),
        ("memory_usage_bytes", "By", GAUGE, "memory_usage_bytes"),
        ("bytes.memory.usage", "By", GAUGE, "bytes_memory_usage"),
        ("speed", "m/s", GAUGE, "speed_meters_per_second"),
        ("throughput", "By/s", COUNTER, "throughput_bytes_per_second_total"),
        ("requests", "1/s", GAUGE, "requests_per_second"),
        ("per_second", "1/s", GAUGE, "per_second_per_second"),
        ("requests", "{request}/m", GAUGE, "requests_per_minute"),
        ("speed", "km/h", GAUGE, "speed_km_per_hour"),
        ("custom", "By/{call}", GAUGE, "custom_bytes"),
        ("custom", "unit@with#special/chars", GAUGE, "custom_unit_with_special_per_chars"),
        ("a", "$/_", GAUGE, "a"),
        ("a", "x_/s", GAUGE, "a_x_per_second"),
        ("a__b..c", "d__e", GAUGE, "a_b_c_d_e"),
        ("2xx", "", GAUGE, "_2xx"),
        ("a:b", "", GAUGE, "a:b"),
        ("weiß", "", GAUGE, "wei"),
        ("@#$%", "", GAUGE, ""),
        ("", "s", GAUGE, "seconds"),
        ("", "", GAUGE, ""),
        ("ratio", "%", GAUGE, "ratio_percent"),
    ],
)
def test_a_name_is_escaped_and_told_unit_and_type(
    name: str, unit: str, kind: Kind, expected: str
) -> None:
    assert metric_name(name, unit, kind, FULL) == expected


@pytest.mark.parametrize(
    ("strategy", "metric", "expected"),
    [
        (ESCAPED, ("http.duration", "s", Kind.HISTOGRAM), "http_duration"),
        (ESCAPED, ("metric@@##name", "By", COUNTER), "metric_name"),
        (ESCAPED, ("__keeps__", "", GAUGE), "__keeps__"),
        (ESCAPED, ("2xx", "", GAUGE), "_2xx"),
        (ESCAPED, ("@#$%", "", GAUGE), ""),
        (SUFFIXED, ("http.duration", "s", Kind.HISTOGRAM), "http.duration_seconds"),
        (SUFFIXED, ("requêsts", "1/s", COUNTER), "requêsts_per_second_total"),
        (SUFFIXED, ("cpu.seconds.total", "s", COUNTER), "cpu.seconds_total"),
        (SUFFIXED, ("cpu", "1", GAUGE), "cpu_ratio"),
        (SUFFIXED, ("total", "", COUNTER), "total_total"),
        (SUFFIXED, ("@#$%", "", COUNTER), "@#$%_total"),
        (AS_SENT, ("http.duration", "s", COUNTER), "http.duration"),
        (AS_SENT, ("", "s", COUNTER), ""),
    ],
)
def test_other_strategies_escape_less_or_tell_less(
    strategy: TranslationStrategy, metric: tuple[str, str, Kind], expected: str
) -> None:
    assert metric_name(*metric, strategy) == expected


UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
    "us": "microseconds", "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes",
    "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes", "KBy": "kilobytes",
    "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters", "V": "volts",
    "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz",
    "%": "percent",
}  # fmt: skip
PER = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_told_in_words(unit: str) -> None:
    assert metric_name("x", unit, GAUGE, FULL) == f"x_{UNITS[unit]}"
    assert unit_name(unit, FULL) == UNITS[unit]


@pytest.mark.parametrize("unit", PER)
def test_what_a_unit_is_per_is_told_in_words(unit: str) -> None:
    assert metric_name("x", f"By/{unit}", GAUGE, FULL) == f"x_bytes_per_{PER[unit]}"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("", ""),
        ("1", ""),
        ("{request}", ""),
        ("{request}/s", "per_second"),
        ("By/s", "bytes_per_second"),
        ("widgets", "widgets"),
        ("a b", "a_b"),
        (" s ", "seconds"),
        ("_x_", "x"),
    ],
)
def test_the_unit_of_metadata_is_in_words_too(unit: str, expected: str) -> None:
    assert unit_name(unit, FULL) == expected


def test_a_unit_is_not_escaped_where_names_are_not() -> None:
    assert unit_name("µm/s", AS_SENT) == "µm_per_second"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("http.method", "http_method"),
        ("label:with:colons", "label_with_colons"),
        ("label!with&special)", "label_with_special_"),
        ("123label", "key_123label"),
        ("_private", "key_private"),
        (".dot", "key_dot"),
        ("__name__", "__name__"),
        ("__a", "__a"),
        ("a..b", "a__b"),
        ("ようこそ", ""),
        ("_", "key_"),
        ("__", ""),
        ("", ""),
    ],
)
def test_attributes_become_labels(name: str, expected: str) -> None:
    assert label_name(name, OtlpConfig()) == expected


def test_label_names_can_be_left_with_their_underscore() -> None:
    config = OtlpConfig(label_name_underscore_sanitization=False)
    assert label_name("_private", config) == "_private"
    assert label_name("1st", config) == "key_1st"


def test_underscores_can_be_made_one() -> None:
    config = OtlpConfig(label_name_preserve_multiple_underscores=False)
    assert label_name("a..b", config) == "a_b"
    assert label_name("__reserved__", config) == "__reserved__"


def test_label_names_stay_as_they_are_where_names_are_not_escaped() -> None:
    config = OtlpConfig(translation_strategy=SUFFIXED)
    assert label_name("http.method", config) == "http.method"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=20), st.text(max_size=10), st.sampled_from(Kind))
def test_an_escaped_name_is_a_name_of_prometheus_2_or_nothing(
    name: str, unit: str, kind: Kind
) -> None:
    made = metric_name(name, unit, kind, FULL)
    assert not made or re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", made, re.ASCII)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=20))
def test_an_escaped_label_is_a_label_of_prometheus_2_or_nothing(name: str) -> None:
    made = label_name(name, OtlpConfig())
    assert not made or re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", made, re.ASCII)


def test_a_sum_that_may_fall_is_a_gauge_to_prometheus() -> None:
    assert [kind.type for kind in (Kind.UP_DOWN, Kind.COUNTER, Kind.SUMMARY)] == [
        "gauge",
        "counter",
        "summary",
    ]


def test_a_sound_section_has_no_findings() -> None:
    assert not list(check_otlp(OtlpConfig()))
    everything = OtlpConfig(
        promote_all_resource_attributes=True, ignore_resource_attributes=("host.id",)
    )
    assert not list(check_otlp(everything))


def test_attributes_are_promoted_by_name_or_all_of_them() -> None:
    config = OtlpConfig(
        promote_all_resource_attributes=True, promote_resource_attributes=("a", "a", " ")
    )
    found = [(finding.path, finding.message) for finding in check_otlp(config)]
    assert [path for path, _ in found] == [
        ("promote_resource_attributes",),
        ("promote_resource_attributes", 1),
        ("promote_resource_attributes", 2),
    ]
    assert "twice" in found[1][1]


def test_only_where_all_are_promoted_some_can_be_ignored() -> None:
    (finding,) = check_otlp(OtlpConfig(ignore_resource_attributes=("a",)))
    assert "promote_all_resource_attributes" in finding.message
