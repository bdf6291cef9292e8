"""A store that seals, merges, deletes and crashes at random, against a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, all_match, matcher
from tocsin.model.sample import STALE, Sample
from tocsin.model.series import Layout, Series
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Options
from tocsin.timeseries.store import MetricStore

A = TenantId("a")
DAY = 24 * 3_600_000
SERIES = [Labels.of({"__name__": n, "i": i}) for n in ("up", "load") for i in ("1", "2", "3")]
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.5, 0.1, STALE, float("inf")])
MATCHERS = st.lists(
    st.builds(
        matcher,
        st.sampled_from(["__name__", "i"]),
        st.sampled_from(["=", "!=", "=~"]),
        st.sampled_from(["up", "1", "1|2", "", "load"]),
    ),
    max_size=2,
)


def pattern(value: float) -> int:
    return int(np.float64(value).view(np.uint64))


class SealingStore(RuleBasedStateMachine):
    """Drives a store with tiny windows and its model side by side.

    Of two values offered for one time of a series, either may be kept: once a series is in
    blocks only, nobody remembers its newest sample.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.options = Options(
            retention=timedelta(days=3650),
            out_of_order_window=timedelta(days=3650),
            block_span=timedelta(milliseconds=100),
            seal_after=timedelta(milliseconds=20),
            segment_span=timedelta(milliseconds=100),
            chunk_slots=4,
        )
        self.store = MetricStore(self.root / "0", self.options)
        self.copies = 0
        self.now = 0
        self.content: dict[Labels, dict[int, set[int]]] = {}
        self.deleted: list[tuple[list[Matcher], int, int]] = []
        self.layouts: dict[tuple[str, tuple[Labels, ...]], Layout] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    def offer(self, labels: Labels, ts: int, value: float) -> None:
        self.content.setdefault(labels, {}).setdefault(ts, set()).add(pattern(value))

    def was_deleted(self, labels: Labels, ts: int) -> bool:
        return any(
            start <= ts <= end and all_match(matchers, labels)
            for matchers, start, end in self.deleted
        )

    @rule(
        group=st.sampled_from("gh"),
        labels=st.lists(st.sampled_from(SERIES), min_size=1, max_size=5, unique=True).map(tuple),
        rows=st.lists(st.lists(VALUES, min_size=5, max_size=5), min_size=1, max_size=9),
        step=st.integers(1, 30),
    )
    def append(
        self, group: str, labels: tuple[Labels, ...], rows: list[list[float]], step: int
    ) -> None:
        layout = self.layouts.setdefault((group, labels), Layout(group, labels))
        for row in rows:
            self.now += step
            took = self.store.append(A, layout, self.now, np.array(row[: len(labels)]))
            assert took.stored == len(labels)
            for each, value in zip(labels, row, strict=False):
                self.offer(each, self.now, value)

    @rule(labels=st.sampled_from(SERIES), back=st.integers(0, 400), value=VALUES)
    def append_late(self, labels: Labels, back: int, value: float) -> None:
        ts = self.now - back
        if not self.was_deleted(labels, ts):
            took = self.store.append_samples(A, [Sample(labels, ts, value)])
            if took.stored or ts not in self.content.get(labels, {}):
                self.offer(labels, ts, value)

    @rule(
        labels=st.lists(st.sampled_from(SERIES), min_size=1, max_size=3, unique=True),
        count=st.integers(1, 12),
        value=VALUES,
    )
    def push(self, labels: list[Labels], count: int, value: float) -> None:
        times = np.arange(self.now + 1, self.now + 1 + count)
        given = [Series(each, times, np.full(count, value)) for each in labels]
        assert self.store.append_series(A, given).stored == count * len(labels)
        self.now += count
        for each in labels:
            for ts in times.tolist():
                self.offer(each, ts, value)

    @rule(ahead=st.sampled_from([0, 30, 130, 500]))
    def upkeep(self, ahead: int) -> None:
        self.now += ahead
        self.store.expire(A, self.now)

    @rule()
    def a_day_goes_by(self) -> None:
        self.now += DAY
        self.store.expire(A, self.now)

    @rule(items=st.integers(0, 12), ahead=st.sampled_from([30, 130, DAY]))
    def upkeep_that_ends_early(self, items: int, ahead: int) -> None:
        self.now += ahead
        with closing(self.store.upkeep(A, self.now)) as steps:
            for work in islice(steps, items):
                work.run()

    @precondition(lambda self: self.content)
    @rule(matchers=MATCHERS, back=st.integers(0, 500), length=st.integers(0, 500))
    def delete(self, matchers: list[Matcher], back: int, length: int) -> None:
        start = self.now - back
        end = min(start + length, self.now)
        self.store.delete_series(A, matchers, start_ms=start, end_ms=end, now_ms=self.now)
        self.deleted.append((matchers, start, end))
        for labels, samples in self.content.items():
            if all_match(matchers, labels):
                for ts in [ts for ts in samples if start <= ts <= end]:
                    del samples[ts]
        self.now += 1  # nothing new at a time that was deleted

    @rule()
    def clean(self) -> None:
        self.store.clean_tombstones(A, self.now)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = MetricStore(self.root / str(self.copies), self.options)

    @rule()
    def crash(self) -> None:
        """Go on with a copy of the files as they are, as after a `kill -9`."""
        self.copies += 1
        copy = self.root / str(self.copies)
        shutil.copytree(self.root / str(self.copies - 1), copy)
        self.store.close()
        self.store = MetricStore(copy, self.options)

    @rule(matchers=MATCHERS, back=st.integers(0, 900), length=st.integers(0, 900))
    def ask(self, matchers: list[Matcher], back: int, length: int) -> None:
        start = self.now - back
        self.check(matchers, start, start + length)

    @invariant()
    def everything_is_there(self) -> None:
        self.check([], -DAY, self.now + DAY)
        assert not self.store.stats(A).faults

    def check(self, matchers: list[Matcher], start: int, end: int) -> None:
        expected = {
            labels: {ts: samples[ts] for ts in sorted(samples) if start <= ts <= end}
            for labels, samples in sorted(self.content.items())
            if all_match(matchers, labels)
        }
        expected = {labels: samples for labels, samples in expected.items() if samples}
        span = {"start_ms": start, "end_ms": end}
        found = self.store.select(A, matchers, **span)
        assert [each.labels for each in found] == list(expected)
        for each in found:
            samples = expected[each.labels]
            assert each.times.tolist() == list(samples)
            for ts, bits in zip(each.times.tolist(), each.values.view(np.uint64), strict=True):
                assert int(bits) in samples[ts]
        assert self.store.series(A, matchers, **span) == list(expected)
        names = sorted({name for labels in expected for name in labels})
        assert self.store.label_names(A, matchers, **span) == names
        values = sorted({labels["i"] for labels in expected})
        assert self.store.label_values(A, "i", matchers, **span) == values


TestSealingStore = SealingStore.TestCase
TestSealingStore.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
