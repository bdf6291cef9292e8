"""Pages of the text format and of OpenMetrics give the samples their grammar says."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as om_families
from prometheus_client.parser import text_string_to_metric_families

from tocsin.metrics_collector.exposition import (
    PageParser,
    PageSamples,
    _any_line,
    _plain_line,
    parse_line,
    unescape,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata

PAGE = b"""\
# HELP http_requests_total Requests, by \\\\ and \\n code.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{method="post",code="400"}    3

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\F.TXT",error="No:\\n\\"F.TXT\\""} 1.458255915e9
# Minimalistic line:
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01", } 3102
rpc_duration_seconds_sum	1.7560473e+07
{"dotted.name",x="y"} -Inf
{"dotted.name","strange label"="z"} NaN 1395066363000
"""


def labels(name: str, /, **others: str) -> Labels:
    return Labels.of({"__name__": name, **others})


def read(page: bytes | str, **how: Any) -> list[tuple[Labels, float, int | None]]:
    parser = PageParser()
    return shown(parser, parser.parse(page.encode() if isinstance(page, str) else page, **how))


def shown(parser: PageParser, page: PageSamples) -> list[tuple[Labels, float, int | None]]:
    return [
        (parser.series[number], value, page.times.get(at))
        for at, (number, value) in enumerate(zip(page.numbers, page.values, strict=True))
    ]


def test_a_page_with_every_trap_of_the_text_format() -> None:
    found = read(PAGE)
    assert found[:-1] == [
        (labels("http_requests_total", method="post", code="200"), 1027, None),
        (labels("http_requests_total", method="post", code="400"), 3, None),
        (
            labels(
                "msdos_file_access_time_seconds",
                path="C:\\DIR\\F.TXT",
                error='No:\n"F.TXT"',
            ),
            1458255915,
            None,
        ),
        (labels("metric_without_timestamp_and_labels"), 12.47, None),
        (labels("something_weird", problem="division by zero"), math.inf, -3982045),
        (labels("rpc_duration_seconds", quantile="0.01"), 3102, None),
        (labels("rpc_duration_seconds_sum"), 17560473, None),
        (labels("dotted.name", x="y"), -math.inf, None),
    ]
    last, value, ts_ms = found[-1]
    assert last == labels("dotted.name", **{"strange label": "z"})
    assert math.isnan(value)
    assert ts_ms == 1395066363000


def test_a_second_scrape_of_the_page_gives_the_same_numbers() -> None:
    parser = PageParser()
    first, again = parser.parse(PAGE), parser.parse(PAGE.replace(b"1027", b"1028"))
    assert again.numbers == first.numbers
    assert again.values[0] == 1028
    assert again.times == first.times
    assert len(parser.series) == len(first.numbers)


def test_metadata_is_told_once_and_again_when_it_changes() -> None:
    parser = PageParser()
    assert parser.parse(PAGE).metadata == {
        "http_requests_total": Metadata("counter", "Requests, by \\ and \n code."),
        "rpc_duration_seconds": Metadata("summary"),
    }
    assert parser.parse(PAGE).metadata == {}
    changed = parser.parse(PAGE.replace(b"_total counter", b"_total untyped")).metadata
    assert changed["http_requests_total"].type == "unknown"


def test_after_forgetting_everything_is_new() -> None:
    parser = PageParser()
    parser.parse(PAGE)
    parser.forget()
    page = parser.parse(b"b 1\n" + PAGE)
    assert parser.series[page.numbers[0]] == labels("b")
    assert page.metadata


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a ",
        "a b",
        "a 1 2 3",
        "a 1 b",
        "a 1 1.5",
        "a 1_0",
        "a 1 1_0",
        "1a 1",
        "a-b 1",
        "a{ 1",
        'a{b="c" 1',
        'a{b="c"',
        'a{b="c"}',
        "a{b=c} 1",
        "a{b} 1",
        'a{="c"} 1',
        'a{b="c"d="e"} 1',
        'a{b="c",,d="e"} 1',
        'a{b="c",b="d"} 1',
        'a{"b"} 1',
        '{b="c"} 1',
        '{""} 1',
        '{"a",""="b"} 1',
        'a{__name__="b"} 1',
        'a{b="c\\"} 1',
        "{} 1",
        "a 1 99999999999999999999",
    ],
)
def test_a_malformed_line_fails_the_page_with_its_number(line: str) -> None:
    with pytest.raises(InvalidInput, match=r"^line 2: "):
        read(f"ok 1\n{line}\n")


def test_a_known_series_with_a_bad_value_fails_the_page() -> None:
    parser = PageParser()
    parser.parse(b"a 1\nb 1 5\n")
    for bad in (b"a x\n", b"a 1_0\n"):
        with pytest.raises(InvalidInput, match="line 1"):
            parser.parse(bad)
    with pytest.raises(InvalidInput, match="line 1"):
        parser.parse(b"b x 5\n")


@pytest.mark.parametrize("page", [b'a{b="\xff"} 1\n', b"# HELP a \xff\na 1\n"])
def test_text_that_is_not_utf8_fails_the_page(page: bytes) -> None:
    with pytest.raises(InvalidInput, match="line 1"):
        read(page)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a NaN", math.nan),
        ("a +Inf", math.inf),
        ("a -Inf", -math.inf),
        ("a -0", -0.0),
        ("a 1e3", 1000),
        ('a{b="c"}5', 5),
        ("a  7  ", 7),
        ("\ta 7", 7),
        ("a 7\r", 7),
    ],
)
def test_a_value_may_be_written_in_many_ways(line: str, value: float) -> None:
    [(found, number, ts_ms)] = read(line)
    assert found.value("__name__") == "a"
    assert (number == value and math.copysign(1, number) == math.copysign(1, value)) or (
        math.isnan(value) and math.isnan(number)
    )
    assert ts_ms is None


@pytest.mark.parametrize("line", ["a  7", 'a{b="c"}5', "a\t1", " a 1", "a 1 ", "a 1  5"])
def test_an_oddly_spaced_line_is_read_alike_at_every_scrape(line: str) -> None:
    parser = PageParser()
    first = shown(parser, parser.parse(line.encode()))
    assert shown(parser, parser.parse(line.encode())) == first


def test_a_line_may_gain_and_lose_its_time() -> None:
    parser = PageParser()
    seen = [shown(parser, parser.parse(page)) for page in (b"a 1 5", b"a 2", b"a 3 6")]
    assert seen == [[(labels("a"), 1, 5)], [(labels("a"), 2, None)], [(labels("a"), 3, 6)]]
    assert len(parser.series) == 1


def test_released_label_sets_are_gone_and_numbers_hold() -> None:
    parser = PageParser()
    first = parser.parse(b"a 1\n b 2\nc 3 # {} 1\n# EOF\n", openmetrics=True)
    parser.release()
    assert parser.series == [Labels()] * 3
    again = parser.parse(b"a 4\n b 5\nc 6 # {} 1\nc  7\n# EOF\n", openmetrics=True)
    assert again.numbers == [*first.numbers, 3]
    assert again.values.tolist() == [4, 5, 6, 7]
    assert parser.series[3] == labels("c")


def test_an_empty_label_value_is_no_label() -> None:
    assert parse_line('a{b="",c="d"} 1').labels == labels("a", c="d")


def test_a_series_spelt_in_two_orders_is_one_series() -> None:
    parser = PageParser()
    page = parser.parse(b'a{b="1",c="2"} 1\na{c="2",b="1"} 2\n')
    assert page.numbers == [0, 0]


def test_only_three_escapes_are_escapes() -> None:
    assert unescape(r"a\\b\nc\"d\te") == 'a\\b\nc"d\\te'


OPENMETRICS = b"""\
# TYPE foo_seconds histogram
# UNIT foo_seconds seconds
# HELP foo_seconds Says "foo".
foo_seconds_bucket{le="0.1"} 8 # {} 0.054
foo_seconds_bucket{le="1"} 10 # {trace_id="x # {y"} 0.67 1520879607.789
foo_seconds_bucket{le="+Inf",odd="a # {b\\"c"} 17
foo_seconds_count 17
foo_seconds_created 1520430000.123
# TYPE bar counter
bar_total 17.5 1520879607.789
# EOF
"""


def test_openmetrics_has_seconds_units_exemplars_and_an_end() -> None:
    parser = PageParser()
    page = parser.parse(OPENMETRICS, openmetrics=True)
    assert shown(parser, page) == [
        (labels("foo_seconds_bucket", le="0.1"), 8, None),
        (labels("foo_seconds_bucket", le="1"), 10, None),
        (labels("foo_seconds_bucket", le="+Inf", odd='a # {b"c'), 17, None),
        (labels("foo_seconds_count"), 17, None),
        (labels("foo_seconds_created"), 1520430000.123, None),
        (labels("bar_total"), 17.5, 1520879607789),
    ]
    assert page.exemplars == 2
    assert page.metadata["foo_seconds"] == Metadata("histogram", 'Says "foo".', "seconds")
    for _ in range(3):
        again = parser.parse(OPENMETRICS, openmetrics=True)
        assert (shown(parser, again), again.exemplars) == (shown(parser, page), 2)


@pytest.mark.parametrize("page", [b"a 1\n", b"# EOF\na 1\n", b"a 1# EOF\n", b""])
def test_an_openmetrics_page_without_its_end_was_cut(page: bytes) -> None:
    with pytest.raises(InvalidInput, match="EOF"):
        read(page, openmetrics=True)


def test_an_openmetrics_page_may_be_empty_or_lack_the_last_newline() -> None:
    assert read(b"# EOF", openmetrics=True) == []
    assert len(read(b"a 1\n# EOF", openmetrics=True)) == 1


def test_a_time_that_is_no_number_fails_an_openmetrics_page() -> None:
    with pytest.raises(InvalidInput, match="not a time"):
        read(b"a 1 NaN\n# EOF", openmetrics=True)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SAMPLES = st.dictionaries(TEXTS.filter(bool), st.floats(), max_size=6)


def _registry(samples: dict[str, float], help_text: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("g", help_text or "x", ["a", "b"], registry=registry)
    histogram = Histogram("h_seconds", "y", ["a"], registry=registry, buckets=(0.1, 1))
    for value, number in samples.items():
        gauge.labels(value, "const").set(number)
        histogram.labels(value).observe(0.5)
    return registry


def _same(ours: list[tuple[Labels, float, int | None]], families: Any) -> None:
    theirs = [
        (Labels.of({"__name__": sample.name, **sample.labels}), sample.value)
        for family in families
        for sample in family.samples
    ]
    assert [found for found, _, _ in ours] == [found for found, _ in theirs]
    for (_, value, _), (_, expected) in zip(ours, theirs, strict=True):
        assert value == expected or (math.isnan(value) and math.isnan(expected))


@given(SAMPLES, TEXTS)
def test_what_prometheus_client_writes_we_read_as_its_own_parser_does(
    samples: dict[str, float], help_text: str
) -> None:
    page = generate_latest(_registry(samples, help_text))
    _same(read(page), text_string_to_metric_families(page.decode()))


@given(SAMPLES, TEXTS)
def test_the_same_holds_for_openmetrics(samples: dict[str, float], help_text: str) -> None:
    page = openmetrics.generate_latest(_registry(samples, help_text))  # type: ignore[no-untyped-call]  # prometheus_client
    families = om_families(page.decode())  # type: ignore[no-untyped-call]  # prometheus_client
    _same(read(page, openmetrics=True), families)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_page_or_refused(page: bytes) -> None:
    try:
        read(page)
        read(page + b"\n# EOF", openmetrics=True)
    except InvalidInput:
        pass


PIECES = st.sampled_from(
    [
        "a",
        "b1",
        "{",
        "}",
        '"',
        ",",
        "=",
        " ",
        "  ",
        "\t",
        "1",
        "NaN",
        "-1",
        "\\",
        "\\n",
        "#",
        "x_total",
        "\n",
    ]
)


LINES = st.one_of(
    st.lists(PIECES, max_size=14).map("".join),
    st.from_regex(
        r'[ab:]{1,2}(\{(([ab_]|__name__)="[^"\n]?",?){0,3}\})?[ \t]{1,2}[0-9_.]{1,3}[ \r5]*'
    ),
)


@given(LINES.filter(lambda line: "\n" not in line))
def test_a_plain_line_is_read_like_any_other(line: str) -> None:
    try:
        plain = _plain_line(line)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            _any_line(line, openmetrics=False)
        return
    assert plain is None or str(plain) == str(_any_line(line, openmetrics=False))


@given(st.lists(PIECES, max_size=14).map("".join))
def test_a_page_is_read_alike_with_and_without_what_was_remembered(page: str) -> None:
    parser = PageParser()
    try:
        first = shown(parser, parser.parse(page.encode()))
    except InvalidInput:
        return
    again = shown(parser, parser.parse(page.encode()))
    assert str(again) == str(first)
