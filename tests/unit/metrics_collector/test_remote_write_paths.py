"""Whatever way a remote write request is read, quick or field by field, the outcome is one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from write_requests import SecondVersion as Built
from write_requests import chunk, figure, metadata, sample, series, varint

from tocsin.metrics_collector import remote_write_frames
from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.remote_write_decoder import Decoder
from tocsin.metrics_collector.remote_write_frames import NOWHERE, Frames, sample_places
from tocsin.metrics_collector.remote_write_metadata import last_said
from tocsin.metrics_collector.remote_write_template import Templates
from tocsin.metrics_collector.remote_write_v1 import FirstVersion, _any_label, _short_label
from tocsin.metrics_collector.remote_write_v2 import SecondVersion
from tocsin.metrics_collector.write_request import Request
from tocsin.model.errors import InvalidInput

NOW = 1_767_225_600_000
DEFAULTED = b"\x12\x07\x10"  # how a sample without its value begins
WHOLE = b"\x12\x10\x09"  # how one with a value begins

Outcome: TypeAlias = tuple[Any, ...] | str


class Exact(Decoder):
    """Reads every series field by field."""

    def guessed(self) -> None:
        return None

    def walked(self) -> Frames:
        found = super().walked()  # type: ignore[safe-super]  # the next class has it
        return Frames(found.starts, found.ends, np.full(len(found), NOWHERE, np.int64))


class ExactFirst(Exact, FirstVersion):
    """Version 1.0, field by field."""


class ExactSecond(Exact, SecondVersion):
    """Version 2.0, field by field."""


def outcome(decode: Callable[[], Request | None]) -> Outcome | None:
    try:
        found = decode()
    except InvalidInput as error:
        return str(error)
    if found is None:
        return None
    rows = found.samples
    labels = [found.labels[number] for number in rows.numbers.tolist()]
    counts = (found.exemplars, found.histograms, found.invalid, found.fault, found.received)
    bits = rows.values.view(np.uint64).tolist()
    return labels, rows.times.tolist(), bits, found.metadata, counts


def check(body: bytes, quick: type[Decoder], exact: type[Decoder], known: KnownSeries) -> None:
    expected = outcome(exact(body, KnownSeries()).decode)
    for _ in range(4):  # new, known, coming again, repeated
        assert outcome(quick(body, known).decode) == expected
    few = outcome(lambda: quick(body, known).decode_known(most_new=3))
    assert few in (None, expected)


VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 17.0]),
    st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("<d", raw)[0]),
    st.sampled_from([WHOLE, DEFAULTED]).map(
        lambda sign: struct.unpack("<d", b"\x01" + sign + b"\x10\x80\x80\x80")[0]
    ),
)
TIMES = st.one_of(
    st.integers(NOW, NOW + 60_000), st.sampled_from([0, -1, 2**35, 2**42 - 1, 2**42, 2**63 - 1])
)
TEXTS = st.sampled_from(
    ["a", "b", "job", "\t" + "x" * 15, "\x10" + "x" * 6, "ä" * 40, "y" * 130, "z" * 9000, ""]
)
LABELS = st.dictionaries(TEXTS, TEXTS, max_size=3)
NAMES = st.sampled_from(["up", "x_bucket", "x_sum", "x_total", ""])
POINTS = st.lists(st.tuples(TIMES, VALUES), max_size=3)
ONE = st.tuples(st.integers(NOW, NOW + 60_000), VALUES).map(lambda point: [point])


def point(ts_ms: int, value: float) -> bytes:
    """Return a sample as Prometheus writes it: a value of zero is left out."""
    return figure(2, ts_ms) if value == 0 else sample(ts_ms, value)


@st.composite
def first_series(draw: st.DrawFn) -> bytes:
    labels = {"__name__": draw(NAMES), **draw(LABELS)}
    parts = [chunk(1, chunk(1, n.encode()) + chunk(2, v.encode())) for n, v in labels.items()]
    parts += [chunk(2, point(*each)) for each in draw(ONE | ONE | ONE | POINTS)]
    if draw(st.integers(0, 9)) == 0:
        more = [chunk(3, figure(1, 1)), chunk(4, b""), figure(9, 1), chunk(1, b"")]
        parts = draw(st.permutations([*parts, draw(st.sampled_from(more))]))
    return chunk(1, b"".join(parts))


@settings(max_examples=100)
@given(st.lists(first_series(), max_size=6), st.data())
def test_version_1_is_read_alike_either_way(parts: list[bytes], data: st.DataObject) -> None:
    if data.draw(st.integers(0, 3)) == 0:
        parts = [*parts, metadata("up", 2, "Up.")]
    known = KnownSeries()
    check(b"".join(parts), FirstVersion, ExactFirst, known)
    check(bent(b"".join(parts), data), FirstVersion, ExactFirst, known)
    check(b"".join(reversed(parts)), FirstVersion, ExactFirst, known)


@given(TEXTS, TEXTS, st.data())
def test_a_short_label_is_read_like_any_other(name: str, value: str, data: st.DataObject) -> None:
    whole = chunk(1, name.encode()) + chunk(2, value.encode())
    for body in (whole, bent(whole, data)):
        short = _short_label(b"?" + body + b"?", 1, 1 + len(body))
        if short is not None:
            assert short == _any_label(body, 0, len(body))


DESCRIBED = st.none() | st.tuples(
    st.integers(0, 9), st.sampled_from(["", "Help.", "x" * 90]), st.sampled_from(["", "s"])
)


@st.composite
def second_request(draw: st.DrawFn) -> bytes:
    built = Built()
    for n in range(draw(st.sampled_from([0, 0, 0, 120, 300]))):
        built.ref(f"filler {n}")
    same = draw(DESCRIBED)
    odd = st.sampled_from([b"", b"", b"", b"", figure(1, 300), figure(9, 1), chunk(1, b"x")])
    for _ in range(draw(st.integers(0, 6))):
        refs = draw(LABELS)
        labels = {"__name__": draw(NAMES), **refs} if draw(st.booleans()) else {**refs, "Z": "1"}
        built.add_samples(
            labels,
            [point(*each) for each in draw(ONE | ONE | ONE | POINTS)],
            described=draw(st.just(same) | st.just(same) | DESCRIBED),
            unusual=draw(odd),
            more=draw(st.sampled_from([b""] * 12 + [chunk(3, b""), chunk(4, b""), figure(9, 1)])),
        )
    return built.built()


@settings(max_examples=100)
@given(second_request(), st.data())
def test_version_2_is_read_alike_either_way(body: bytes, data: st.DataObject) -> None:
    known = KnownSeries()
    check(body, SecondVersion, ExactSecond, known)
    check(bent(body, data), SecondVersion, ExactSecond, known)
    check(body, SecondVersion, ExactSecond, known)


def bent(body: bytes, data: st.DataObject) -> bytes:
    """Return `body` with a few bytes of its end changed, cut or added."""
    found = bytearray(body)
    for _ in range(data.draw(st.integers(0, 2)) if found else 0):
        at = data.draw(st.integers(max(0, len(found) - 60), len(found) - 1))
        found[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([0, 0, 0, 1, 9, 18]))
    return bytes(found[: len(found) - cut])


def usual(count: int, *, at: int = NOW, offset: int = 0) -> bytes:
    names = (f"m{(n + offset) % count}" for n in range(count))
    return b"".join(
        series({"__name__": name, "job": "a"}, (at, float(len(name)))) for name in names
    )


def test_known_series_are_read_at_once_and_a_few_new_ones_with_them() -> None:
    known = KnownSeries()
    assert FirstVersion(usual(50), known).decode_known(most_new=49) is None
    assert FirstVersion(usual(50), known).decode_known(most_new=50) is not None
    again = FirstVersion(usual(50, at=NOW + 1, offset=7), known)
    assert again.decode_known(most_new=0) is not None
    mixed = usual(50) + series({"__name__": "new"}, (NOW, 1.0))
    assert FirstVersion(mixed, known).decode_known(most_new=0) is None
    assert FirstVersion(usual(3) + metadata("up", 2, ""), known).decode_known(most_new=9) is None


@pytest.mark.parametrize("described", [None, (1, "Help.", "")])
def test_series_of_version_2_are_known_whatever_the_table_of_symbols(described: Any) -> None:
    known = KnownSeries()
    names = [f"m{n}" for n in range(200)]
    for order in (names, list(reversed(names)), names[50:] + names[:50]):
        built = Built()
        for name in order:
            built.add({"__name__": name, "job": "a"}, (NOW, 1.0), described=described)
        found = SecondVersion(built.built(), known).decode_known(most_new=200)
        assert found is not None
        labels = [found.labels[number]["__name__"] for number in found.samples.numbers.tolist()]
        assert labels == order
        assert len(found.metadata) == (200 if described else 0)
    assert len(known) == 200


def test_a_table_of_many_symbols_is_read_alike() -> None:
    built = Built()
    for n in range(17_000):
        built.ref(f"filler {n}")
    for n in range(40):
        built.add({"__name__": f"m{n}", "job": "a"}, (NOW, 1.0), described=(1, f"{n}", ""))
    check(built.built(), SecondVersion, ExactSecond, KnownSeries())


def repeated(body: bytes, known: KnownSeries) -> bool:
    """Tell whether a request is read by a template."""
    return known.templates.find(FirstVersion, body) is not None


def test_a_request_that_comes_again_is_read_by_its_template() -> None:
    known = KnownSeries()
    for n in range(3):
        assert not repeated(usual(50, at=NOW + n), known)
        FirstVersion(usual(50, at=NOW + n), known).decode()
    later = usual(50, at=NOW + 2**40)
    assert repeated(later, known)
    check(later, FirstVersion, ExactFirst, known)
    odd = bytearray(usual(50))
    odd[-20] ^= 1  # in the last label
    assert not repeated(bytes(odd), known)
    assert not repeated(later, known)  # it must come twice again


def test_requests_of_one_length_with_other_series_have_templates_of_their_own() -> None:
    known, bodies = KnownSeries(), [usual(50), usual(50, offset=25)]
    assert len(bodies[0]) == len(bodies[1])
    for _ in range(3):
        for body in bodies:
            FirstVersion(body, known).decode()
    assert all(repeated(body, known) for body in bodies)


@pytest.mark.parametrize("at", [1, 7, 60, -2, -1, -8, -17])
def test_a_request_that_differs_elsewhere_than_in_values_and_times_is_read_anew(at: int) -> None:
    known = KnownSeries()
    for _ in range(3):
        FirstVersion(usual(9), known).decode()
    bent_one = bytearray(usual(9))
    bent_one[at] ^= 0x80
    check(bytes(bent_one), FirstVersion, ExactFirst, known)


def test_a_version_knows_no_requests_of_the_other() -> None:
    known = KnownSeries()
    for _ in range(3):
        FirstVersion(usual(9), known).decode()
    assert known.templates.find(SecondVersion, usual(9)) is None


def test_what_is_kept_of_requests_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "tocsin.metrics_collector.remote_write_template"
    monkeypatch.setattr(f"{module}._MOST_SEEN", 2)
    monkeypatch.setattr(f"{module}._IDLE", 20)
    known = KnownSeries()
    known.templates = Templates(most_bytes=2 * len(usual(4)) + 2 * len(usual(5)) - 1)
    for count in (4, 5, 3):
        for _ in range(5):
            FirstVersion(usual(count), known).decode()
    assert [repeated(usual(count), known) for count in (3, 4, 5)] == [True, True, False]
    for _ in range(25):
        assert repeated(usual(3), known)
    for _ in range(3):
        FirstVersion(usual(5), known).decode()
    assert [repeated(usual(count), known) for count in (3, 4, 5)] == [True, False, True]
    known.templates.clear()
    assert not repeated(usual(5), known)


def test_samples_are_found_wherever_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    body = usual(40)
    whole = sample_places(body).tolist()
    assert len(whole) == 40
    monkeypatch.setattr(remote_write_frames, "_BLOCK", 7)
    assert sample_places(body).tolist() == whole
    assert sample_places(body, whole[3]).tolist() == whole[3:]
    assert sample_places(body, whole[3] + 1).tolist() == whole[4:]
    assert sample_places(b"").tolist() == sample_places(b"\x12\x07\x10").tolist() == []


def test_numbers_of_up_to_three_bytes_are_read_at_once() -> None:
    numbers = [[0, 1, 127], [128, 300, 16_383], [16_384, 2**21 - 1], [5], [2**14] * 3]
    texts = [b"".join(varint(each) for each in field) for field in numbers]
    ends = np.cumsum([len(text) for text in texts])
    begins = ends - [len(text) for text in texts]
    found = remote_write_frames.packed_numbers(b"".join(texts), begins, ends)
    assert found is not None
    bounds = found.bounds.tolist()
    read = [found.numbers[begin:end].tolist() for begin, end in pairwise(bounds)]
    assert read == numbers
    for broken in (varint(2**21), b"\x80"):
        one, all_of_it = np.array([0]), np.array([len(broken)])
        assert remote_write_frames.packed_numbers(broken, one, all_of_it) is None


def test_a_length_of_three_bytes_is_not_taken_for_one_of_two() -> None:
    label = chunk(1, chunk(1, b"__name__") + chunk(2, b"x" * 100))
    content = label + chunk(2, sample(NOW, 1.0))
    size = len(content)
    tail = b"\x12"  # what the longer length takes away from the sample
    body = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7 | 0x80, 0]) + content
    places = sample_places(body)
    ends = remote_write_frames.sample_ends(body, places)
    assert ends.tolist() == [len(body)]
    assert remote_write_frames.framed(body, 0, places, ends, tag=0x0A) is None
    assert remote_write_frames.framed(body + tail, 0, places, ends, tag=0x0A) is None
    check(body, FirstVersion, ExactFirst, KnownSeries())
    shorter = b"\x0a" + bytes([size - 1 & 0x7F | 0x80, size - 1 >> 7 | 0x80, 0]) + content
    check(shorter, FirstVersion, ExactFirst, KnownSeries())


def test_fields_of_a_series_are_told_by_tag_and_length() -> None:
    known = KnownSeries()
    labels = {f"l{n}": "v" for n in range(64)} | {"__name__": "up"}
    built = Built()
    body = built.add(labels, (NOW, 1.0)).built()
    check(body, SecondVersion, ExactSecond, known)
    refs = bytes(built.ref(text) for pair in labels.items() for text in pair)
    table = b"".join(chunk(4, text.encode()) for text in built.symbols)
    assert chunk(1, refs) in body
    # A field of 130 bytes whose length, were it 1 byte long, would leave the known references.
    overlapping = b"\x0a\x82\x01" + refs[1:] + chunk(2, sample(NOW, 1.0))
    check(table + chunk(5, overlapping), SecondVersion, ExactSecond, known)
    for number in (3, 4, 9):
        built = Built()
        for n in range(3):
            one = {"__name__": f"m{n}"}
            built.add_samples(one, [sample(NOW, 1.0)], more=chunk(number, b"xy"))
        check(built.built(), SecondVersion, ExactSecond, KnownSeries())


@pytest.mark.parametrize(
    "unusual",
    [figure(9, 1), chunk(1, b"x"), chunk(9, b"xyz"), b"\x80", figure(3, 2**28), figure(3, 99)],
)
def test_metadata_of_any_form_is_read_alike(unusual: bytes) -> None:
    known, built = KnownSeries(), Built()
    for n in range(3):
        built.add({"__name__": f"m{n}"}, (NOW, 1.0), described=(1, "Help.", "s"))
    check(built.built(), SecondVersion, ExactSecond, known)
    told = (1, "Help.", "s")
    built.series.clear()
    for n in range(3):
        labels, more = {"__name__": f"m{n}"}, unusual if n == 1 else b""
        built.add_samples(labels, [sample(NOW, 1.0)], described=told, unusual=more)
    check(built.built(), SecondVersion, ExactSecond, known)


def test_references_behind_the_table_are_refused_alike() -> None:
    known, built = KnownSeries(), Built()
    built.add({"__name__": "up"}, (NOW, 1.0))
    check(built.built(), SecondVersion, ExactSecond, known)
    check(
        Built().add({"__name__": "x" * 20_000}, (NOW, 1.0)).built(),
        SecondVersion,
        ExactSecond,
        known,
    )
    built.series.append(chunk(5, chunk(1, b"\x01\x07") + chunk(2, sample(NOW, 1.0))))
    check(built.built(), SecondVersion, ExactSecond, known)
    built.series[-1] = chunk(5, chunk(1, b"\x01\x82") + chunk(2, sample(NOW, 1.0)))
    check(built.built(), SecondVersion, ExactSecond, known)


def test_metadata_is_looked_at_again_where_any_byte_of_it_differs() -> None:
    texts = [b"\x08\x01", b"\x08\x01\x00", b"\x08\x01\x00", b"1" + b"x" * 8, b"2" + b"x" * 8]
    body = b"." * 8 + b"".join(texts)
    ends = 8 + np.cumsum([len(text) for text in texts])
    begins = ends - [len(text) for text in texts]
    same, other = np.zeros(5, np.int32), np.array([0, 0, 1, 1, 1], np.int32)
    assert last_said(body, begins, ends, same).tolist() == [0, 2, 3, 4]
    assert last_said(body, begins, ends, other).tolist() == [0, 1, 2, 3, 4]
    again = np.array([0, 1, 0, 1, 1], np.int32)
    twice = texts[0], texts[1], texts[0], texts[1], texts[0]
    ends = 8 + np.cumsum([len(text) for text in twice])
    begins = ends - [len(text) for text in twice]
    body = b"." * 8 + b"".join(twice)
    assert last_said(body, begins, ends, again).tolist() == [2, 3, 4]
