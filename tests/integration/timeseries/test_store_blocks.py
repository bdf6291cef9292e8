"""Samples on their way from the head to blocks and larger blocks: always there, always once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from crash_points import crash_points

from tocsin.model.errors import InvalidInput, LimitExceeded
from tocsin.model.labels import Labels
from tocsin.model.matchers import matcher
from tocsin.model.ring import ABSENT_BITS
from tocsin.model.sample import STALE, Metadata, Sample
from tocsin.model.series import Layout, Series, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Keeping, Limits, Options
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.work import Kind, Stopped, Work

A, B = TenantId("a"), TenantId("b")
MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
Content = dict[str, list[tuple[int, float]]]
Open = Callable[..., MetricStore]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def open_store(root: Path) -> Iterator[Open]:
    """Open a store on the test's directory; the one before is closed first."""
    opened: list[MetricStore] = []

    def again(**options: object) -> MetricStore:
        for store in opened:
            store.close()
        opened.append(MetricStore(root, Options(**options)))  # type: ignore[arg-type]  # a test's choice
        return opened[-1]

    yield again
    for store in opened:
        store.close()


def named(name: str, **labels: str) -> Labels:
    return Labels.of({"__name__": name, **labels})


def row(*values: float) -> Values:
    return np.array(values, np.float64)


TARGET = Layout("t", (named("up"), named("load"), named("total", job="x")))
OTHER = Layout("o", (named("up", instance="o"),))


def fill(store: MetricStore, first_ms: int, last_ms: int, *, step: int = MINUTE) -> None:
    """Write a target and single samples, one each minute."""
    for ts in range(first_ms, last_ms, step):
        store.append(A, TARGET, ts, row(1, ts / 3e5, ts // 7))
        store.append(A, OTHER, ts + 3, row(ts % 2))
        store.append_samples(A, [Sample(named("pushed"), ts + 7, ts / 9)])


def content(store: MetricStore, start_ms: int = -DAY, end_ms: int = 99 * DAY) -> Content:
    found = store.select(A, [], start_ms=start_ms, end_ms=end_ms)
    assert [each.labels for each in found] == sorted(each.labels for each in found)
    for each in found:
        assert (np.diff(each.times) > 0).all()
    return {
        str(each.labels): list(zip(each.times.tolist(), each.values.tolist(), strict=True))
        for each in found
    }


def blocks(root: Path) -> list[str]:
    folder = root / "a" / "blocks"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_samples_go_into_blocks_and_are_read_as_if_they_had_not(
    open_store: Open, root: Path
) -> None:
    store = open_store()
    fill(store, 0, 6 * HOUR)
    before = content(store)
    store.expire(A, 6 * HOUR)
    assert len(blocks(root)) == 2
    assert content(store) == before
    stats = store.stats(A)
    assert stats.samples < 6 * 60 * 5
    assert stats.blocks == 2
    assert stats.block_samples == 4 * 60 * 5
    assert stats.block_bytes == sum(
        (root / "a" / "blocks" / b).stat().st_size for b in blocks(root)
    )
    assert stats.newest_ms == 6 * HOUR - MINUTE + 7
    assert stats.wal_segments <= 2
    assert content(open_store()) == before


def test_what_lies_in_blocks_answers_every_question(open_store: Open) -> None:
    store = open_store()
    store.append(A, Layout("g", (named("gone", job="a"), named("gone", job="b"))), 5, row(1, 2))
    store.append(A, OTHER, 9 * HOUR, row(1))
    store.expire(A, 9 * HOUR)
    assert store.stats(A).series == 1
    gone = [matcher("__name__", "=", "gone")]
    assert store.series(A, gone) == [named("gone", job="a"), named("gone", job="b")]
    assert store.series(A, gone, start_ms=6) == []
    assert store.series(A, []) == [named("gone", job="a"), named("gone", job="b"), OTHER.labels[0]]
    assert store.label_names(A) == ["__name__", "instance", "job"]
    assert store.label_names(A, gone, end_ms=5) == ["__name__", "job"]
    assert store.label_names(A, gone, start_ms=6) == []
    assert store.label_values(A, "job") == ["a", "b"]
    assert store.label_values(A, "job", [matcher("job", "!=", "a")]) == ["b"]
    assert store.label_values(A, "job", start_ms=6) == []
    assert [s.values.tolist() for s in store.select(A, gone, start_ms=5, end_ms=5)] == [
        [1.0],
        [2.0],
    ]


def test_answers_are_of_the_moment_of_the_question(open_store: Open) -> None:
    store = open_store()
    fill(store, 0, 26 * HOUR, step=10 * MINUTE)
    store.expire(A, 5 * HOUR)
    before = content(store)
    later = store.later.select(A, [], start_ms=-DAY, end_ms=99 * DAY)
    names = store.later.label_names(A, [], start_ms=0, end_ms=DAY)
    store.expire(A, 50 * HOUR)
    store.delete_series(A, [], now_ms=0)
    store.clean_tombstones(A, 1)
    assert content(store) == {}
    assert {str(s.labels): len(s.times) for s in later()} == {k: len(v) for k, v in before.items()}
    assert names() == ["__name__", "instance", "job"]


def test_staleness_markers_and_odd_values_keep_their_bits(open_store: Open) -> None:
    store = open_store()
    values = [1.0, STALE, float("nan"), -0.0, float("inf"), 5e-324, 0.1]
    for ts, value in enumerate(values):
        store.append(A, OTHER, ts, row(value))
    store.expire(A, 9 * HOUR)
    assert store.stats(A).samples == 0
    (found,) = store.select(A, [], start_ms=0, end_ms=99)
    assert found.values.view(np.uint64).tolist() == row(*values).view(np.uint64).tolist()


def test_nothing_is_sealed_twice_and_idle_upkeep_writes_nothing(
    open_store: Open, root: Path
) -> None:
    store = open_store()
    fill(store, 0, 7 * HOUR)
    for now in range(4 * HOUR, 7 * HOUR, 10 * MINUTE):
        store.expire(A, now)
    found = blocks(root)
    assert len(found) == 2
    assert store.stats(A).block_samples == 4 * 60 * 5
    store.expire(A, 7 * HOUR - MINUTE)
    assert blocks(root) == found
    assert list(store.upkeep(B, 7 * HOUR)) == []


def test_a_late_sample_of_a_sealed_time_is_stored_and_read(open_store: Open, root: Path) -> None:
    store = open_store(out_of_order_window=timedelta(hours=9))
    fill(store, 0, 6 * HOUR)
    store.expire(A, 6 * HOUR)
    before = content(store)
    late = [Sample(named("up"), 90_001, 7.0), Sample(named("load"), 60_000, 5.0)]
    took = store.append_samples(A, [*late, Sample(named("up"), 60_000, 1.0)])
    assert (took.stored, took.refused) == (2, {"duplicate": 1})
    key = str(named("up"))
    expected = {**before, key: sorted([*before[key], (90_001, 7.0)])}
    assert content(store) == expected
    assert content(store, 90_001, 90_001) == {key: [(90_001, 7.0)]}
    store.expire(A, 8 * HOUR + MINUTE)
    assert len(blocks(root)) == 4
    assert content(store) == expected
    assert content(open_store()) == expected
    store = open_store()
    store.expire(A, 3 * DAY)
    assert len(blocks(root)) == 1
    assert content(store) == expected
    assert store.stats(A).block_samples == sum(map(len, expected.values()))


def test_a_sample_that_comes_late_while_its_time_is_sealed_is_not_lost(
    open_store: Open, root: Path
) -> None:
    for at in range(40):
        store = open_store(out_of_order_window=timedelta(hours=9))
        fill(store, 0, 4 * HOUR, step=10 * MINUTE)
        steps = store.upkeep(A, 4 * HOUR)
        items = list(_run(islice(steps, at)))
        ts = 10 * MINUTE + 1
        samples = [Sample(labels, ts, 4.5) for labels in (named("pushed"), named("late"))]
        assert store.append_samples(A, samples).stored == 2
        store.append(A, Layout("new", (named("backfilled"),)), ts, row(6))
        expected = content(store)
        assert expected[str(named("late"))] == [(ts, 4.5)]
        items += _run(steps)
        for _ in range(2):
            assert content(store) == expected
            store = open_store(out_of_order_window=timedelta(hours=9))
        store.expire(A, 3 * DAY)
        assert content(store) == expected
        store.close()
        shutil.rmtree(root)
        if at > len(items):
            return
    pytest.fail("upkeep has more items than expected")


def _run(steps: Iterator[Work]) -> list[Kind]:
    kinds = []
    for work in steps:
        work.run()
        kinds.append(work.kind)
    return kinds


def grown(store: MetricStore) -> Content:
    """Let blocks of every kind come to be; return what the store should hold."""
    fill(store, 0, 30 * HOUR, step=HOUR)
    store.set_metadata(A, "up", Metadata("gauge"))
    return content(store)


def test_a_crash_at_any_moment_of_upkeep_loses_nothing_and_doubles_nothing(
    open_store: Open, root: Path, tmp_path: Path
) -> None:
    store = open_store(chunk_slots=4)
    expected = grown(store)
    with crash_points(root, tmp_path / "crashes") as copies:
        store.expire(A, 12 * HOUR)
        store.expire(A, 30 * HOUR)
        fill(store, 30 * HOUR, 31 * HOUR, step=HOUR)
        later = content(store)
        store.expire(A, 31 * HOUR)
    kinds = {copy.name[4:] for copy in copies}
    assert kinds >= {"os.rename", "os.remove", "open"}
    assert len(blocks(root)) == 4
    for copy in copies:
        recovered = MetricStore(copy)
        assert content(recovered) in (expected, later), copy.name
        assert recovered.metadata(A) == {"up": Metadata("gauge")}
        held = content(recovered)
        recovered.expire(A, 31 * HOUR)
        assert content(recovered) == held
        total = recovered.stats(A).block_samples + recovered.stats(A).samples
        assert total <= sum(map(len, held.values())) + 5 * 6, "sealed twice"
        recovered.close()


def test_a_crash_at_any_moment_of_a_deletion_brings_nothing_back(
    open_store: Open, root: Path, tmp_path: Path
) -> None:
    store = open_store(chunk_slots=4)
    before = grown(store)
    store.expire(A, 30 * HOUR)
    with crash_points(root, tmp_path / "crashes") as copies:
        store.delete_series(A, [matcher("__name__", "=~", "up|pushed")], now_ms=30 * HOUR)
        first = len(copies)
        expected = content(store)
        store.clean_tombstones(A, 30 * HOUR)
        store.expire(A, 40 * HOUR)
        store.expire(A, 60 * HOUR)
    assert set(expected) == {str(named("load")), str(named("total", job="x"))}
    assert content(store) == expected
    assert store.stats(A).tombstones == 0
    for at, copy in enumerate(copies):
        recovered = MetricStore(copy)
        held = content(recovered)
        assert held == expected or (held == before and at < first), copy.name
        recovered.expire(A, 90 * HOUR)
        assert content(recovered) == held
        recovered.close()


def test_deleted_samples_are_invisible_at_once_wherever_they_lie(open_store: Open) -> None:
    store = open_store()
    fill(store, 0, 6 * HOUR)
    store.expire(A, 6 * HOUR)
    up = str(named("up"))
    before = content(store)
    store.delete_series(
        A,
        [matcher("__name__", "=", "up"), matcher("instance", "=", "")],
        start_ms=HOUR,
        end_ms=5 * HOUR,
        now_ms=6 * HOUR,
    )
    kept = [(ts, v) for ts, v in before[up] if not HOUR <= ts <= 5 * HOUR]
    expected = {**before, up: kept}
    for _ in range(2):
        assert content(store) == expected
        assert store.series(A, [], start_ms=HOUR, end_ms=5 * HOUR)[-1] == OTHER.labels[0]
        assert named("up") not in store.series(A, [], start_ms=2 * HOUR, end_ms=3 * HOUR)
        values = store.label_values(A, "__name__", start_ms=2 * HOUR, end_ms=3 * HOUR)
        assert values == ["load", "pushed", "total", "up"]
        assert store.stats(A).tombstones == 1
        store = open_store()
    fill(store, 6 * HOUR, 7 * HOUR)
    assert content(store)[up] == [*kept, *[(t, 1.0) for t in range(6 * HOUR, 7 * HOUR, MINUTE)]]


def test_a_deletion_does_not_touch_what_comes_later(open_store: Open, root: Path) -> None:
    store = open_store()
    fill(store, 0, 3 * HOUR)
    store.expire(A, 9 * HOUR)
    store.delete_series(A, [], now_ms=9 * HOUR)
    assert content(store) == {}
    store.append_samples(A, [Sample(named("up"), MINUTE, 8.0)])
    expected = {str(named("up")): [(MINUTE, 8.0)]}
    assert content(store) == expected
    store = open_store()
    assert content(store) == expected
    store.expire(A, 22 * HOUR)
    assert content(store) == expected
    assert (len(blocks(root)), store.stats(A).tombstones) == (1, 0)


def test_a_deleted_sample_may_be_written_again(open_store: Open) -> None:
    store = open_store(out_of_order_window=timedelta(days=1))
    fill(store, 0, 6 * HOUR)
    store.expire(A, 6 * HOUR)
    again = [Sample(named("up"), MINUTE, 5.0)]
    assert store.append_samples(A, again).refused == {"duplicate": 1}
    store.delete_series(A, [matcher("__name__", "=", "up")], end_ms=HOUR, now_ms=6 * HOUR)
    assert store.append_samples(A, again).stored == 1
    for _ in range(2):
        assert content(store, 0, HOUR)[str(named("up"))] == [(MINUTE, 5.0)]
        store = open_store()


def test_deleted_samples_are_off_the_disk_within_a_day(open_store: Open, root: Path) -> None:
    store = open_store()
    secret = named("visits", person="jane")
    store.append(A, Layout("g", (secret,)), 0, row(1))
    fill(store, 0, 3 * HOUR, step=10 * MINUTE)
    store.expire(A, 5 * HOUR)
    store.delete_series(A, [matcher("person", "=", "jane")], now_ms=5 * HOUR)
    expected = content(store)
    for hour in range(5, 24):
        store.expire(A, hour * HOUR)
    assert content(store) == expected
    assert store.stats(A).tombstones == 0
    later = MetricStore(shutil.copytree(root, root.parent / "copy"))
    assert later.label_values(A, "person") == []
    later.close()


def test_clean_tombstones_rewrites_only_what_holds_deleted_samples(
    open_store: Open, root: Path
) -> None:
    store = open_store()
    fill(store, 0, 2 * HOUR)
    store.append(A, Layout("g", (named("later"),)), 3 * HOUR, row(1))
    fill(store, 3 * HOUR, 4 * HOUR)
    store.expire(A, 6 * HOUR)
    first, second = blocks(root)
    store.delete_series(A, [matcher("__name__", "=", "later")], now_ms=6 * HOUR)
    store.clean_tombstones(A, 6 * HOUR)
    assert first in blocks(root)
    assert second not in blocks(root)
    assert store.stats(A).tombstones == 0
    assert str(named("later")) not in content(store)


def test_a_deletion_in_an_empty_or_unknown_store_is_fine(open_store: Open) -> None:
    store = open_store()
    store.delete_series(A, [], now_ms=5)
    store.clean_tombstones(A, 5)
    fill(store, 0, HOUR)
    store.delete_series(A, [], start_ms=9 * HOUR, now_ms=5)
    assert len(content(store)) == 5


def test_blocks_grow_and_go_by_age(open_store: Open, root: Path) -> None:
    store = open_store(retention=timedelta(days=10))
    for day in range(14):
        fill(store, day * DAY, (day + 1) * DAY, step=HOUR)
        for hour in range(0, 24, 6):
            store.expire(A, day * DAY + hour * HOUR)
    store.expire(A, 14 * DAY)
    spans = [[int(part) for part in name.split("-")[:2]] for name in blocks(root)]
    days = [span for span in spans if span[1] - span[0] > 2 * HOUR]
    assert len(days) == 9
    assert min(ts for ts, _ in content(store)[str(named("up"))]) == 4 * DAY


def test_blocks_go_by_size_the_oldest_first(open_store: Open, root: Path) -> None:
    store = open_store()
    fill(store, 0, 8 * HOUR)
    store.expire(A, 8 * HOUR)
    stats = store.stats(A)
    assert stats.blocks == 3
    newest = [(root / "a" / "blocks" / name).stat().st_size for name in blocks(root)[1:]]
    room = stats.wal_bytes + sum(newest)
    store.set_keeping(A, Keeping(retention=timedelta(days=15), retention_size=room))
    store.expire(A, 8 * HOUR)
    assert store.stats(A).blocks == 2
    assert min(ts for ts, _ in content(store)[str(named("up"))]) == 2 * HOUR
    store.set_keeping(A, Keeping(retention=timedelta(hours=3), retention_size=None))
    store.expire(A, 8 * HOUR)
    assert min(ts for ts, _ in content(store)[str(named("up"))]) == 4 * HOUR


def test_all_tenants_together_may_have_a_bound(open_store: Open) -> None:
    store = open_store()
    fill(store, 0, 4 * HOUR, step=10 * MINUTE)
    store.append(B, TARGET, 4 * HOUR, row(1, 2, 3))
    for tenant in (A, B):
        store.expire(tenant, 9 * HOUR)
    assert (store.stats(A).blocks, store.stats(B).blocks) == (2, 1)
    store.set_total_size(store.stats(B).block_bytes + store.stats(A).block_bytes // 2 + 99)
    store.expire(B, 9 * HOUR)
    assert (store.stats(A).blocks, store.stats(B).blocks) == (1, 1)
    store.set_total_size(1)
    store.expire(A, 9 * HOUR)
    assert (store.stats(A).blocks, store.stats(B).blocks) == (0, 0)


def test_a_snapshot_is_a_store_of_its_own(open_store: Open, root: Path, tmp_path: Path) -> None:
    store = open_store()
    expected = grown(store)
    store.expire(A, 30 * HOUR)
    store.append(B, TARGET, 5, row(1, 2, 3))
    store.delete_series(A, [matcher("__name__", "=", "load")], now_ms=30 * HOUR)
    expected.pop(str(named("load")))
    size = store.stats(A)
    store.snapshot(tmp_path / "copy", 30 * HOUR)
    assert store.stats(A) == size
    fill(store, 30 * HOUR, 33 * HOUR)
    store.expire(A, 60 * HOUR)
    copy = MetricStore(tmp_path / "copy")
    assert content(copy) == expected
    assert copy.tenants() == [A, B]
    assert copy.metadata(A) == {"up": Metadata("gauge")}
    assert copy.stats(A).samples == 0
    copy.append(A, TARGET, 40 * HOUR, row(1, 2, 3))
    copy.close()
    with pytest.raises(InvalidInput, match="exists already"):
        store.snapshot(tmp_path / "copy", 30 * HOUR, tenant=B)
    store.snapshot(tmp_path / "other", 30 * HOUR, tenant=B)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["b"]


def test_one_upkeep_of_a_tenant_at_a_time(open_store: Open) -> None:
    store = open_store()
    fill(store, 0, 4 * HOUR, step=10 * MINUTE)
    steps = store.upkeep(A, 4 * HOUR)
    next(steps)
    assert list(store.upkeep(A, 4 * HOUR)) == []
    for other in (store.cleaning, store.compacting):
        with pytest.raises(LimitExceeded, match="try again later"):
            list(other(A, 4 * HOUR))
    steps.close()
    assert list(store.compacting(A, 4 * HOUR)) != []


def test_closing_ends_the_work_under_way(open_store: Open, root: Path) -> None:
    store = open_store()
    fill(store, 0, 4 * HOUR, step=10 * MINUTE)
    expected = content(store)
    for work in store.upkeep(A, 4 * HOUR):
        if work.kind is Kind.SEAL:
            store.close()
            with pytest.raises(Stopped):
                work.run()
            break
        work.run()
    else:
        pytest.fail("nothing was sealed")
    assert content(open_store()) == expected


def test_a_full_disk_leaves_head_and_log_as_they_were(open_store: Open, root: Path) -> None:
    store = open_store()
    fill(store, 0, 4 * HOUR, step=10 * MINUTE)
    expected, size = content(store), store.stats(A).wal_bytes
    (root / "a" / "blocks").write_text("no room here")
    for _ in range(2):
        with pytest.raises(OSError, match=r"exists|directory"):
            store.expire(A, 4 * HOUR)
        assert content(store) == expected
    assert store.stats(A).wal_bytes >= size
    (root / "a" / "blocks").unlink()
    store.expire(A, 4 * HOUR)
    assert content(store) == expected
    assert len(blocks(root)) == 1


def test_a_damaged_block_does_not_stop_the_start(open_store: Open, root: Path) -> None:
    store = open_store()
    fill(store, 0, 6 * HOUR, step=10 * MINUTE)
    store.expire(A, 6 * HOUR)
    store.close()
    bad = root / "a" / "blocks" / blocks(root)[0]
    bad.write_bytes(bad.read_bytes()[:-9])
    store = open_store()
    found = content(store)
    assert min(ts for ts, _ in found[str(named("up"))]) == 2 * HOUR
    (fault,) = store.stats(A).faults
    assert fault.path == bad
    assert store.stats(A).blocks == 1


def test_a_block_whose_index_is_damaged_is_left_out_of_answers(
    open_store: Open, root: Path
) -> None:
    store = open_store()
    fill(store, 0, 6 * HOUR, step=10 * MINUTE)
    store.expire(A, 6 * HOUR)
    store = open_store()
    path = root / "a" / "blocks" / blocks(root)[0]
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x28\xb5\x2f\xfd", 0, len(data) // 2 + 1000)
    data[at : at + 4] = b"zstd"
    path.write_bytes(data)
    assert len(content(store)) == 5
    path.unlink()
    assert len(content(store)) == 5
    assert store.stats(A).faults


def test_series_share_times_over_blocks_and_head(open_store: Open) -> None:
    store = open_store()
    fill(store, 0, 6 * HOUR)
    store.expire(A, 6 * HOUR)
    same = store.select(A, [matcher("__name__", "=~", "load|total")], start_ms=0, end_ms=DAY)
    assert len(same) == 2
    assert same[0].times is same[1].times
    assert len(same[0].times) == 6 * 60


def test_series_of_a_source_with_its_own_window(open_store: Open) -> None:
    store = open_store()
    late = [Series(named("x"), np.array([5]), row(1))]
    store.append(A, Layout("g", (named("x"),)), HOUR, row(1))
    window = timedelta(minutes=5)
    assert store.append_series(A, late, out_of_order_window=window).stored == 0
    store.set_keeping(A, Keeping(timedelta(days=1), out_of_order_window=timedelta(hours=2)))
    assert store.append_series(A, late, out_of_order_window=window).stored == 1
    assert store.append_samples(A, [Sample(named("x"), 7, 1.0)]).stored == 1
    store.set_keeping(A, Keeping(timedelta(days=1), out_of_order_window=timedelta(0)))
    assert store.append_samples(A, [Sample(named("x"), 8, 1.0)]).stored == 0


def ring_content(store: MetricStore, metric: str, depth_ms: int) -> Content:
    """Return the samples of a ring, `depth_ms` back from the newest."""
    ring = store.ring(A, metric, depth_ms=depth_ms)
    assert ring is not None
    found: Content = {}
    for column, labels in enumerate(ring.labels):
        clock, samples = int(ring.origin[column]), []
        written = int(ring.written[clock])
        for number in range(max(0, written - ring.depth), written):
            at = number % ring.depth
            value = ring.values[at, column]
            if value.view(np.uint64) != ABSENT_BITS:
                samples.append((int(ring.times[at, clock]), float(value)))
        found[str(labels)] = samples
    newest = max((ts for samples in found.values() for ts, _ in samples), default=0)
    kept = {k: [s for s in samples if s[0] >= newest - depth_ms] for k, samples in found.items()}
    return {k: samples for k, samples in sorted(kept.items()) if samples}


def selected(store: MetricStore, metric: str, depth_ms: int) -> Content:
    matchers = [matcher("__name__", "=", metric)]
    newest = max(int(s.times[-1]) for s in store.select(A, matchers, start_ms=0, end_ms=DAY))
    span = {"start_ms": newest - depth_ms, "end_ms": newest}
    return {
        str(s.labels): list(zip(s.times.tolist(), s.values.tolist(), strict=True))
        for s in store.select(A, matchers, **span)
    }


def test_a_ring_reaches_back_into_blocks(open_store: Open) -> None:
    store = open_store(out_of_order_window=timedelta(days=1))
    target = Layout("t", tuple(named("m", i=f"{i}") for i in range(4)))
    store.append(A, Layout("dead", (named("m", i="dead"),)), 2 * HOUR + 7, row(5))
    for ts in range(HOUR, 7 * HOUR, 10 * MINUTE):
        store.append(A, target, ts, row(ts, 1, 2, 3))
        some = [Series(named("m", i="5"), np.array([ts + 1]), row(ts % 7))]
        store.append_series(A, some)
    store.append_samples(A, [Sample(named("m", i="2"), 3 * HOUR + 5, 9.0)])
    crowd = [Sample(named("m", i="3"), 3 * HOUR + k, float(k)) for k in range(1, 40)]
    store.append_samples(A, crowd)
    for restarted in (False, True):
        if restarted:
            store = open_store()
        store.expire(A, 7 * HOUR)
        for depth in (HOUR, 5 * HOUR, 9 * HOUR):
            assert ring_content(store, "m", depth) == selected(store, "m", depth)
    assert str(named("m", i="dead")) in selected(store, "m", 9 * HOUR)
    for ts in range(7 * HOUR, 8 * HOUR, 10 * MINUTE):
        store.append(A, target, ts, row(ts, 4, 5, 6))
        store.append_samples(A, [Sample(named("m", i="5"), ts + 1, 8.0)])
        assert ring_content(store, "m", 5 * HOUR) == selected(store, "m", 5 * HOUR)
    store.delete_series(A, [matcher("i", "=", "1")], now_ms=8 * HOUR)
    assert ring_content(store, "m", 5 * HOUR) == selected(store, "m", 5 * HOUR)
    assert str(named("m", i="1")) not in selected(store, "m", 5 * HOUR)


def test_a_ring_of_series_beyond_the_limit_is_refused_for_a_while(open_store: Open) -> None:
    store = open_store(limits=Limits(active_series=3))
    for hour in range(6):
        store.append(A, Layout(f"{hour}", (named("m", i=f"{hour}"),)), hour * HOUR, row(1))
        store.expire(A, (hour + 3) * HOUR)
    store.append(A, Layout("x", (named("m", i="x"),)), 6 * HOUR, row(1))
    assert store.ring(A, "m", depth_ms=9 * HOUR) is None
    assert store.ring(A, "m", depth_ms=9 * HOUR) is None
    assert store.ring(A, "m", depth_ms=MINUTE) is not None


@pytest.mark.parametrize("at", range(12))
def test_a_deletion_in_the_midst_of_cleaning_and_merging_counts(
    open_store: Open, root: Path, at: int
) -> None:
    store = open_store()
    fill(store, 0, 26 * HOUR, step=20 * MINUTE)
    store.expire(A, 12 * HOUR)
    store.delete_series(A, [matcher("__name__", "=", "load")], end_ms=HOUR, now_ms=12 * HOUR)
    steps = store.upkeep(A, 30 * HOUR)
    _run(islice(steps, at))
    store.delete_series(A, [matcher("__name__", "=", "up")], now_ms=30 * HOUR)
    expected = content(store)
    assert not [key for key in expected if 'up"' in key]
    _run(steps)
    assert content(store) == expected
    store.clean_tombstones(A, 30 * HOUR)
    assert content(store) == expected
    assert content(open_store()) == expected
