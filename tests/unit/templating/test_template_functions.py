"""The functions of Alertmanager's and of Prometheus' templates."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.templating.data import alert_data, rule_text
from tocsin.templating.engine import Budget, TemplateError, TemplateSet
from tocsin.templating.functions_alertmanager import alertmanager_functions
from tocsin.templating.functions_prometheus import QuerySample, prometheus_functions
from tocsin.templating.values import StringMap, Struct

NOW = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)


def answer(expr: str) -> Sequence[QuerySample]:
    if expr == "broken(":
        raise InvalidInput("1:8: parse error: unclosed left parenthesis")
    hosts = () if expr == "none" else ("b", "a", "c")
    return [
        QuerySample({"host": host, "__value__": f"v{host}"}, float(at))
        for at, host in enumerate(hosts)
    ]


AM = TemplateSet(alertmanager_functions(lambda: NOW), budget=Budget())
PROM = TemplateSet(
    prometheus_functions(query=answer, external_url="http://h:9090/prom"), budget=Budget()
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{{ title "hello wORLD it\'s foo_bar é" }}', "Hello World It's Foo_bar É"),
        ('{{ title "o\u2019neil a-b 3rd 1ABC __BAR_baz" }}', "O\u2019neil A-B 3Rd 1Abc __Bar_baz"),
        ('{{ title "h1.example.COM 1.5k a,b don\'\'t" }}', "H1.Example.com 1.5K A,B Don''T"),
        ('{{ trimSpace " \\t a b \\n" }}|', "a b|"),
        ('{{ urlUnescape "a%20b+c%C3%A9" }}', "a b cé"),
        ('{{ date "2006-01-02" . }}', "2026-02-28"),
        ('{{ (tz "Europe/Paris" .).Format "15:04 MST" }}', "23:30 CET"),
        ('{{ (tz "" .).Format "15:04 MST" }}', "22:30 UTC"),
        ("{{ now }}", "2026-03-01 09:05:07 +0000 UTC"),
        ("{{ since . }}", "10h35m7s"),
        ("{{ since . | humanizeDuration }}", "10h 35m 7s"),
        ("{{ humanizeDuration 0.025 }}", "25ms"),
        ('{{ humanizeDuration "90" }}', "1m 30s"),
        ('{{ (toDate "2006-01-02" "2020-02-29").Unix }}', "1582934400"),
        ('{{ (toDate "2006-01-02" "never").IsZero }}', "true"),
        ('{{ (mustToDate "15:04" "23:59").Hour }}', "23"),
        ('{{ toJson (dict "b" 1 "a" (list "x<y" nil true 1.5)) }}',
         '{"a":["x\\u003cy",null,true,1.5],"b":1}'),
        ("{{ toJson . }}", '"2026-02-28T22:30:00Z"'),
        ("{{ toJson 0.00001 }} {{ toJson 0.0000001 }} {{ toJson 1e25 }} {{ toJson 123.25 }}",
         "0.00001 1e-7 1e+25 123.25"),
        ('{{ base64encode "a?>é" }} {{ base64decode "YT8-w6k=" }}', "YT8-w6k= a?>é"),
        ("{{ append (list 1) 2 3 }} {{ len (list) }}", "[1 2 3] 0"),
        ('{{ (dict "k" "v").k }} {{ (dict).k }}', "v <no value>"),
        ("{{ routeLabels }}", "map[]"),
        ('{{ safeUrl "x" }}{{ safeHtml "<" }}', "x<"),
        ("{{ printf `%T` (safeHtml `a`) }}", "template.HTML"),
    ],
)  # fmt: skip
def test_alertmanager_functions(text: str, shown: str) -> None:
    at = datetime(2026, 2, 28, 22, 30, tzinfo=UTC)
    assert AM.render(text, at) == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{ urlUnescape "%zz" }}', 'invalid URL escape "%zz"'.replace('"', "'")),
        ('{{ tz "Mars/Base" now }}', "unknown time zone Mars/Base"),
        ('{{ tz "../../etc/passwd" now }}', "unknown time zone"),
        ('{{ mustToDate "2006" "x" }}', "cannot parse time 'x'"),
        ('{{ base64decode "***" }}', "illegal base64 data"),
        ('{{ dict "a" }}', "even number of arguments"),
        ("{{ dict 1 2 }}", "dict keys must be strings, got int"),
        ("{{ dict nil 2 }}", "dict keys must be strings, got <nil>"),
        ('{{ join "," (list 1) }}', "expected string; got int"),
        ('{{ match "(" "" }}', "bad regular expression '('"),
        ('{{ match (printf "%2000s" "") "" }}', "longer than 1000 characters"),
        ('{{ match "(a{1000}){1000}" "" }}', "bad regular expression"),
        ("{{ toUpper (safeHtml `a`) }}", "expected string; got template.HTML"),
        ("{{ humanizeDuration `x` }}", "'x' is not a number"),
        ("{{ humanizeDuration true }}", "can't convert bool to float"),
    ],
)
def test_alertmanager_functions_refuse(text: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        AM.render(text, None)
    assert reason in str(caught.value)


def test_route_labels_come_from_the_notification() -> None:
    data = Struct("data", {"RouteLabels": StringMap({"team": "db"})})
    assert AM.render("{{ routeLabels.team }}{{ (routeLabels).zz }}", data) == "db"
    assert AM.render("{{ routeLabels }}", Struct("data", {})) == "map[]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ range query `up` }}{{ .Labels.host }}={{ .Value }} {{ end }}", "b=0 a=1 c=2 "),
        ("{{ with query `up` | first }}{{ . | label `host` }} {{ . | value }}{{ end }}", "b 0"),
        ("{{ range query `up` | sortByLabel `host` }}{{ label `host` . }}{{ end }}", "abc"),
        ("{{ query `up` | first | strvalue }}|{{ query `up` | first | label `zz` }}", "vb|"),
        ("{{ humanize 1234567.0 }} {{ humanize 0.0 }} {{ humanize 0.0123 }} {{ humanize -1e9 }}",
         "1.235M 0 12.3m -1G"),
        ("{{ humanize 1e30 }} {{ humanize 1e-30 }} {{ humanize `NaN` }} {{ humanize `+Inf` }}",
         "1e+06Y 1e-06y NaN +Inf"),
        ("{{ humanize `-Inf` }} {{ humanize 999.99 }} {{ humanize 5 }}", "-Inf 1000 5"),
        ("{{ humanize1024 1048576 }} {{ humanize1024 1.0 }} {{ humanize1024 1536 }} "
         "{{ humanize1024 `NaN` }} {{ humanize1024 0.5 }}", "1Mi 1 1.5ki NaN 0.5"),
        ("{{ humanizeDuration 0 }} {{ humanizeDuration 1 }} {{ humanizeDuration 61.5 }} "
         "{{ humanizeDuration 3661 }} {{ humanizeDuration 90061 }} {{ humanizeDuration -3661 }} "
         "{{ humanizeDuration 1.2345678 }} {{ humanizeDuration -0.5 }}",
         "0s 1s 1m 1s 1h 1m 1s 1d 1h 1m 1s -1h 1m 1s 1.235s -500ms"),
        ("{{ humanizeDuration `Inf` }}", "+Inf"),
        ("{{ humanizePercentage 0.12345 }} {{ humanizePercentage 1 }}", "12.35% 100%"),
        ("{{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp `NaN` }}",
         "2015-06-23 13:19:44.128 +0000 UTC NaN"),
        ("{{ (toTime 1435065584.128).Year }}", "2015"),
        ("{{ title `aa bB it's` }} {{ toUpper `a` }} {{ toLower `B` }}", "Aa BB It'S A b"),
        ("{{ stripPort `h:80` }} {{ stripPort `h` }} {{ stripPort `[::1]:80` }}", "h h ::1"),
        ("{{ stripPort `a:b:c` }}", "a:b:c"),
        ("{{ stripDomain `h.example.com:80` }} {{ stripDomain `h.example.com` }} "
         "{{ stripDomain `1.2.3.4:80` }} {{ stripDomain `[::1]:80` }} {{ stripDomain `h` }}",
         "h:80 h 1.2.3.4:80 [::1]:80 h"),
        ("{{ match `a.` `xab` }} {{ reReplaceAll `a(.)` `$1` `abac` }}", "true bc"),
        ("{{ graphLink `up > 0` }} {{ tableLink `a+b` }}",
         "/graph?g0.expr=up+%3E+0&g0.tab=0 /graph?g0.expr=a%2Bb&g0.tab=1"),
        ("{{ parseDuration `1h30m` }} {{ parseDuration `-5s` }}", "5400 -5"),
        ("{{ externalURL }} {{ pathPrefix }}", "http://h:9090/prom /prom"),
        ("{{ (args 1 `b`).arg1 }}", "b"),
        ("{{ define `t` }}<{{ .arg0 }}>{{ end }}{{ tmpl `t` (args 7) }}", "<7>"),
        ("{{ safeHtml `<b>` }}", "<b>"),
    ],
)  # fmt: skip
def test_prometheus_functions(text: str, shown: str) -> None:
    assert PROM.render(text, None) == shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ query `broken(` }}", "error calling query: 1:8: parse error"),
        ("{{ query `none` | first }}", "first() called on vector with no elements"),
        ("{{ value 1 }}", "expected a sample; got int"),
        ("{{ parseDuration `soon` }}", "not a valid duration"),
        ("{{ humanizeTimestamp 1e12 }}", "cannot be represented"),
        ("{{ toTime `Inf` }}", "cannot be represented"),
        ("{{ tmpl `gone` 1 }}", "template 'gone' not defined"),
    ],
)
def test_prometheus_functions_refuse(text: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        PROM.render(text, None)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ $labels.job }} {{ $labels.zz }}|{{ .Labels.job }}", "api |api"),
        ("{{ $value }} {{ .Value }} {{ $value | humanize }}", "1.5e+06 1.5e+06 1.5M"),
        ("{{ $externalLabels.cluster }} {{ $externalURL }}", "eu http://h"),
        ("{{ if gt $value 1.0 }}high{{ end }}", "high"),
        ('{{ printf "%.2f" $value }}', "1500000.00"),
        ("no action $value", "no action $value"),
        ("{{ $labels }}", "map[instance:h1 job:api]"),
    ],
)
def test_rule_templates_see_labels_and_value(text: str, shown: str) -> None:
    labels = {"job": "api", "instance": "h1"}
    data = alert_data(labels, {"cluster": "eu"}, "http://h", 1_500_000)
    assert PROM.render(rule_text(text), data) == shown


def test_nan_is_above_anything_and_below_nothing_as_in_go() -> None:
    text = "{{ gt $value 1.0 }} {{ ge $value 1.0 }} {{ lt $value 1.0 }} {{ le $value 1.0 }}"
    nan = alert_data({}, {}, "", float("nan"))
    assert PROM.render(rule_text(text), nan) == "true true false false"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (100000.0, "100000"),
        (1e6, "1e+06"),
        (1e-5, "1e-05"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
        (95.49999999, "95.49999999"),
    ],
)
def test_value_prints_as_go_prints_a_float(value: float, shown: str) -> None:
    assert PROM.render(rule_text("{{ $value }}"), alert_data({}, {}, "", value)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ .t.Format `MST -07:00` }}", "CET +01:00"),
        ("{{ .t.Local }} {{ .t.UnixNano }} {{ .t.UnixMicro }}",
         "2026-03-01 08:00:00 +0000 UTC 1772352000000000000 1772352000000000"),
        ("{{ .t.String }} {{ .t.Minute }} {{ .t.Weekday }}",
         "2026-03-01 09:00:00 +0100 CET 0 Sunday"),
        ("{{ .d.Abs }} {{ .d.Microseconds }} {{ .d.Nanoseconds }}", "1.5s -1500000 -1500000000"),
        ("{{ .u }} {{ .v }}", "7µs 1.5ms"),
    ],
)  # fmt: skip
def test_methods_of_times_and_durations(text: str, shown: str) -> None:
    data = {
        "t": datetime(2026, 3, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")),
        "d": timedelta(seconds=-1.5),
        "u": timedelta(microseconds=7),
        "v": timedelta(microseconds=1500),
    }
    assert AM.render(text, data) == shown
