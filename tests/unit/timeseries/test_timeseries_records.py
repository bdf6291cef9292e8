"""Log bytes: frames are read as far as they are right, records keep every bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.timeseries import records
from tocsin.timeseries.encoder import SegmentEncoder
from tocsin.timeseries.frames import pack_frame, read_frames
from tocsin.timeseries.records import BadRecord, Packer, RecordType

PACKER = Packer()
bits = npst.arrays(np.uint64, st.integers(0, 60), elements=st.integers(0, 2**64 - 1))
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


def frames_of(data: bytes) -> list[tuple[int, int, bytes]]:
    return [(f.seq, f.type, bytes(f.payload)) for f in read_frames(memoryview(data))]


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=5), st.data())
def test_a_cut_costs_the_frame_it_goes_through_and_those_behind(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    first = data.draw(st.sampled_from([0, 7, 2**32 - 2]))
    packed = [pack_frame(first + i, kind, body) for i, (kind, body) in enumerate(frames)]
    whole = b"".join(packed)
    cut = data.draw(st.integers(0, len(whole)))
    ends = np.cumsum([len(each) for each in packed]).tolist()
    kept = sum(end <= cut for end in ends)
    expected = [((first + i) % 2**32, *frame) for i, frame in enumerate(frames[:kept])]
    assert frames_of(whole[:cut]) == expected


@given(st.integers(0, 100), st.integers(0, 7))
def test_a_flipped_bit_ends_the_reading(position: int, bit: int) -> None:
    data = bytearray(b"".join(pack_frame(i, 3, b"x" * 21) for i in range(3)))
    data[position] ^= 1 << bit
    kept = position // 34
    assert frames_of(bytes(data)) == [(i, 3, b"x" * 21) for i in range(kept)]


def test_zeros_that_a_file_system_left_are_no_frames() -> None:
    assert frames_of(pack_frame(0, 1, b"a") + bytes(64)) == [(0, 1, b"a")]


def test_a_frame_out_of_sequence_ends_the_reading() -> None:
    assert frames_of(pack_frame(4, 1, b"a") + pack_frame(6, 1, b"b")) == [(4, 1, b"a")]


@given(bits)
def test_bit_patterns_survive_packing(numbers: records.Bits) -> None:
    assert PACKER.bits(memoryview(PACKER.pack(numbers))).tolist() == numbers.tolist()


@given(npst.arrays(np.uint32, st.integers(0, 60), elements=st.integers(0, 2**32 - 1)))
def test_refs_survive_packing_in_any_order(refs: records.Refs) -> None:
    assert PACKER.refs(memoryview(PACKER.pack_refs(refs))).tolist() == refs.tolist()


@given(st.lists(st.dictionaries(texts, texts, max_size=4).map(Labels.of), max_size=20))
def test_label_sets_survive_and_share_their_texts(label_sets: list[Labels]) -> None:
    payload = memoryview(records.series(label_sets, PACKER))
    strings: dict[str, str] = {}
    found = records.read_series(payload, PACKER, strings)
    assert found == label_sets
    for labels in found:
        assert all(strings[text] is text for pair in labels.pairs for text in pair)


@given(texts | st.just("\ud800"), st.integers(0, 2**32 - 1))
def test_a_layout_survives_whatever_its_group_is_called(name: str, ref: int) -> None:
    refs = np.array([5, 3, 9], np.uint32)
    found = records.read_layout(memoryview(records.layout(ref, name, refs, PACKER)), PACKER)
    assert (found[0], found[1], found[2].tolist()) == (ref, name, [5, 3, 9])


@given(st.integers(-(2**62), 2**62), bits)
def test_a_row_survives(ts_ms: int, change: records.Bits) -> None:
    found = records.open_row(memoryview(records.row(7, ts_ms, change, PACKER)), PACKER)
    assert found[:2] == (7, ts_ms)
    rows = records.row_bits([found[2], found[2]], len(change))
    assert rows.tolist() == [change.tolist()] * 2


@given(bits.filter(len), st.data())
def test_free_samples_survive(values: records.Bits, data: st.DataObject) -> None:
    n = len(values)
    times = np.array(data.draw(st.lists(st.integers(-(2**62), 2**62), min_size=n, max_size=n)))
    refs = np.arange(n, dtype=np.uint32)[::-1]
    payload = records.changes(refs, times, values, PACKER)
    found = records.read_changes(memoryview(payload), PACKER)
    assert found[0].tolist() == refs.tolist()
    assert found[1].tolist() == times.tolist()
    assert found[2].tolist() == values.tolist()
    change = values.copy()
    change[1:] ^= values[:-1]
    payload = records.changes(refs, times, change, PACKER)
    assert records.read_samples(memoryview(payload), PACKER)[2].tolist() == values.tolist()


def test_metadata_survives() -> None:
    entries = [("up", Metadata("gauge", "Is it up?", "")), ("é", Metadata())]
    assert records.read_metadata(memoryview(records.metadata(entries))) == entries


def test_a_segment_of_another_tenant_or_format_is_not_read() -> None:
    good = records.header(TenantId("a"))
    records.check_header(memoryview(good), TenantId("a"))
    for bad in (records.header(TenantId("b")), b"\x02a", b""):
        with pytest.raises(BadRecord, match="tenant a in format 1"):
            records.check_header(memoryview(bad), TenantId("a"))


def kinds(found: list[tuple[RecordType, bytes]]) -> list[str]:
    return [kind.name for kind, _ in found]


def encoder() -> SegmentEncoder:
    return SegmentEncoder(lambda sid: Labels.of({"i": str(sid)}), PACKER)


def test_a_segment_defines_everything_once_before_its_use() -> None:
    one, columns, row = encoder(), np.array([4, 2], np.int32), np.array([1.0, 2.0])
    assert kinds(one.row("g", columns, 1, row)) == ["SERIES", "LAYOUT", "ROW"]
    assert kinds(one.row("g", columns, 2, row)) == ["ROW"]
    assert kinds(one.samples(columns, np.array([3, 3]), row)) == ["CHANGES"]
    assert kinds(one.row("h", columns, 3, row)) == ["LAYOUT", "ROW"]
    more = np.array([4, 2, 9], np.int32)
    assert kinds(one.row("g", more, 4, np.ones(3))) == ["SERIES", "LAYOUT", "ROW"]


def test_an_id_that_became_free_is_defined_again() -> None:
    one, sids, row = encoder(), np.array([0, 1], np.int32), np.array([1.0, 2.0])
    one.samples(sids, np.array([1, 1]), row)
    one.forget([1, 5000])
    found = one.samples(sids, np.array([2, 2]), row)
    assert kinds(found) == ["SERIES", "CHANGES"]
    assert records.read_series(memoryview(found[0][1]), PACKER, {}) == [Labels.of({"i": "1"})]


def test_a_row_that_does_not_change_costs_next_to_nothing() -> None:
    one, columns = encoder(), np.arange(1000, dtype=np.int32)
    row = np.random.default_rng(1).random(1000)
    first = one.row("g", columns, 1, row)[-1][1]
    again = one.row("g", columns, 2, row)[-1][1]
    assert len(first) > 4000
    assert len(again) < 60


def test_a_layout_that_changes_keeps_the_last_values_of_its_series() -> None:
    one, columns = encoder(), np.arange(1000, dtype=np.int32)
    row = np.random.default_rng(1).random(1000)
    one.row("g", columns, 1, row)
    assert len(one.row("g", columns[1:], 2, row[1:])[-1][1]) < 60
