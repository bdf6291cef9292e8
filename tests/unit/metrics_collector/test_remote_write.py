"""Requests of both versions become label sets, times and values; hostile bytes an InvalidInput."""

from __future__ import annotations

import struct
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from write_requests import (
    SecondVersion,
    chunk,
    figure,
    metadata,
    packed,
    sample,
    series,
    varint,
)

from tocsin.metrics_collector import write_request
from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.remote_write import LARGEST, Version, decoder, decompressed
from tocsin.metrics_collector.write_request import Request
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import STALE, STALE_BITS, Metadata

NOW = 1_767_225_600_000
UP = {"__name__": "up", "job": "a"}

# WriteRequest{timeseries: [{labels: [__name__=up], samples: [{1.5, 1767225600000}]}]}, by hand.
GOLDEN_V1 = bytes.fromhex(
    "0a22"
    "0a0e" + "0a08" + b"__name__".hex() + "1202" + b"up".hex() +
    "1210" + "09" + "000000000000f83f" + "10" + "80d0eab6b733"
)  # fmt: skip
# Request{symbols: ["", "__name__", "up"], timeseries: [{refs: 1, 2; samples: [{1.5, 0}]}]}.
GOLDEN_V2 = bytes.fromhex(
    "2200" + "2208" + b"__name__".hex() + "2202" + b"up".hex() +
    "2a0f" + "0a020102" + "1209" + "09" + "000000000000f83f"
)  # fmt: skip

Told = list[tuple[dict[str, str], list[tuple[int, float]]]]


def v1(*parts: bytes, known: KnownSeries | None = None) -> Request:
    return decode(b"".join(parts), Version.V1, KnownSeries() if known is None else known)


def v2(built: SecondVersion, known: KnownSeries | None = None) -> Request:
    return decode(built.built(), Version.V2, KnownSeries() if known is None else known)


def decode(body: bytes, version: Version, known: KnownSeries) -> Request:
    return decoder(body, version, known).decode()


def told(request: Request) -> Told:
    """Return label sets with their samples, in the order of the request."""
    found = request.samples
    rows = zip(found.numbers.tolist(), found.times.tolist(), found.values.tolist(), strict=True)
    return [
        (dict(request.labels[number]), [(ts_ms, value) for _, ts_ms, value in run])
        for number, run in groupby(rows, key=itemgetter(0))
    ]


def test_the_bytes_of_the_specification_are_read() -> None:
    assert told(v1(GOLDEN_V1)) == [({"__name__": "up"}, [(NOW, 1.5)])]
    found = decode(GOLDEN_V2, Version.V2, KnownSeries())
    assert told(found) == [({"__name__": "up"}, [(0, 1.5)])]


@pytest.mark.parametrize("points", [[(NOW, 1.0)], [(NOW, 1.0), (NOW + 1, 2.0)], [(-5, 3.0)], []])
def test_a_series_known_reads_as_one_seen_first(points: list[tuple[int, float]]) -> None:
    known = KnownSeries()
    parts = [series(UP, *points), series({"__name__": "x"}, (NOW, 7.0))]
    first = told(v1(*parts, known=known))
    assert told(v1(*parts, known=known)) == first
    built = SecondVersion().add(UP, *points).add({"__name__": "x"}, (NOW, 7.0))
    assert told(v2(built, known)) == told(v2(built, known)) == first


def test_a_series_known_is_the_same_label_set_object() -> None:
    known = KnownSeries()
    one, two = (v1(series(UP, (NOW, 1.0)), known=known) for _ in range(2))
    assert one.labels[one.samples.numbers[0]] is two.labels[two.samples.numbers[0]]


def test_values_keep_every_bit() -> None:
    patterns = [STALE_BITS, 0x7FF8000000000001, 0x8000000000000000, 0xFFF0000000000000]
    values = [struct.unpack("<d", struct.pack("<Q", each))[0] for each in patterns]
    known = KnownSeries()
    for _ in range(2):
        found = v1(*[series(UP, (NOW + i, v)) for i, v in enumerate(values)], known=known)
        assert found.samples.values.view(np.uint64).tolist() == patterns
    both = v2(SecondVersion().add(UP, (1, STALE), (2, 1.0))).samples
    assert both.values.view(np.uint64)[0] == STALE_BITS


def test_times_that_go_back_stay_where_they_are() -> None:
    points = [(1, 1.0), (5, 2.0), (3, 3.0), (3, 4.0), (9, 5.0)]
    found = v1(series(UP, *points))
    assert [times for _, times in told(found)] == [points]
    assert found.received == 5


def test_labels_are_sorted_and_empty_values_are_absent() -> None:
    found = v1(series({"z": "1", "a": "", "__name__": "up"}, (1, 1.0)))
    assert list(found.labels) == [Labels.of({"__name__": "up", "z": "1"})]


def test_the_order_of_the_request_is_kept() -> None:
    known = KnownSeries()
    v1(series(UP, (NOW, 1.0)), known=known)
    found = v1(
        series(UP, (NOW + 9, 1.0)),
        series({"__name__": "new"}, (NOW, 2.0)),
        series(UP, (1, 3.0), (2, 3.0)),
        known=known,
    )
    assert [points[0][0] for _, points in told(found)] == [NOW + 9, NOW, 1]


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ({"job": "a"}, "metric name"),
        ({}, "metric name"),
        ({"__name__": "up", "": "x"}, "no name"),
    ],
)
def test_samples_of_no_proper_series_are_counted_and_others_read(
    labels: dict[str, str], fault: str
) -> None:
    found = v1(series(labels, (1, 1.0), (2, 1.0)), series(UP, (1, 1.0)))
    assert (found.invalid, len(found.samples)) == (2, 1)
    assert fault in found.fault
    second = v2(SecondVersion().add(labels, (1, 1.0)).add(UP, (1, 1.0)))
    assert (second.invalid, len(second.samples)) == (1, 1)


def test_a_label_twice_and_a_label_that_is_not_utf8_are_invalid() -> None:
    name = chunk(1, chunk(1, b"__name__") + chunk(2, b"up"))
    twice = chunk(1, name + name + chunk(2, sample(1, 1.0)))
    broken = chunk(1, name + chunk(1, chunk(1, b"a") + chunk(2, b"\xff")) + chunk(2, sample(1, 1)))
    found = v1(twice, broken)
    assert (found.invalid, told(found), found.fault) == (2, [], "a label name stands there twice")
    assert "UTF-8" in v1(broken).fault


def test_metadata_exemplars_and_histograms_are_told() -> None:
    found = v1(
        metadata("up", 2, "Whether it is up."),
        metadata("x_seconds", 3, "X", "seconds"),
        metadata("", 1, "nothing"),
        metadata("odd", 99, ""),
        series(UP, (1, 1.0), exemplars=2, histograms=3),
    )
    assert (found.exemplars, found.histograms) == (2, 3)
    assert found.metadata == {
        "up": Metadata("gauge", "Whether it is up.", ""),
        "x_seconds": Metadata("histogram", "X", "seconds"),
        "odd": Metadata("unknown", "", ""),
    }


def test_metadata_of_a_series_is_that_of_its_family() -> None:
    built = SecondVersion()
    built.add({"__name__": "x_bucket"}, (1, 1.0), described=(3, "X", "s"), exemplars=1)
    built.add({"__name__": "y_sum"}, (1, 1.0), described=(5, "Y", ""), histograms=1)
    built.add({"__name__": "z_total"}, (1, 1.0), described=(1, "Z", ""))
    built.add({"__name__": "bare"}, (1, 1.0), described=(0, "", ""))
    found = v2(built)
    assert found.metadata == {
        "x": Metadata("histogram", "X", "s"),
        "y": Metadata("summary", "Y", ""),
        "z_total": Metadata("counter", "Z", ""),
    }
    assert (found.exemplars, found.histograms) == (1, 1)


@pytest.mark.parametrize("size", [0, 60, 120, 130, 16_000, 17_000])
def test_series_of_any_length_follow_each_other(size: int) -> None:
    known = KnownSeries()
    parts = [series({**UP, "a": "x" * size, "n": str(n)}, (NOW, float(n))) for n in range(3)]
    for _ in range(2):
        found = told(v1(metadata("up", 2, ""), *parts, metadata("m", 1, ""), *parts, known=known))
        assert [points for _, points in found] == [[(NOW, float(n % 3))] for n in range(6)]


def test_unknown_fields_are_passed_over() -> None:
    odd = figure(9, 5) + chunk(10, b"x") + varint(11 << 3 | 5) + b"1234"
    inner = series(UP, (1, 1.0))[2:] + odd
    assert told(v1(odd, chunk(1, inner))) == [(UP, [(1, 1.0)])]


def test_labels_behind_samples_are_read_and_not_remembered() -> None:
    known = KnownSeries()
    name = chunk(1, chunk(1, b"__name__") + chunk(2, b"up"))
    late = chunk(1, chunk(1, b"job") + chunk(2, b"a"))
    assert told(v1(chunk(1, name + chunk(2, sample(1, 1.0)) + late), known=known)) == [
        (UP, [(1, 1.0)])
    ]
    assert len(known) == 0


def test_references_may_stand_one_by_one() -> None:
    built = SecondVersion()
    refs = b"".join(figure(1, built.ref(text)) for text in ("__name__", "up"))
    built.series.append(chunk(5, refs + chunk(2, sample(1, 1.0))))
    assert told(v2(built)) == [({"__name__": "up"}, [(1, 1.0)])]


BROKEN_V1 = {
    "a length behind the end": b"\x0a\x7f\x00",
    "a huge length": b"\x0a" + varint(2**63) + b"x",
    "a number that does not end": b"\x0a" + b"\xff" * 12,
    "a cut tag": b"\x80",
    "field number 0": b"\x00\x00",
    "a group": b"\x0b\x0c",
    "wire type 7": b"\x0f",
    "a cut double": chunk(1, chunk(2, b"\x09\x00")),
    "a series that is a number": figure(1, 1),
    "metadata that is a number": figure(3, 1),
    "a label that is a number": chunk(1, figure(1, 1)),
    "a name that is a number": chunk(1, chunk(1, figure(1, 1))),
    "samples that are a number": chunk(1, figure(2, 1)),
    "a value that is a number": chunk(1, chunk(2, figure(1, 1))),
    "a time that is bytes": chunk(1, chunk(2, chunk(2, b"x"))),
    "a label longer than its series": chunk(1, b"\x0a\x09ab"),
    "a type that is bytes": chunk(3, chunk(1, b"x")),
    "a help that is a number": chunk(3, figure(4, 1)),
}
BROKEN_V2 = {
    "a reference to nothing": chunk(5, chunk(1, varint(7) * 2)),
    "an odd number of references": chunk(4, b"") + chunk(5, chunk(1, b"\x00")),
    "a first symbol with text": chunk(4, b"x"),
    "a symbol that is a number": figure(4, 1),
    "references that are a double": chunk(5, b"\x09" + bytes(8)),
    "cut references": chunk(5, chunk(1, b"\x80")),
    "samples that are a number": chunk(5, figure(2, 1)),
    "a help that is no reference": SecondVersion().add(UP, (1, 1.0)).built()
    + chunk(5, chunk(1, b"\x01\x02") + chunk(5, figure(3, 99))),
}


@pytest.mark.parametrize("body", BROKEN_V1.values(), ids=BROKEN_V1)
def test_a_broken_request_of_version_1_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        v1(body)


@pytest.mark.parametrize("body", BROKEN_V2.values(), ids=BROKEN_V2)
def test_a_broken_request_of_version_2_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(body, Version.V2, KnownSeries())


@pytest.mark.parametrize("limit", ["MOST_SERIES", "MOST_SAMPLES", "MOST_LABELS"])
@pytest.mark.parametrize("version", Version)
def test_too_much_in_one_request_is_refused(
    limit: str, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("remote_write_v1", "remote_write_v2", "write_request"):
        monkeypatch.setattr(f"tocsin.metrics_collector.{module}.{limit}", 1)
    labels = {"__name__": "up", "a": "1", "b": "2"}
    one = series(labels, (NOW, 1.0), (NOW + 1, 1.0))
    built = SecondVersion().add(labels, (1, 1.0), (2, 1.0)).add(UP, (1, 1.0))
    body = one + one if version is Version.V1 else built.built()
    with pytest.raises(InvalidInput, match="send less at once"):
        decode(body, version, KnownSeries())


@pytest.mark.parametrize("version", Version)
def test_too_much_to_read_is_refused(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_request, "MOST_FIELDS", 3)
    one = {"__name__": "up"}
    body = SecondVersion().add(one, (1, 1.0)).add(one).built()
    if version is Version.V1:
        body = series(one, (1, 1.0)) + series(UP, (1, 1.0))
    with pytest.raises(InvalidInput, match="fields"):
        decode(body, version, KnownSeries())


def test_a_sample_of_many_fields_is_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 8 fields"):
        v1(chunk(1, chunk(2, figure(3, 1) * 9)))


def test_too_many_symbols_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.metrics_collector.remote_write_v2.MOST_SYMBOLS", 2)
    with pytest.raises(InvalidInput, match="symbols"):
        v2(SecondVersion().add(UP))


def test_known_samples_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownSeries()
    parts = [series(UP, (NOW, 1.0)), series(UP, (NOW + 1, 1.0))]
    v1(*parts, known=known)
    monkeypatch.setattr(write_request, "MOST_SAMPLES", 1)
    with pytest.raises(InvalidInput, match="samples"):
        v1(*parts, known=known)


def test_a_snappy_block_is_unpacked() -> None:
    assert decompressed(packed(b"abc" * 99)) == b"abc" * 99
    assert decompressed(b"\x00") == b""


@pytest.mark.parametrize(
    "body",
    [b"", b"\x05", b"\xac\x02\x00", b"\xff" * 9, packed(b"abc" * 99)[:-2], b"sNaPpY stream"],
)
def test_what_is_no_snappy_block_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"snappy|more than"):
        decompressed(body)


@pytest.mark.parametrize("size", [LARGEST + 1, 2**32 - 1])
def test_a_block_that_says_it_is_huge_is_refused_before_memory_is_taken(size: int) -> None:
    with pytest.raises(InvalidInput, match="more than"):
        decompressed(varint(size) + b"\x00a")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
LABELS: Any = st.dictionaries(TEXTS, TEXTS, max_size=4).map(lambda d: {**d, "__name__": "m"})
POINTS = st.lists(
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
    unique_by=lambda p: p[0],
).map(sorted)


@given(st.lists(st.tuples(LABELS, POINTS), max_size=5))
def test_whatever_is_written_is_read(given_series: list[tuple[dict[str, str], Any]]) -> None:
    expected = [
        (dict(sorted(labels.items())), point) for labels, points in given_series for point in points
    ]
    known, built = KnownSeries(), SecondVersion()
    for labels, points in given_series:
        built.add(labels, *points)
    for _ in range(2):
        first = v1(*[series(s, *p) for s, p in given_series], known=known)
        for found in (first, v2(built, known)):
            rows = [(labels, point) for labels, points in told(found) for point in points]
            assert rows == expected


SEEDS = [GOLDEN_V1 * 2, GOLDEN_V2, *BROKEN_V1.values(), *BROKEN_V2.values()]


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.sampled_from(SEEDS), st.data(), st.sampled_from(Version))
def test_no_bytes_end_in_another_error(body: bytes, data: st.DataObject, version: Version) -> None:
    bent = bytearray(body)
    for _ in range(data.draw(st.integers(0, 3)) if bent else 0):
        bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
    known = KnownSeries()
    decode(GOLDEN_V1, Version.V1, known)
    cold = outcome(bytes(bent), version, KnownSeries())
    assert outcome(bytes(bent), version, known) == cold
    outcome(decompressed(packed(bytes(bent))), version, known)


def outcome(body: bytes, version: Version, known: KnownSeries) -> str:
    try:
        found = decode(body, version, known)
    except InvalidInput:
        return "refused"
    counts = (found.exemplars, found.histograms, found.invalid, found.fault, found.received)
    return repr((told(found), found.metadata, counts))
