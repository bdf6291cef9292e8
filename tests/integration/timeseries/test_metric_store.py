"""The store on a real directory: tenants apart, limits, metadata, retention, one process."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tocsin.model.errors import InvalidInput, InvalidTenant, NotDurable, StoreUnusable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.matchers import matcher
from tocsin.model.sample import STALE, STALE_BITS, Metadata, Sample
from tocsin.model.series import Layout, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Limits, Options
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.tenant_store import TenantStats

A, B = TenantId("a"), TenantId("b")
Open = Callable[..., MetricStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Open a store on the test's directory; the one before is closed first."""
    opened: list[MetricStore] = []

    def again(**options: object) -> MetricStore:
        for store in opened:
            store.close()
        opened.append(MetricStore(tmp_path / "metrics", Options(**options)))  # type: ignore[arg-type]  # a test's choice
        return opened[-1]

    yield again
    for store in opened:
        store.close()


def row(*values: float) -> Values:
    return np.array(values, np.float64)


def layout(group: str, *names: str) -> Layout:
    return Layout(group, tuple(Labels.of({"__name__": name}) for name in names))


def read(store: MetricStore, tenant: TenantId) -> dict[str, list[tuple[int, float]]]:
    found = store.select(tenant, [], start_ms=-(10**15), end_ms=10**15)
    return {
        s.labels["__name__"]: list(zip(s.times.tolist(), s.values.tolist(), strict=True))
        for s in found
    }


def test_a_restart_brings_back_what_was_appended(open_store: Open) -> None:
    store = open_store()
    target = layout("t", "up", "load")
    for ts in range(10):
        store.append(A, target, ts, row(1, ts / 3))
    store.append_samples(A, [Sample(Labels.of({"__name__": "x"}), -5, 0.1)])
    before = read(store, A)
    store = open_store()
    assert read(store, A) == before
    assert store.newest(A) == 9
    store.append(A, target, 10, row(1, 2))
    assert read(open_store(), A)["load"][-2:] == [(9, 3.0), (10, 2.0)]


def test_staleness_markers_keep_their_bits_over_a_restart(open_store: Open) -> None:
    open_store().append(A, layout("t", "up"), 1, row(STALE))
    (series,) = open_store().select(A, [], start_ms=0, end_ms=9)
    assert series.values.view(np.uint64).tolist() == [STALE_BITS]


def test_tenants_never_see_each_other(open_store: Open) -> None:
    store = open_store()
    same = layout("t", "up")
    store.append(A, same, 1, row(1))
    store.append(B, same, 1, row(2))
    store.append(B, layout("u", "only_b"), 1, row(3))
    store.set_metadata(B, "up", Metadata("gauge"))
    for restarted in (False, True):
        each = open_store() if restarted else store
        assert read(each, A) == {"up": [(1, 1.0)]}
        assert read(each, B) == {"only_b": [(1, 3.0)], "up": [(1, 2.0)]}
        assert each.label_values(A, "__name__") == ["up"]
        assert each.metadata(A) == {}
        assert each.tenants() == [A, B]


def test_a_tenant_nobody_wrote_to_is_empty_and_not_made_by_reading(
    open_store: Open, tmp_path: Path
) -> None:
    store = open_store()
    assert store.select(A, [], start_ms=0, end_ms=9) == []
    assert store.series(A, []) == store.label_names(A) == store.label_values(A, "job") == []
    assert (store.metadata(A), store.stats(A), store.newest(A)) == ({}, TenantStats(), None)
    store.expire(A, 0)
    assert store.tenants() == []
    assert not (tmp_path / "metrics" / "a").exists()


@pytest.mark.parametrize("name", ["../evil", "", "A/b", "."])
def test_a_tenant_id_that_is_none_never_becomes_a_path(open_store: Open, name: str) -> None:
    with pytest.raises(InvalidTenant):
        open_store().append(TenantId(name), layout("t", "up"), 1, row(1))


def test_directories_of_others_are_left_alone(open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "metrics" / "Not A Tenant" / "wal").mkdir(parents=True)
    assert open_store().tenants() == []


def test_limits_hit_their_own_tenant_only_and_spare_the_rest_of_the_batch(open_store: Open) -> None:
    store = open_store(limits=Limits(active_series=2))
    assert store.append(A, layout("t", "x", "y", "z"), 1, row(1, 2, 3)).refused == {
        "active_series_limit": 1
    }
    assert store.append(A, layout("u", "y", "q"), 2, row(4, 5)).stored == 1
    assert read(store, A) == {"x": [(1, 1.0)], "y": [(1, 2.0), (2, 4.0)]}
    assert store.append(B, layout("t", "x", "y"), 1, row(1, 2)).refused == {}
    samples = [Sample(Labels.of({"__name__": name}), 3, 1.0) for name in "xzy"]
    took = store.append_samples(A, samples)
    assert (took.stored, took.refused) == (2, {"active_series_limit": 1})


def test_a_tenant_may_have_limits_of_its_own(open_store: Open) -> None:
    store = open_store(limits=Limits(active_series=1))
    pair = layout("t", "x", "y")
    store.set_limits(B, Limits(active_series=5))
    assert store.append(A, pair, 1, row(1, 2)).stored == 1
    assert store.append(B, pair, 1, row(1, 2)).stored == 2
    store.set_limits(A, Limits(active_series=5))
    assert store.append(A, pair, 2, row(1, 2)).stored == 2


def test_a_series_that_stands_twice_in_a_layout_is_stored_once(open_store: Open) -> None:
    store = open_store()
    took = store.append(A, layout("t", "x", "y", "x", "x"), 1, row(1, 2, 1, 3))
    assert (took.stored, took.refused) == (3, {"duplicate": 1})
    took = store.append(A, layout("t", "y", "x", "y"), 0, row(1, 2, 1))
    assert (took.stored, took.refused) == (0, {"out_of_order": 3})
    assert read(store, A) == {"x": [(1, 1.0)], "y": [(1, 2.0)]}


def test_a_row_repeated_by_its_sender_is_accepted_and_logged_once(open_store: Open) -> None:
    store = open_store()
    target = layout("t", "x", "y")
    store.append(A, target, 1, row(1, 2))
    size = store.stats(A).wal_bytes
    assert store.append(A, target, 1, row(1, 2)).stored == 2
    took = store.append(A, target, 1, row(1, 3))
    assert (took.stored, took.refused) == (1, {"duplicate": 1})
    assert store.stats(A).wal_bytes == size


def test_a_row_partly_too_old_keeps_its_other_samples(open_store: Open) -> None:
    store = open_store()
    store.append_samples(A, [Sample(Labels.of({"__name__": "x"}), 9, 1.0)])
    took = store.append(A, layout("t", "x", "y"), 5, row(1, 2))
    assert (took.stored, took.refused) == (1, {"out_of_order": 1})
    took = store.append(A, Layout("u", (EMPTY, *layout("u", "x", "z").labels)), 5, row(0, 1, 2))
    assert (took.stored, took.refused) == (1, {"out_of_order": 1, "invalid_labels": 1})
    assert read(open_store(), A) == {"x": [(9, 1.0)], "y": [(5, 2.0)], "z": [(5, 2.0)]}


def test_times_beyond_reason_are_refused(open_store: Open) -> None:
    store = open_store()
    assert store.append(A, layout("t", "x"), 2**62 + 1, row(1)).refused == {"out_of_bounds": 1}
    assert store.append(A, layout("t"), 2**62 + 1, row()).refused == {}


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], [[1.0], [2.0]]])
def test_values_that_do_not_fit_their_layout_are_an_error(
    open_store: Open, values: list[float]
) -> None:
    with pytest.raises(InvalidInput, match="group 't' has 2 series"):
        open_store().append(A, layout("t", "x", "y"), 1, np.array(values))


def test_the_store_keeps_no_hand_on_the_callers_array(open_store: Open) -> None:
    store, values = open_store(), row(1, 2)
    store.append(A, layout("t", "x", "y"), 1, values)
    values[:] = 9
    assert read(store, A) == {"x": [(1, 1.0)], "y": [(1, 2.0)]}


def test_metadata_survives_restart_and_the_segments_it_was_written_to(open_store: Open) -> None:
    store = open_store(segment_bytes=1, retention=timedelta(hours=24))
    up = Metadata("gauge", "Is it up?", "")
    store.set_metadata(A, "up", up)
    store.set_metadata(A, "up", up)
    store.set_metadata(A, "load", Metadata("gauge", "é" * 3000, "\ud800"))
    hour = 3_600_000
    for k in range(5):
        store.append(A, layout("t", "up"), k * hour, row(1))
    store.expire(A, 27 * hour)
    store = open_store()
    assert store.metadata(A)["up"] == up
    assert store.metadata(A)["load"] == Metadata("gauge", "é" * 1024, "?")
    assert read(store, A) == {"up": [(k * hour, 1.0) for k in (2, 3, 4)]}


def test_metadata_has_a_limit_and_needs_a_name_that_can_be_written(open_store: Open) -> None:
    store = open_store(limits=Limits(metadata_entries=1))
    store.set_metadata(A, "\ud800", Metadata("gauge"))
    store.set_metadata(A, "up", Metadata("gauge"))
    store.set_metadata(A, "down", Metadata("gauge"))
    store.set_metadata(A, "up", Metadata("counter"))
    store.append(A, layout("t", "up"), 1, row(1))
    assert store.stats(A).wal_segments == 1
    assert open_store().metadata(A) == {"up": Metadata("counter")}


def test_metadata_alone_does_not_pile_up_segments(open_store: Open) -> None:
    for k in range(4):
        store = open_store()
        store.set_metadata(A, f"m{k}", Metadata("gauge"))
        assert store.stats(A).wal_segments == 1
    assert len(open_store().metadata(A)) == 4


def test_retention_forgets_samples_series_labels_and_segments(open_store: Open) -> None:
    store = open_store(retention=timedelta(seconds=1), chunk_slots=2, segment_bytes=1)
    for ts in range(0, 5000, 500):
        store.append(A, layout("t", "x", f"p{ts}"), ts, row(ts, 1))
    assert store.stats(A).wal_segments == 10
    store.expire(A, 5000)
    assert read(store, A) == {
        "p4000": [(4000, 1.0)],
        "p4500": [(4500, 1.0)],
        "x": [(4000, 4000.0), (4500, 4500.0)],
    }
    assert store.label_values(A, "__name__") == ["p4000", "p4500", "x"]
    assert (store.stats(A).wal_segments, store.stats(A).series) == (2, 3)
    assert sorted(read(open_store(), A)) == ["p4000", "p4500", "x"]


def test_an_idle_tenant_is_forgotten_entirely_and_may_come_back(
    open_store: Open, tmp_path: Path
) -> None:
    store = open_store(retention=timedelta(hours=24))
    store.append(A, layout("t", "x"), 0, row(1))
    store.expire(A, 10**9)
    assert store.stats(A).samples == store.stats(A).series == store.stats(A).wal_bytes == 0
    store.sync()
    assert list((tmp_path / "metrics" / "a" / "wal").iterdir()) == []
    store.append(A, layout("t", "x"), 10**9, row(2))
    assert read(open_store(), A) == {"x": [(10**9, 2.0)]}


def test_an_id_freed_by_expiry_names_its_new_series_after_a_restart(open_store: Open) -> None:
    store = open_store(retention=timedelta(milliseconds=5), chunk_slots=1)
    keep = layout("k", "keep")
    store.append(A, layout("t", "old"), 0, row(1))
    store.append(A, keep, 10, row(1))
    store.expire(A, 10)
    store.append(A, layout("t", "new"), 11, row(2))
    store.append_samples(A, [Sample(Labels.of({"__name__": "newer"}), 12, 3.0)])
    found = read(open_store(), A)
    assert {"new": [(11, 2.0)], "newer": [(12, 3.0)], "keep": [(10, 1.0)]}.items() <= found.items()


def test_one_process_has_the_directory(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    with pytest.raises(StoreUnusable, match=r"in use by another process \(pid \d+\)"):
        MetricStore(tmp_path / "metrics")
    store.close()
    MetricStore(tmp_path / "metrics").close()


def test_a_store_that_cannot_be_opened_lets_go_of_the_directory(
    open_store: Open, tmp_path: Path
) -> None:
    wal = tmp_path / "metrics" / "a" / "wal"
    wal.parent.mkdir(parents=True)
    wal.write_text("not a directory")
    with pytest.raises(StoreUnusable, match=r"cannot be opened: .* exists"):
        open_store()
    wal.unlink()
    open_store()


def test_a_closed_store_takes_nothing_in(open_store: Open) -> None:
    store = open_store()
    store.append(A, layout("t", "x"), 1, row(1))
    store.close()
    store.close()
    with pytest.raises(NotDurable, match="closed"):
        store.append(A, layout("t", "x"), 2, row(1))
    assert store.select(A, [], start_ms=0, end_ms=9) == []


def test_series_and_label_listings_go_by_matchers_and_time(open_store: Open) -> None:
    store = open_store()
    web, db = (Labels.of({"__name__": "up", "job": job}) for job in ("web", "db"))
    store.append(A, Layout("t", (web,)), 1, row(1))
    store.append(A, Layout("u", (db,)), 5, row(1))
    up = [matcher("__name__", "=", "up")]
    assert store.series(A, up) == [db, web]
    assert store.series(A, up, start_ms=0, end_ms=4) == [web]
    assert store.label_values(A, "job", [matcher("job", "!=", "web")]) == ["db"]
    assert store.label_values(A, "job", start_ms=2) == ["db"]
    assert store.label_values(A, "none") == []
    assert store.label_names(A, [matcher("job", "=", "none")]) == []
    assert store.label_names(A) == ["__name__", "job"]


def test_a_ring_takes_what_is_appended_and_belongs_to_one_tenant(open_store: Open) -> None:
    store = open_store()
    target = layout("t", "up", "load")
    assert store.ring(A, "up", depth_ms=10_000) is store.ring(B, "up", depth_ms=10_000)
    store.append(A, target, 1000, row(1, 2))
    ring = store.ring(A, "up", depth_ms=10_000)
    assert ring is not None
    store.append(A, target, 2000, row(0, 2))
    store.append(B, target, 3000, row(0, 2))
    assert store.ring(A, "up", depth_ms=10_000) is ring
    assert (ring.written[0], ring.times[:2, 0].tolist()) == (2, [1000, 2000])
    assert ring.values[:2, 0].tolist() == [1.0, 0.0]
    again = open_store().ring(A, "up", depth_ms=10_000)
    assert again is not None
    assert again.values[:2, 0].tolist() == [1.0, 0.0]


def test_rings_have_a_budget_of_memory(open_store: Open) -> None:
    store = open_store(ring_bytes=100)
    store.append(A, layout("t", "up"), 1, row(1))
    assert store.ring(A, "up", depth_ms=10_000) is None
