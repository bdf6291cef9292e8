"""Series are numbered once and stored by the refs of the store, whatever becomes of those."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.known_series import NO_SAMPLES, KnownSeries, Samples
from tocsin.model.errors import NotDurable
from tocsin.model.labels import Labels
from tocsin.model.series import Appended, Columns, Resolved
from tocsin.model.tenant import TenantId, tenant_id

ACME = tenant_id("acme")
LATE = timedelta(minutes=5)


def named(*names: str) -> list[Labels]:
    return [Labels.of({"__name__": name}) for name in names]


def known_as(*names: str) -> KnownSeries:
    known = KnownSeries()
    for labels in named(*names):
        known.add(labels["__name__"].encode(), labels)
    return known


def samples(*numbers: int, at: int = 0) -> Samples:
    count = len(numbers)
    times = np.arange(at, at + count, dtype=np.int64)
    return Samples(np.array(numbers, np.int32), times, times.astype(np.float64))


def store(known: KnownSeries, sink: FakeSampleSink, given: Samples) -> Appended:
    return known.store(sink, ACME, given, window=LATE)


def test_samples_are_stored_under_their_labels_within_the_window() -> None:
    sink = FakeSampleSink()
    assert store(known_as("a", "b"), sink, samples(1, 0, 1)) == Appended(3)
    assert (sink.values(ACME, "a"), sink.values(ACME, "b")) == ([1.0], [0.0, 2.0])
    assert sink.windows == [LATE]


def test_the_store_is_asked_once_for_a_series() -> None:
    sink, known = FakeSampleSink(), known_as("a", "b", "c")
    store(known, sink, samples(0, 1))
    store(known, sink, samples(1, 0, at=9))
    assert sink.asked == 2
    store(known, sink, samples(0, 2, at=99))
    assert sink.asked == 3


def test_when_the_epoch_is_over_the_store_is_asked_again() -> None:
    sink, known = FakeSampleSink(), known_as("a", "b", "c")
    store(known, sink, samples(0, 1, 2))
    sink.epoch += 1
    assert store(known, sink, samples(0, 2, at=9)) == Appended(2)
    assert sink.values(ACME, "a") == [0.0, 9.0]
    assert store(known, sink, samples(1, at=19)) == Appended(1)
    assert sink.values(ACME, "b") == [1.0, 19.0]


def test_an_epoch_that_begins_with_new_series_makes_the_old_refs_void() -> None:
    sink, known = FakeSampleSink(), known_as("a", "b")
    store(known, sink, samples(0))
    sink.epoch += 1
    assert store(known, sink, samples(0, 1, at=9)) == Appended(2)
    assert (sink.values(ACME, "a"), sink.values(ACME, "b")) == ([0.0, 9.0], [10.0])


def test_samples_of_a_refused_series_are_counted_and_asked_for_again() -> None:
    sink, known = FakeSampleSink(), known_as("a", "b")
    sink.barred[known.labels[1]] = "active_series_limit"
    for turn in range(2):
        appended = store(known, sink, samples(0, 1, 1, at=9 * turn))
        assert appended == Appended(1, {"active_series_limit": 2})
    sink.refuse = {"duplicate": 1}
    sink.barred.clear()
    assert store(known, sink, samples(1, at=99)) == Appended(1, {"duplicate": 1})


def test_when_every_series_is_refused_nothing_is_stored() -> None:
    sink, known = FakeSampleSink(), known_as("a")
    sink.barred[known.labels[0]] = "label_name_limit"
    assert store(known, sink, samples(0)) == Appended(0, {"label_name_limit": 1})
    assert store(known, sink, NO_SAMPLES) == Appended(0)


class Restless(FakeSampleSink):
    """A store whose epochs end at once."""

    def resolve(self, tenant: TenantId, labels: list[Labels]) -> Resolved:  # type: ignore[override]
        found = FakeSampleSink.resolve(self, tenant, labels)
        self.epoch += 1
        return found

    def append_refs(
        self,
        tenant: TenantId,
        epoch: int,
        columns: Columns,
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended | None:
        return None


def test_a_store_that_never_takes_its_own_refs_is_not_durable() -> None:
    with pytest.raises(NotDurable):
        store(known_as("a"), Restless(), samples(0))


def test_keys_are_found_in_order_and_unknown_ones_told() -> None:
    known = known_as("a", "b")
    assert known.find([b"b", b"?", b"a", b""]).tolist() == [1, -1, 0, -1]


def test_series_without_a_key_or_with_a_long_one_are_not_found_again() -> None:
    known = KnownSeries()
    assert known.add(b"", Labels()) == 0
    assert known.add(b"x" * (1 << 17), Labels()) == 1
    assert len(known) == 0


def test_equal_texts_have_equal_numbers() -> None:
    known = KnownSeries()
    first = known.symbols([b"a", b"b", b"a"]).tolist()
    assert first[0] == first[2] != first[1]
    assert known.symbols([b"b", b"c"]).tolist()[0] == first[1]


def test_what_is_remembered_has_bounds() -> None:
    many = KnownSeries(most=3)
    for n in range(7):
        many.make_room()
        many.add(b"%d" % n, Labels())
    assert len(many) == len(many.labels) == 1
    heavy = KnownSeries(most_bytes=10)
    heavy.add(b"1234", Labels())
    assert not heavy.make_room()
    heavy.symbols([b"123456"])
    assert heavy.make_room()
    wordy = KnownSeries(most=2)
    wordy.symbols([b"a", b"b"])
    assert wordy.make_room()
    assert wordy.symbols([b"c"]).tolist() == [0]


def test_after_forgetting_numbers_stand_for_other_series() -> None:
    sink, known = FakeSampleSink(), KnownSeries(most=1)
    known.add(b"a", named("a")[0])
    store(known, sink, samples(0))
    known.make_room()
    known.add(b"b", named("b")[0])
    store(known, sink, samples(0))
    assert sink.values(ACME, "b") == [0.0]
