"""Samples in memory: groups, single series, reading across both, forgetting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE, STALE_BITS
from tocsin.model.series import Layout, Values
from tocsin.timeseries.admission import FURTHEST_MS, Admission, same_bits
from tocsin.timeseries.head import Head
from tocsin.timeseries.options import Limits, Refusal
from tocsin.timeseries.packed import Bits, Opening, PackedTimes, pack

UP = matcher("__name__", "=", "up")
LIMITS = Limits()


def labels(i: int, name: str = "up") -> Labels:
    return Labels.of({"__name__": name, "i": str(i)})


def layout(*ids: int, group: str = "g") -> Layout:
    return Layout(group, tuple(labels(i) for i in ids))


def row(*values: float) -> Values:
    return np.array(values, np.float64)


def put(head: Head, which: Layout, ts_ms: int, *values: float) -> None:
    group, _ = head.bind(which, LIMITS)
    assert head.fits(group, ts_ms)
    head.add_row(group, ts_ms, row(*values))


def put_single(head: Head, i: int, ts_ms: int, value: float) -> None:
    sid = head.enter(labels(i), LIMITS)
    assert not isinstance(sid, Refusal)
    head.add_samples(np.array([sid], np.int32), np.array([ts_ms]), row(value))


def read(head: Head, start: int = -1000, end: int = 1000) -> dict[str, list[tuple[int, float]]]:
    found = head.select([UP], start, end)
    return {
        s.labels["i"]: list(zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in found
    }


def test_a_window_has_both_its_ends() -> None:
    head = Head(chunk_slots=4)
    for ts in range(-3, 8):
        put(head, layout(1, 2), ts, ts, -ts)
    assert read(head, -2, 3) == {
        "1": [(t, t) for t in range(-2, 4)],
        "2": [(t, -t) for t in range(-2, 4)],
    }
    assert read(head, 8, 9) == {}
    assert read(head, -9, -4) == {}
    assert read(head, 5, 4) == {}


def test_a_group_whose_series_change_keeps_the_samples_of_each() -> None:
    head = Head(chunk_slots=8)
    put(head, layout(1, 2), 1, 1, 2)
    put(head, layout(2, 3), 2, 22, 33)
    put(head, layout(1, 2), 3, 111, 222)
    put(head, layout(1, 2), 4, 5, 6)
    assert read(head) == {
        "1": [(1, 1), (3, 111), (4, 5)],
        "2": [(1, 2), (2, 22), (3, 222), (4, 6)],
        "3": [(2, 33)],
    }


def test_a_layout_made_anew_with_the_same_series_goes_on_in_the_same_columns() -> None:
    head = Head(chunk_slots=8)
    put(head, layout(1, 2), 1, 1, 2)
    before = head.group("g").columns
    put(head, layout(1, 2), 2, 3, 4)
    assert head.group("g").columns is before
    assert len(head.group("g").chunks) == 1


def test_a_series_that_moves_to_another_group_reads_as_one() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1, group="a"), 1, 1)
    put(head, layout(1, group="b"), 2, 2)
    put_single(head, 1, 3, 3)
    put(head, layout(1, group="a"), 4, 4)
    assert read(head) == {"1": [(1, 1), (2, 2), (3, 3), (4, 4)]}


def test_late_single_samples_are_put_in_their_place() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1), 10, 10)
    for ts in (5, 3, 4, 20, 15):
        put_single(head, 1, ts, ts)
    assert read(head) == {"1": [(t, t) for t in (3, 4, 5, 10, 15, 20)]}
    assert head.newest_ms == 20


def test_what_was_read_stays_as_it_was() -> None:
    head = Head(chunk_slots=4)
    put(head, layout(1), 1, 1)
    put_single(head, 2, 1, 1)
    before = head.select([UP], 0, 100)
    put(head, layout(1), 2, 2)
    for ts in range(2, 20):
        put_single(head, 2, ts, ts)
    put_single(head, 2, 0, 0)
    head.expire(50)
    assert [(s.times.tolist(), s.values.tolist()) for s in before] == [([1], [1.0])] * 2
    with pytest.raises(ValueError, match="read-only"):
        before[0].values[0] = 7
    with pytest.raises(ValueError, match="read-only"):
        before[1].times[0] = 7


def test_every_bit_of_a_value_survives() -> None:
    patterns = [STALE_BITS, 0x7FF8000000000001, 0xFFF8000000000123, 1 << 63, 0x7FF0000000000001]
    head = Head(chunk_slots=2)
    for ts, bits in enumerate(patterns):
        value = np.array([bits], np.uint64).view(np.float64)
        group, _ = head.bind(layout(1), LIMITS)
        head.add_row(group, ts, value)
        put_single_bits = np.array([head.enter(labels(2), LIMITS)], np.int32)
        head.add_samples(put_single_bits, np.array([ts]), value)
    for series in head.select([UP], 0, 10):
        assert series.values.view(np.uint64).tolist() == patterns


def test_a_value_is_found_at_its_time_wherever_it_lies() -> None:
    head = Head(chunk_slots=2)
    for ts in range(5):
        put(head, layout(1, 2), ts, ts, ts)
    put_single(head, 1, 9, 9)
    assert head.value_at(0, 3) == 3
    assert head.value_at(0, 9) == 9
    assert head.value_at(0, 7) is None


def test_expiry_takes_whole_chunks_and_the_series_left_empty() -> None:
    head = Head(chunk_slots=2)
    for ts in range(4):
        put(head, layout(1, 2), ts, ts, ts)
    put(head, layout(2), 4, 4)
    put_single(head, 3, 1, 1)
    put_single(head, 4, 1, 1)
    put_single(head, 4, 5, 5)
    assert head.samples == 12
    assert head.expire(2) == [2]
    assert read(head) == {
        "1": [(2, 2), (3, 3)],
        "2": [(2, 2), (3, 3), (4, 4)],
        "4": [(5, 5)],
    }
    assert head.samples == 6
    assert head.expire(4) == [0]
    assert read(head) == {"2": [(4, 4)], "4": [(5, 5)]}
    assert sorted(value for value, _ in head.catalog.postings.values("i")) == ["2", "4"]
    assert head.expire(100) == [1, 3]
    assert (head.samples, len(head.catalog), list(head.catalog.postings.names())) == (0, 0, [])


def test_a_group_begins_anew_after_everything_in_it_expired() -> None:
    head = Head(chunk_slots=2)
    same = layout(1, 2)
    put(head, same, 1, 1, 2)
    put(head, layout(7, group="other"), 1, 7)
    head.expire(5)
    put(head, layout(3, group="new"), 6, 3)
    put(head, same, 7, 4, 5)
    assert read(head) == {"1": [(7, 4)], "2": [(7, 5)], "3": [(6, 3)]}


def test_a_layout_bound_but_never_filled_is_bound_again_after_expiry() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1), 10, 1)
    waiting = layout(1, 2)
    head.bind(waiting, LIMITS)
    assert head.expire(0) == [1]
    head.enter(labels(9), LIMITS)  # takes the id that became free
    put(head, waiting, 11, 5, 6)
    assert read(head) == {"1": [(10, 1), (11, 5)], "2": [(11, 6)]}


def test_a_series_in_two_groups_lives_until_both_forget_it() -> None:
    head = Head(chunk_slots=1)
    for ts, group in enumerate("abcab"):
        put(head, layout(1, group=group), ts, ts)
    head.expire(2)
    assert read(head) == {"1": [(2, 2), (3, 3), (4, 4)]}
    head.expire(4)
    assert read(head) == {"1": [(4, 4)]}
    assert head.expire(5) == [0]


def test_series_in_one_group_are_untouched_by_those_in_two() -> None:
    head = Head(chunk_slots=1)
    put(head, layout(1, 2, group="a"), 0, 1, 2)
    put(head, layout(1, group="b"), 1, 3)
    assert head.expire(1) == [1]
    assert read(head) == {"1": [(1, 3)]}


@pytest.mark.parametrize("at_once", [1, 3000])
@pytest.mark.parametrize("width", [1, 5, 150])
def test_rows_are_compressed_a_few_at_a_time_and_read_as_they_were_written(
    width: int, at_once: int
) -> None:
    head, rng, ids = (
        Head(chunk_slots=128, pack_at_once=at_once),
        np.random.default_rng(3),
        tuple(range(width)),
    )
    written = rng.integers(0, 2**63, (300, width)).view(np.float64)
    written[::7] = rng.integers(0, 1000, written[::7].shape) / 100
    written[:, 0] = np.arange(300)
    same = layout(*ids)
    for ts in range(300):
        put(head, same, ts, *written[ts])
    chunks = head.group("g").chunks
    assert [chunk.used for chunk in chunks] == [128, 128, 44]
    assert [chunk.packed for chunk in chunks] == [128, 128, 32 if width == 150 else 0]
    for window in [(-5, 999), (3, 3), (100, 140), (250, 299), (270, 290), (256, 287), (290, 290)]:
        first, last = max(0, window[0]), min(299, window[1])
        for matchers, chosen in [([UP], range(width)), ([matcher("i", "=", "0")], [0])]:
            found = {s.labels["i"]: s for s in head.select(matchers, *window)}
            for i in chosen:
                assert found[str(i)].times.tolist() == list(range(first, last + 1))
                expected = np.ascontiguousarray(written[first : last + 1, i])
                assert found[str(i)].values.tobytes() == expected.tobytes()
    assert head.value_at(0, 2) == 2.0
    head.expire(130)
    assert head.samples == 172 * width


def test_a_selection_larger_than_what_is_opened_at_once_is_whole() -> None:
    head, ids = Head(chunk_slots=128, pack_at_once=1), tuple(range(160))
    for group in range(15):
        same = Layout(f"g{group}", tuple(labels(1000 * group + i) for i in ids))
        for ts in range(129):
            put(head, same, ts, *range(160))
    found = head.select([UP], 0, 127)
    assert len(found) == 15 * 160
    assert {s.values.tobytes() for s in found} == {np.full(128, float(i)).tobytes() for i in ids}


def test_times_far_apart_lie_in_one_chunk() -> None:
    head = Head(chunk_slots=128)
    times = [-(2**61), -5, 0, 2**31 - 6, 2**31 - 5, 2**40, 2**61]
    for ts in times:
        put(head, layout(1), ts, ts)
    assert [s.times.tolist() for s in head.select([UP], -(2**62), 2**62)] == [times]
    assert head.group("g").chunks[0].times.tolist() == times


def test_uneven_times_survive_compression() -> None:
    for steps in ([15_000] * 9, [1, 2, 3], [10**9, 1, 2**61], [1] * 300, [7, 8] * 90, []):
        times = np.cumsum(np.array([-(2**62), *steps]))
        assert PackedTimes(times).all().tolist() == times.tolist()


@given(
    npst.arrays(
        np.uint64,
        st.tuples(st.integers(1, 5), st.integers(1, 70)),
        elements=st.integers(0, 2**64 - 1)
        | st.sampled_from([0, 1 << 63, STALE_BITS, 0x7FF0000000000000, 0x3FF3AE147AE147AE])
        | st.floats(width=64).map(lambda x: int(np.float64(x).view(np.uint64)))
        | st.integers(-(2**62), 2**62).map(lambda x: int(np.float64(x).view(np.uint64)))
        | st.integers(0, 10**6).map(lambda x: int(np.float64(x / 100).view(np.uint64))),
    ),
    st.data(),
)
def test_every_block_of_bits_survives_compression(bits: Bits, data: st.DataObject) -> None:
    block = bits.view(np.float64)
    (packed,) = pack([block])
    columns = np.array(sorted(data.draw(st.sets(st.integers(0, bits.shape[1] - 1)))), np.intp)
    first = data.draw(st.integers(0, len(bits) - 1))
    last = data.draw(st.integers(first + 1, len(bits)))
    opening = Opening()
    taken = np.ascontiguousarray(opening.take(packed, columns)[first:last])
    assert taken.view(np.uint64).tolist() == bits[first:last, columns].tolist()


def test_a_compressed_block_is_smaller_where_little_changes() -> None:
    block = np.cumsum(np.random.default_rng(1).integers(0, 9, (128, 100)), axis=0).astype(float)
    (packed,) = pack([block])
    assert packed.nbytes < block.nbytes / 3
    everything = Opening().take(packed, np.arange(100))
    assert everything.tobytes() == block.tobytes()


def test_presence_tells_which_series_have_samples_in_range() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1, 2), 1, 1, 1)
    put(head, layout(2, 3), 5, 1, 1)
    put_single(head, 4, 9, 1)
    marked = {
        window: np.flatnonzero(head.present([UP], *window)).tolist()
        for window in [(0, 1), (2, 4), (5, 9), (9, 9)]
    }
    assert marked == {(0, 1): [0, 1], (2, 4): [], (5, 9): [1, 2, 3], (9, 9): [3]}


def judged(head: Head, *offers: tuple[int, float], window_ms: int = 0) -> Admission:
    batch = Admission(head, window_ms=window_ms)
    for ts, value in offers:
        batch.offer(0, ts, value)
    return batch


def test_equal_bits_at_a_taken_time_pass_silently_and_other_bits_are_a_duplicate() -> None:
    head = Head(chunk_slots=2)
    for ts in range(5):
        put(head, layout(1), ts, 0.0)
    batch = judged(head, (4, 0.0), (4, -0.0), (2, 0.0), (2, 1.0), (4, STALE))
    assert batch.outcome().stored == 2
    assert batch.outcome().refused == {"duplicate": 3}
    assert [len(column) for column in batch.accepted()] == [0, 0, 0]


def test_a_batch_is_judged_against_itself() -> None:
    head = Head(chunk_slots=2)
    head.enter(labels(1), LIMITS)
    batch = judged(head, (1, 1.0), (2, 2.0), (2, 2.0), (2, 3.0), (1, 1.0), (0, 1.0))
    assert batch.outcome().stored == 4
    assert batch.outcome().refused == {"duplicate": 1, "out_of_order": 1}
    assert batch.accepted()[1].tolist() == [1, 2]


def test_older_samples_are_taken_within_the_window_only() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1), 100, 1)
    batch = judged(head, (90, 1.0), (89, 1.0), window_ms=10)
    assert batch.accepted()[1].tolist() == [90]
    assert batch.outcome().refused == {"out_of_order": 1}


def test_times_beyond_reason_are_refused() -> None:
    head = Head(chunk_slots=2)
    head.enter(labels(1), LIMITS)
    assert judged(head, (FURTHEST_MS + 1, 1.0)).refused == {"out_of_bounds": 1}
    assert judged(head, (-FURTHEST_MS, 1.0)).stored == 1


def test_a_row_fits_only_behind_its_series_and_its_group() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1), 5, 1)
    put_single(head, 2, 9, 1)
    group, _ = head.bind(layout(3), LIMITS)
    assert not head.fits(group, 5)
    assert head.fits(group, 6)
    group, _ = head.bind(layout(2), LIMITS)
    assert not head.fits(group, 9)
    assert head.fits(group, 10)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.5, 1.5, True),
        (0.0, -0.0, False),
        (0.0, 0.0, True),
        (STALE, STALE, True),
        (1.0, 2.0, False),
    ],
)
def test_floats_are_compared_bit_by_bit(one: float, other: float, *, same: bool) -> None:
    assert same_bits(one, other) is same


def test_a_group_index_that_is_out_of_use_is_an_error() -> None:
    head = Head(chunk_slots=2)
    put(head, layout(1), 1, 1)
    head.expire(5)
    with pytest.raises(KeyError):
        head.group_at(0)
