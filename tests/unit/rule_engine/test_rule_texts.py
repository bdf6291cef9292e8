"""What a template depends on: its labels, the value, or each round anew."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.rule_engine.rendering import Expander
from tocsin.rule_engine.texts import PURE, Depends
from tocsin.templating.builtins import BUILTINS
from tocsin.templating.functions_prometheus import QuerySample, prometheus_functions

METRIC = Labels.of({"__name__": "up", "host": "a", "job": "j"})


def expander() -> Expander:
    answer = [QuerySample(METRIC, 1.0)]
    return Expander("A", Labels.of({"region": "eu"}), "http://x", query=lambda _: answer)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ $labels.host }} {{ .Labels.job | toUpper }} {{ $externalLabels.region }}",
        "{{ $.ExternalURL }}{{ $externalURL }}{{ externalURL }}{{ pathPrefix }}",
        "{{ with $labels.host }}{{ . }}{{ else }}none{{ end }}",
        "{{ range $name, $value := $labels }}{{ $name }}{{ end }}",
        "{{ range .Labels }}{{ . }}{{ else }}{{ .Labels.host }}{{ end }}",
        '{{ define "t" }}{{ . }}{{ .Value }}{{ $ }}{{ end }}{{ template "t" $labels }}',
        '{{ if eq $labels.host "a" }}{{ (index $labels "job").x }}{{ end }}{{/* note */}}',
        "{{ $x := $labels.host }}{{ $x }}{{ nil | print }}",
        '{{ range 3 }}{{ break }}{{ end }}{{ block "b" 1 }}{{ . }}{{ end }}{{ template "b" }}',
    ],
)
def test_of_labels_alone(text: str) -> None:
    assert expander().depends([text]) is Depends.LABELS


@pytest.mark.parametrize(
    "text",
    [
        "{{ $value }}",
        "{{ .Value | humanize }}",
        "{{ $.Value }}",
        "{{ . }}",
        "{{ $ }}",
        '{{ printf "%.2f" (print $value) }}',
        "{{ if gt $value 1.0 }}high{{ end }}",
        "{{ if true }}{{ else if $value }}x{{ end }}",
        "{{ with $labels.host }}{{ $value }}{{ end }}",
        "{{ with $labels.host }}{{ $.Value }}{{ end }}",
        "{{ range $labels }}{{ else }}{{ .Value }}{{ end }}",
        "{{ $x := .Value }}{{ $x }}",
        '{{ define "t" }}{{ .Value }}{{ end }}{{ template "t" . }}',
        '{{ define "t" }}x{{ end }}{{ tmpl "t" . }}',
        "{{ .Nothing }}",
        "{{ (and .).Value }}",
        "{{ unclosed",
        "{{ nofunction }}",
    ],
)
def test_of_the_value(text: str) -> None:
    assert expander().depends([text, "plain"]) is Depends.VALUE


@pytest.mark.parametrize(
    "text",
    [
        '{{ query "up" | first | value }}',
        '{{ with $labels.host }}{{ range query "x" }}{{ .Value }}{{ end }}{{ end }}',
        '{{ define "t" }}{{ query "x" }}{{ end }}{{ template "t" }}',
    ],
)
def test_of_each_round(text: str) -> None:
    assert expander().depends(["{{ $value }}", text]) is Depends.ROUND


def test_no_text_depends_on_nothing() -> None:
    assert expander().depends([]) is Depends.LABELS


def test_every_function_of_templates_was_judged() -> None:
    known = {*BUILTINS, *prometheus_functions(query=lambda _: (), external_url="")}
    assert known - PURE == {"query"}


PIECES = st.sampled_from(
    [
        "text ",
        "{{ $value }}",
        "{{ $labels.host }}",
        "{{ . }}",
        "{{ $ }}",
        "{{ .Value | humanize }}",
        "{{ .Labels.job }}",
        "{{ $x }}",
        "{{ $x := .Labels }}",
        "{{ $x := $value }}",
        "{{ $labels = .Labels }}",
        "{{ with . }}",
        "{{ with .Labels }}",
        "{{ with $labels.host }}",
        "{{ range $labels }}",
        "{{ if $labels.none }}",
        "{{ if gt $value 1.0 }}",
        "{{ else }}",
        "{{ end }}",
        '{{ define "t" }}',
        '{{ template "t" . }}',
        '{{ template "t" $labels }}',
        '{{ tmpl "t" .Labels }}',
        '{{ printf "%v" $labels }}',
        "{{ (or .).Value }}",
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=9).map("".join))
def test_what_is_said_to_stay_stays_whatever_the_value(text: str) -> None:
    made = expander()
    if made.depends([text]) is not Depends.LABELS:
        return
    outcomes = set()
    for value in (0.0, 1.5, 7e9):
        try:
            outcomes.add(made.expand(text, made.data(METRIC, value)))
        except InvalidInput as error:
            outcomes.add(str(error))
    assert len(outcomes) == 1
