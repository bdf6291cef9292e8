"""A text taken apart says what the interpreter says, or leaves it to the interpreter."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.rule_engine.rendering import Expander

METRIC = Labels.of({"__name__": "up", "host": "a.example:9100", "job": "j", "odd": '<&"%s'})
EXPANDER = Expander("A", Labels.of({"region": "eu"}), "http://x/p", query=lambda _: ())


def quick(text: str, value: float, metric: Labels = METRIC) -> str | None:
    taken = EXPANDER.taken_apart(text)
    return taken.render(metric, value) if taken else None


def slow(text: str, value: float, metric: Labels = METRIC) -> str:
    return EXPANDER.expand(text, EXPANDER.data(metric, value))


@pytest.mark.parametrize(
    "text",
    [
        "{{ $labels.host }} of {{ .Labels.job }} and {{ $labels.nope }}.",
        "{{ $value }} is {{ .Value }}",
        "{{ $value | humanize }} {{ humanize1024 $value }} {{ $value | humanizeDuration }}",
        "{{ .Value | humanizePercentage }}{{- $value | humanizeTimestamp -}} .",
        "{{ $externalLabels.region }} {{ $externalURL }} {{ .ExternalURL }} {{ externalURL }}",
        "{{ .ExternalLabels.region }}{{ .ExternalLabels.none }}{{ pathPrefix }}",
        '{{ printf "%.2f%% of %s %v %v" $value $labels.host $value $labels.odd }}',
        '{{ $value | printf "%.0f" }}{{ printf "plain" }}',
        '{{ printf "%s" (humanize $value) }}',
        "{{ $labels.host | stripPort | toUpper }} {{ title $labels.job }}",
        '{{ "text" }}{{/* note */}}{{ `raw` }}',
        '{{ humanize "12345" }}{{ "text" | toUpper }}',
        "{{ ($labels.host) }}",
    ],
)
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1e6, 123456.75, -2.5e-7])
def test_a_plain_sentence_needs_no_interpreter(text: str, value: float) -> None:
    assert quick(text, value) == slow(text, value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ if true }}x{{ end }}",
        "{{ $x := $value }}{{ $x }}",
        '{{ define "t" }}x{{ end }}{{ $value }}',
        "{{ $labels }}",
        "{{ $labels.host.x }}",
        "{{ . }}",
        "{{ $ }}",
        "{{ nil }}",
        "{{ 1 }}",
        "{{ unclosed",
        '{{ query "up" }}',
        "{{ or $labels.nope $labels.host }}",
        "{{ humanize }}",
        "{{ humanize $value $value }}",
        "{{ toUpper $value }}",
        "{{ toUpper 1 }}",
        "{{ print $value }}",
        '{{ reReplaceAll "a" "b" $labels.host }}',
        '{{ printf "%d" $value }}',
        '{{ printf "%s" $value }}',
        '{{ printf "%.1f" $labels.host }}',
        '{{ printf "%5.1f" $value }}',
        '{{ printf "%.1f" }}',
        '{{ printf "x" $value }}',
        '{{ printf "%v" 1 }}',
        "{{ printf $labels.host }}",
        "{{ printf }}",
        "{{ $value $value }}",
        "{{ $value | $labels.host }}",
        "{{ (humanize $value).x }}",
        "x{{ $value }}" * 40,
    ],
)
def test_the_rest_is_not_taken_apart(text: str) -> None:
    assert EXPANDER.taken_apart(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ $value }}", math.nan),
        ('{{ printf "%.1f" $value }}', math.inf),
        ("{{ humanize $labels.host }}", 1.0),
        ('{{ match "a" $labels.host }}', 1.0),
        ("{{ safeHtml $labels.host }}", 1.0),
        ("{{ safeHtml $labels.host | toUpper }}", 1.0),
        ('{{ match "a" $labels.host | toUpper }}', 1.0),
        ("{{ toTime $value }}", 1e300),
    ],
)
def test_what_goes_wrong_or_is_odd_is_left_to_the_interpreter(text: str, value: float) -> None:
    assert EXPANDER.taken_apart(text) is not None
    assert quick(text, value) is None


def test_very_long_texts_are_left_to_the_interpreter() -> None:
    long = METRIC.merged({"long": "x" * 5000})
    assert quick("{{ $labels.long }}", 1.0, long) == "x" * 5000
    assert quick("{{ $labels.long }}{{ $labels.long }}", 1.0, long) is None


OPERANDS = ("$value", ".Value", "$labels.host", ".Labels.odd", '"%v"', "1.5", "$externalURL", ".")
FUNCTIONS = (
    *("humanize", "humanizeDuration", "humanizePercentage", "toUpper", "stripDomain", "print"),
    *('printf "%v"', 'printf "%.3f"', 'printf "%s|%v"', 'reReplaceAll "e" "%"', "parseDuration"),
)
PIECES = st.one_of(
    st.sampled_from(["word ", "50% ", "\n"]),
    st.builds("{{{{ {} }}}}".format, st.sampled_from(OPERANDS)),
    st.builds("{{{{ {} | {} }}}}".format, st.sampled_from(OPERANDS), st.sampled_from(FUNCTIONS)),
    st.builds("{{{{ {} {} }}}}".format, st.sampled_from(FUNCTIONS), st.sampled_from(OPERANDS)),
    st.builds(
        "{{{{ {} {} | {} }}}}".format,
        st.sampled_from(FUNCTIONS),
        st.sampled_from(OPERANDS),
        st.sampled_from(FUNCTIONS),
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=5).map("".join), st.floats())
def test_the_quick_form_never_says_anything_else(text: str, value: float) -> None:
    said = quick(text, value)
    if said is None:
        return
    try:
        expected = slow(text, value)
    except InvalidInput as error:
        raise AssertionError(text) from error
    assert said == expected
