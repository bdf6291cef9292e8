"""What every sink of samples promises: the metric store, and the fake that stands for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tocsin.metrics_collector.fakes import FakeSampleSink
from tocsin.metrics_collector.ports import SampleSink
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import Sample
from tocsin.model.series import Columns, Layout, Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.store import MetricStore

A, B = TenantId("a"), TenantId("b")
Points = list[tuple[int, float]]
Read = Callable[[TenantId, str], Points]


def labels(name: str) -> Labels:
    return Labels.of({METRIC_NAME: name, "job": "j", "instance": "i"})


@pytest.fixture(params=["store", "fake"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SampleSink, Read]]:
    """A sink, and how a test reads what it took."""
    if request.param == "fake":
        fake = FakeSampleSink()
        yield fake, lambda tenant, name: sorted(fake.series.get(tenant, {}).get(labels(name), []))
        return
    store = MetricStore(tmp_path)

    def read(tenant: TenantId, name: str) -> Points:
        found = store.select(
            tenant, [matcher(METRIC_NAME, "=", name)], start_ms=-(10**15), end_ms=10**15
        )
        return [
            point for s in found for point in zip(s.times.tolist(), s.values.tolist(), strict=True)
        ]

    yield store, read
    store.close()


def test_every_way_in_leads_to_the_same_series(sink: tuple[SampleSink, Read]) -> None:
    to, read = sink
    both = (labels("x"), labels("y"))
    assert to.append(A, Layout("g", both), 10, np.array([1.0, 2.0])).stored == 2
    assert to.append_samples(A, [Sample(each, 20, 3.0) for each in both]).stored == 2
    series = [Series(each, np.array([30, 40]), np.array([4.0, 5.0])) for each in both]
    assert to.append_series(A, series).stored == 4
    known = to.resolve(A, both)
    took = to.append_refs(
        A, known.epoch, Columns(known.refs, np.array([50, 50]), np.array([6.0, 7.0]))
    )
    assert took is not None
    assert (took.stored, took.refused) == (2, {})
    assert read(A, "x") == [(10, 1.0), (20, 3.0), (30, 4.0), (40, 5.0), (50, 6.0)]
    assert read(A, "y")[-1] == (50, 7.0)


def test_a_series_keeps_its_number_and_tenants_share_none(sink: tuple[SampleSink, Read]) -> None:
    to, read = sink
    known = to.resolve(A, [labels("x"), labels("y"), labels("x")])
    assert known.refs[0] == known.refs[2] != known.refs[1]
    again = to.resolve(A, [labels("y"), labels("z")])
    assert again.epoch == known.epoch
    assert again.refs[0] == known.refs[1]
    other = to.resolve(B, [labels("x")])
    to.append_refs(B, other.epoch, Columns(other.refs, np.array([1]), np.array([1.0])))
    assert (read(A, "x"), read(B, "x")) == ([], [(1, 1.0)])


def test_numbers_of_another_epoch_store_nothing(sink: tuple[SampleSink, Read]) -> None:
    to, read = sink
    known = to.resolve(A, [labels("x")])
    columns = Columns(known.refs, np.array([1]), np.array([1.0]))
    assert to.append_refs(A, known.epoch + 1, columns) is None
    assert read(A, "x") == []


def test_samples_may_come_in_any_order_of_series(sink: tuple[SampleSink, Read]) -> None:
    to, read = sink
    known = to.resolve(A, [labels(name) for name in "xyz"])
    refs = known.refs[[2, 0, 1, 0, 2]]
    columns = Columns(refs, np.array([10, 10, 10, 20, 20]), np.arange(5.0))
    took = to.append_refs(A, known.epoch, columns)
    assert took is not None
    assert took.stored == 5
    assert [read(A, name) for name in "xyz"] == [
        [(10, 1.0), (20, 3.0)],
        [(10, 2.0)],
        [(10, 0.0), (20, 4.0)],
    ]
