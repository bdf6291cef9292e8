"""The store against a dictionary: random appends, selects, restarts, over two tenants."""

import shutil
import struct
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match, matcher
from tocsin.model.sample import STALE, Sample
from tocsin.model.series import Columns, Layout, Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Options
from tocsin.timeseries.store import MetricStore

TENANTS = st.sampled_from([TenantId("a"), TenantId("b")])
SERIES = [Labels.of({"__name__": n, "i": i}) for n in ("up", "load") for i in ("", "1", "2", "3")]
NANS = [struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000000 + i))[0] for i in (1, 77)]
TIMES = st.integers(-30, 60)
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, STALE, float("inf"), *NANS])
MATCHERS = st.lists(
    st.builds(
        matcher,
        st.sampled_from(["__name__", "i", "none"]),
        st.sampled_from(["=", "!=", "=~", "!~"]),
        st.sampled_from(["", "up", "1", "1|2", ".+", "[12]?", "u.*"]),
    ),
    max_size=2,
)

Bits = int
Content = dict[Labels, dict[int, Bits]]


def bits(value: float) -> Bits:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


class Model:
    """What one tenant should hold, by the rules of the contract."""

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self.content: Content = {}

    def offer(self, labels: Labels, ts_ms: int, value: float, window_ms: int | None = None) -> str:
        window = self.window_ms if window_ms is None else window_ms
        samples = self.content.setdefault(labels, {})
        if ts_ms in samples:
            return "stored" if samples[ts_ms] == bits(value) else "duplicate"
        if samples and ts_ms < max(samples) - window:
            return "out_of_order"
        samples[ts_ms] = bits(value)
        return "stored"

    def select(self, matchers: list[Matcher], start: int, end: int) -> Content:
        found = {
            labels: {ts: samples[ts] for ts in sorted(samples) if start <= ts <= end}
            for labels, samples in self.content.items()
            if all_match(matchers, labels)
        }
        return {labels: found[labels] for labels in sorted(found) if found[labels]}


def in_turn(series: list[tuple[Labels, list[int], float]]) -> Iterator[tuple[Labels, int, float]]:
    """Yield samples in the order given; no series has a say in what is decided of another."""
    for labels, times, value in series:
        for ts_ms in times:
            yield labels, ts_ms, value


class StoreMachine(RuleBasedStateMachine):
    """Drives a store on disk and its model side by side."""

    window_ms = 0
    chunk_slots = 3

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.options = Options(
            out_of_order_window=timedelta(milliseconds=self.window_ms),
            chunk_slots=self.chunk_slots,
            segment_bytes=600,
            segment_span=timedelta(milliseconds=40),
        )
        self.store = MetricStore(self.root, self.options)
        self.models = {TenantId("a"): Model(self.window_ms), TenantId("b"): Model(self.window_ms)}
        self.layouts: dict[tuple[str, tuple[Labels, ...]], Layout] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    @rule(
        tenant=TENANTS,
        group=st.sampled_from("gh"),
        labels=st.lists(st.sampled_from(SERIES), max_size=5).map(tuple),
        start=TIMES,
        rows=st.lists(st.lists(VALUES, min_size=5, max_size=5), min_size=1, max_size=9),
    )
    def append(
        self,
        *,
        tenant: TenantId,
        group: str,
        labels: tuple[Labels, ...],
        start: int,
        rows: list[list[float]],
    ) -> None:
        layout = self.layouts.setdefault((group, labels), Layout(group, labels))
        for ts, row in enumerate(rows, start):
            values = np.array(row[: len(labels)])
            took = self.store.append(tenant, layout, ts, values)
            offer = self.models[tenant].offer
            verdicts = [offer(*each) for each in zip(labels, [ts] * 5, row, strict=False)]
            self.check_counts(took.stored, took.refused, verdicts)

    @rule(
        tenant=TENANTS, samples=st.lists(st.builds(Sample, st.sampled_from(SERIES), TIMES, VALUES))
    )
    def append_samples(self, tenant: TenantId, samples: list[Sample]) -> None:
        took = self.store.append_samples(tenant, samples)
        offer = self.models[tenant].offer
        verdicts = [offer(s.labels, s.ts_ms, s.value) for s in samples]
        self.check_counts(took.stored, took.refused, verdicts)

    @rule(
        tenant=TENANTS,
        series=st.lists(
            st.tuples(st.sampled_from(SERIES), st.lists(TIMES, unique=True), VALUES), max_size=5
        ),
        window_ms=st.none() | st.sampled_from([0, 7, 1000]),
    )
    def append_series(
        self,
        tenant: TenantId,
        series: list[tuple[Labels, list[int], float]],
        window_ms: int | None,
    ) -> None:
        given = [(labels, sorted(times), value) for labels, times, value in series]
        window = None if window_ms is None else timedelta(milliseconds=window_ms)
        took = self.store.append_series(
            tenant,
            [Series(s, np.array(t, np.int64), np.full(len(t), v)) for s, t, v in given],
            out_of_order_window=window,
        )
        offer = self.models[tenant].offer
        verdicts = [offer(s, ts, v, window_ms) for s, ts, v in in_turn(given)]
        self.check_counts(took.stored, took.refused, verdicts)

    @rule(
        tenant=TENANTS,
        samples=st.lists(st.tuples(st.sampled_from(SERIES), TIMES, VALUES), max_size=30),
        window_ms=st.none() | st.sampled_from([0, 7, 1000]),
    )
    def append_refs(
        self,
        tenant: TenantId,
        samples: list[tuple[Labels, int, float]],
        window_ms: int | None,
    ) -> None:
        known = self.store.resolve(tenant, [labels for labels, _, _ in samples])
        times = np.array([ts_ms for _, ts_ms, _ in samples], np.int64)
        values = np.array([value for _, _, value in samples], np.float64)
        window = None if window_ms is None else timedelta(milliseconds=window_ms)
        took = self.store.append_refs(
            tenant, known.epoch, Columns(known.refs, times, values), out_of_order_window=window
        )
        assert took is not None
        verdicts = [self.models[tenant].offer(*each, window_ms) for each in samples]
        self.check_counts(took.stored, took.refused, verdicts)

    @rule(tenant=TENANTS, matchers=MATCHERS, start=TIMES, length=st.integers(-1, 60))
    def select(self, tenant: TenantId, matchers: list[Matcher], start: int, length: int) -> None:
        window = (start, start + length)
        expected = self.models[tenant].select(matchers, *window)
        assert self.content(tenant, matchers, *window) == expected
        found = self.store.series(tenant, matchers, start_ms=window[0], end_ms=window[1])
        assert found == list(expected)
        names = self.store.label_names(tenant, matchers, start_ms=window[0], end_ms=window[1])
        assert names == sorted({name for labels in expected for name in labels})
        values = self.store.label_values(
            tenant, "i", matchers, start_ms=window[0], end_ms=window[1]
        )
        assert values == sorted({labels["i"] for labels in expected if "i" in labels})

    @rule()
    def sync(self) -> None:
        self.store.sync()

    @precondition(lambda self: self.store.tenants())
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = MetricStore(self.root, self.options)

    @invariant()
    def everything_is_there(self) -> None:
        for tenant, model in self.models.items():
            expected = model.select([], -1000, 1000)
            assert self.content(tenant, [], -1000, 1000) == expected
            stats = self.store.stats(tenant)
            assert stats.samples == sum(len(samples) for samples in expected.values())
            newest = max((max(samples) for samples in expected.values()), default=None)
            assert (stats.newest_ms, stats.lost_bytes) == (newest, 0)

    def content(self, tenant: TenantId, matchers: list[Matcher], start: int, end: int) -> Content:
        found: Content = {}
        for series in self.store.select(tenant, matchers, start_ms=start, end_ms=end):
            assert (np.diff(series.times) > 0).all()
            patterns = series.values.view(np.uint64).tolist()
            found[series.labels] = dict(zip(series.times.tolist(), patterns, strict=True))
        assert list(found) == sorted(found)
        return found

    def check_counts(self, stored: int, refused: dict[str, int], verdicts: list[str]) -> None:
        counts = {verdict: verdicts.count(verdict) for verdict in set(verdicts)}
        assert stored == counts.pop("stored", 0)
        assert refused == counts


class WindowedStoreMachine(StoreMachine):
    """The same with an out-of-order window."""

    window_ms = 12
    chunk_slots = 8


_EFFORT = settings(max_examples=40, stateful_step_count=25, deadline=None)

TestStoreFollowsItsModel = StoreMachine.TestCase
TestStoreFollowsItsModel.settings = _EFFORT
TestWindowedStoreFollowsItsModel = WindowedStoreMachine.TestCase
TestWindowedStoreFollowsItsModel.settings = _EFFORT
