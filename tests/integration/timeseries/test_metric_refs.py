"""Samples of resolved series: the same rules as for others, and there again after a restart."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tocsin.model.errors import InvalidInput, NotDurable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.ring import ABSENT, ABSENT_BITS
from tocsin.model.sample import NORMAL_NAN_BITS, STALE, STALE_BITS, Sample
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Limits, Options
from tocsin.timeseries.store import MetricStore

A = TenantId("a")
Content = dict[str, list[tuple[int, int]]]


def labels(name: str, instance: str = "x") -> Labels:
    return Labels.of({"__name__": name, "job": "j", "instance": instance})


class House:
    """A store that can be closed and opened again."""

    def __init__(self, root: Path, options: Options) -> None:
        self._root, self._options = root, options
        self.store = MetricStore(root, options)

    def again(self) -> None:
        self.store.close()
        self.store = MetricStore(self._root, self._options)

    def resolve(self, *names: str) -> Resolved:
        return self.store.resolve(A, [labels(name) for name in names])

    def append(
        self,
        resolved: Resolved,
        samples: Sequence[tuple[int, int, float]],
        window_ms: int | None = None,
    ) -> Appended | None:
        """Store samples: position among those resolved, time, value."""
        at, times, values = zip(*samples, strict=True)
        columns = Columns(resolved.refs[list(at)], np.array(times), np.array(values, np.float64))
        window = None if window_ms is None else timedelta(milliseconds=window_ms)
        return self.store.append_refs(A, resolved.epoch, columns, out_of_order_window=window)

    def content(self) -> Content:
        found = self.store.select(A, [], start_ms=-(10**15), end_ms=10**15)
        return {
            s.labels["__name__"]: list(
                zip(s.times.tolist(), s.values.view(np.uint64).tolist(), strict=True)
            )
            for s in found
        }


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty store."""
    found = House(tmp_path / "metrics", Options())
    yield found
    found.store.close()


def bits(value: float) -> int:
    return int(np.array([value]).view(np.uint64)[0])


def test_samples_of_resolved_series_are_there_also_after_a_restart(house: House) -> None:
    known = house.resolve("x", "y", "z")
    assert (known.refused, len(set(known.refs.tolist()))) == ({}, 3)
    assert house.append(known, [(0, 10, 1.5), (1, 10, STALE), (2, 20, -0.0)]) == Appended(3)
    assert house.append(known, [(2, 30, 1.0), (1, 20, 2.0), (0, 20, 3.0)]) == Appended(3)
    expected = {
        "x": [(10, bits(1.5)), (20, bits(3.0))],
        "y": [(10, STALE_BITS), (20, bits(2.0))],
        "z": [(20, bits(-0.0)), (30, bits(1.0))],
    }
    assert house.content() == expected
    house.again()
    assert house.content() == expected
    house.again()
    assert house.content() == expected


def test_a_series_keeps_its_number_until_series_are_given_up(house: House) -> None:
    known = house.resolve("x", "y")
    house.append(known, [(0, 1, 1.0), (1, 10**9, 1.0)])
    assert house.resolve("y", "x").refs.tolist() == known.refs[::-1].tolist()
    house.store.expire(A, 10**9 + 10**12)
    assert house.append(known, [(0, 10**13, 1.0)]) is None
    assert house.append(house.resolve("x"), [(0, 10**13, 1.0)]) == Appended(1)


def test_repeats_are_silent_and_duplicates_and_late_samples_are_refused(house: House) -> None:
    known = house.resolve("x", "y")
    house.append(known, [(0, 10, 1.0), (1, 10, 1.0)])
    assert house.append(known, [(0, 10, 1.0), (1, 10, 1.0)]) == Appended(2)
    assert house.append(known, [(0, 10, 2.0), (1, 20, 1.0)]) == Appended(1, {"duplicate": 1})
    assert house.append(known, [(1, 15, 7.0), (0, 20, 1.0)]) == Appended(1, {"out_of_order": 1})
    assert house.append(known, [(1, 15, 7.0)], window_ms=5) == Appended(1)
    assert house.append(known, [(1, 15, 7.0)], window_ms=5) == Appended(1)
    assert house.append(known, [(1, 10, 1.0), (0, 2**62 + 1, 1.0)]) == Appended(
        1, {"out_of_bounds": 1}
    )
    expected = {
        "x": [(10, bits(1.0)), (20, bits(1.0))],
        "y": [(10, bits(1.0)), (15, bits(7.0)), (20, bits(1.0))],
    }
    assert house.content() == expected
    house.again()
    assert house.content() == expected


def test_several_samples_of_a_series_are_judged_one_after_the_other(house: House) -> None:
    known = house.resolve("x", "y")
    samples = [(0, 10, 1.0), (1, 10, 1.0), (0, 20, 2.0), (1, 30, 3.0), (1, 20, 2.0), (0, 20, 9.0)]
    assert house.append(known, samples) == Appended(4, {"out_of_order": 1, "duplicate": 1})
    assert house.append(known, [(0, 25, 1.0), (0, 30, 1.0), (0, 35, 1.0)]) == Appended(3)
    assert [ts for ts, _ in house.content()["x"]] == [10, 20, 25, 30, 35]


def test_the_nan_that_means_no_sample_is_stored_as_the_normal_one(house: House) -> None:
    known = house.resolve("x", "y")
    house.append(known, [(0, 10, ABSENT), (1, 10, 1.0)])
    house.store.append(A, Layout("g", (labels("r"),)), 10, np.array([ABSENT]))
    house.store.append_samples(A, [Sample(labels("s"), 10, ABSENT)])
    assert ABSENT_BITS not in {value for held in house.content().values() for _, value in held}
    for _ in range(2):
        found = {name: held[0][1] for name, held in house.content().items() if name != "y"}
        assert found == dict.fromkeys("rsx", NORMAL_NAN_BITS)
        house.again()


def test_series_beyond_the_limits_have_no_number(tmp_path: Path) -> None:
    house = House(tmp_path / "metrics", Options(limits=Limits(active_series=2)))
    found = house.store.resolve(A, [labels("x"), EMPTY, labels("y"), labels("z"), labels("x")])
    assert found.refs.tolist() == [found.refs[0], -1, found.refs[2], -1, found.refs[0]]
    assert found.refused == {"invalid_labels": 1, "active_series_limit": 1}
    took = house.store.append_series(
        A, [Series(labels("z"), np.array([1, 2]), np.ones(2)), Series(EMPTY, *NOTHING)]
    )
    assert took == Appended(0, {"active_series_limit": 2, "invalid_labels": 0})
    house.store.close()


NOTHING = (np.empty(0, np.int64), np.empty(0, np.float64))


def test_nothing_at_all_is_fine(house: House) -> None:
    assert house.store.append_series(A, []) == Appended(0)
    assert house.store.append_samples(A, []) == Appended(0)
    none = Columns(np.empty(0, np.int32), *NOTHING)
    assert house.store.append_refs(A, house.resolve().epoch, none) == Appended(0)


def test_columns_of_different_lengths_are_an_error(house: House) -> None:
    known = house.resolve("x")
    with pytest.raises(InvalidInput, match="1 refs, 2 times and 1 values"):
        house.store.append_refs(
            A, known.epoch, Columns(known.refs, np.array([1, 2]), np.array([1.0]))
        )


def test_a_closed_store_resolves_nothing(house: House) -> None:
    house.store.close()
    with pytest.raises(NotDurable, match="closed"):
        house.resolve("x")


def test_a_ring_takes_parts_of_rows_as_they_come(house: House) -> None:
    known = house.resolve("x")
    other = house.store.resolve(A, [labels("x", "i2"), labels("x", "i3")])
    house.append(known, [(0, 10, 1.0)])
    ring = house.store.ring(A, "x", depth_ms=1000)
    assert ring is not None
    house.append(other, [(0, 10, 1.0), (1, 12, 2.0)])
    house.append(known, [(0, 20, 3.0)])
    house.append(other, [(1, 22, 4.0)])
    assert house.store.ring(A, "x", depth_ms=1000) is ring
    assert (len(ring.labels), ring.clocks, ring.epoch) == (3, 3, 1)
    assert ring.written[:3].tolist() == [2, 1, 2]
    assert ring.values[1, [0, 2]].tolist() == [3.0, 4.0]
