"""The log on a real disk: torn tails, damage, full disks, kill -9, syncing beside appends."""

import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import tocsin
from tocsin.model.errors import NotDurable
from tocsin.model.labels import Labels
from tocsin.model.sample import STALE, Metadata, Sample
from tocsin.model.series import Layout, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries import records
from tocsin.timeseries.frames import pack_frame, read_frames
from tocsin.timeseries.options import Fsync, Options
from tocsin.timeseries.records import Packer, RecordType, header
from tocsin.timeseries.store import MetricStore

A = TenantId("a")
Content = dict[str, list[tuple[int, int]]]


def row(*values: float) -> Values:
    return np.array(values, np.float64)


def layout(group: str, *names: str) -> Layout:
    return Layout(group, tuple(Labels.of({"__name__": name}) for name in names))


def content(store: MetricStore) -> Content:
    found = store.select(A, [], start_ms=-(10**15), end_ms=10**15)
    return {
        s.labels["__name__"]: list(
            zip(s.times.tolist(), s.values.view(np.uint64).tolist(), strict=True)
        )
        for s in found
    }


def segments(root: Path) -> list[Path]:
    return sorted((root / "a" / "wal").iterdir())


def reopened(root: Path) -> tuple[Content, int]:
    store = MetricStore(root)
    try:
        return content(store), store.stats(A).lost_bytes
    finally:
        store.close()


def fill(root: Path) -> list[tuple[int, Content]]:
    """Write a small log; return its size and content after each append."""
    store = MetricStore(root)
    steps: list[tuple[int, Content]] = [(0, {})]

    def note() -> None:
        steps.append((store.stats(A).wal_bytes, content(store)))

    store.append(A, layout("g", "x", "y"), 1, row(1.5, STALE))
    note()
    store.append(A, layout("g", "x", "y"), 2, row(-0.0, 7))
    note()
    store.append_samples(A, [Sample(Labels.of({"__name__": n}), 3, 0.1) for n in "xzw"])
    note()
    store.set_metadata(A, "x", Metadata("gauge"))
    note()
    store.append(A, layout("g", "y", "v"), 4, row(1, 2))
    note()
    store.close()
    return steps


def test_a_tail_torn_at_any_byte_costs_only_what_was_torn(tmp_path: Path) -> None:
    steps = fill(tmp_path / "whole")
    (segment,) = segments(tmp_path / "whole")
    data = segment.read_bytes()
    ends = [0, *(frame.end for frame in read_frames(memoryview(data)))]
    assert ends[-1] == len(data) == steps[-1][0]
    root = tmp_path / "torn"
    torn = root / "a" / "wal" / segment.name
    for cut in range(len(data) + 1):
        torn.parent.mkdir(parents=True, exist_ok=True)
        torn.write_bytes(data[:cut])
        expected = [state for size, state in steps if size <= cut][-1]
        whole = max(end for end in ends if end <= cut)
        assert reopened(root) == (expected, cut - whole)
        assert (torn.stat().st_size if torn.exists() else 0) == whole
        shutil.rmtree(root)


def test_a_torn_tail_is_reported_once_and_the_log_goes_on(tmp_path: Path) -> None:
    fill(tmp_path)
    with segments(tmp_path)[0].open("ab") as file:
        file.write(b"torn")
    store = MetricStore(tmp_path)
    assert store.stats(A).lost_bytes == 4
    store.append(A, layout("g", "y", "v"), 5, row(8, 9))
    expected = content(store)
    store.close()
    assert reopened(tmp_path) == (expected, 0)


def three_segments(root: Path) -> MetricStore:
    store = MetricStore(root, Options(segment_bytes=1))
    for ts in (1, 2, 3):
        store.append(A, layout("g", "x"), ts, row(ts))
    return store


def test_damage_in_one_segment_costs_nothing_of_the_others(tmp_path: Path) -> None:
    three_segments(tmp_path).close()
    damaged = segments(tmp_path)[1]
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    found, lost = reopened(tmp_path)
    assert [ts for ts, _ in found["x"]] == [1, 3]
    assert lost > 0


def test_a_segment_of_another_tenant_or_format_is_left_as_it_is(tmp_path: Path) -> None:
    three_segments(tmp_path).close()
    foreign = segments(tmp_path)[1]
    for data in (
        pack_frame(0, RecordType.HEADER, header(TenantId("b"))),
        pack_frame(0, RecordType.METADATA, b"\x90"),
    ):
        foreign.write_bytes(data)
        found, lost = reopened(tmp_path)
        assert [ts for ts, _ in found["x"]] == [1, 3]
        assert lost == len(data)
        assert foreign.read_bytes() == data


@pytest.mark.parametrize(
    ("kind", "payload"),
    [(99, b""), (RecordType.ROW, b"x"), (RecordType.ROW, bytes(20)), (RecordType.SERIES, b"x")],
)
def test_a_whole_record_without_meaning_ends_the_reading_of_its_segment(
    tmp_path: Path, kind: int, payload: bytes
) -> None:
    steps = fill(tmp_path)
    (segment,) = segments(tmp_path)
    seq = [frame.seq for frame in read_frames(memoryview(segment.read_bytes()))][-1] + 1
    strange = pack_frame(seq, kind, payload)
    with segment.open("ab") as file:
        file.write(strange)
    for _ in range(2):
        assert reopened(tmp_path) == (steps[-1][1], len(strange))


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path) -> None:
    steps = fill(tmp_path)
    for name in ("notes.txt", "x.wal"):
        (tmp_path / "a" / "wal" / name).write_text("hello")
    assert reopened(tmp_path) == (steps[-1][1], 0)
    assert (tmp_path / "a" / "wal" / "x.wal").read_text() == "hello"


def test_segments_end_by_size_and_by_window_of_time(tmp_path: Path) -> None:
    store = MetricStore(tmp_path, Options(segment_span=timedelta(milliseconds=10)))
    for ts in (0, 5, 9, 10, 2, 15, 35):
        store.append(A, layout("g", f"x{ts}"), ts, row(ts))
    assert len(segments(tmp_path)) == 3
    assert store.stats(A).wal_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    expected = content(store)
    store.close()
    assert reopened(tmp_path) == (expected, 0)


def test_a_sample_written_twice_counts_once(tmp_path: Path) -> None:
    steps = fill(tmp_path)
    (segment,) = segments(tmp_path)
    shutil.copy(segment, segment.with_name("00000007.wal"))
    assert reopened(tmp_path) == (steps[-1][1], 0)
    store = MetricStore(tmp_path)
    store.append(A, layout("h", "x"), 9, row(1))
    assert [path.name for path in segments(tmp_path)][-1] == "00000008.wal"
    store.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_refuses_the_append_and_leaves_memory_and_log_as_they_were(
    tmp_path: Path,
) -> None:
    store = MetricStore(tmp_path)
    target = layout("g", "x", "y")
    store.append(A, target, 1, row(1, 2))
    before, size = content(store), store.stats(A).wal_bytes
    with largest_file(size + 5):
        with pytest.raises(NotDurable, match="cannot write"):
            store.append(A, target, 2, row(3, 4))
        assert segments(tmp_path)[0].stat().st_size == size
        assert content(store) == before
    store.append(A, target, 2, row(3, 4))
    expected = content(store)
    assert [ts for ts, _ in expected["x"]] == [1, 2]
    store.close()
    assert reopened(tmp_path) == (expected, 0)


def test_a_disk_with_no_room_even_for_a_new_segment_is_survived(tmp_path: Path) -> None:
    store = MetricStore(tmp_path)
    target = layout("g", "x")
    with largest_file(3):
        for _ in range(3):
            with pytest.raises(NotDurable):
                store.append(A, target, 1, row(1))
            with pytest.raises(NotDurable):
                store.set_metadata(A, "x", Metadata("gauge"))
    store.append(A, target, 1, row(1))
    assert len(segments(tmp_path)) == 1
    expected = content(store)
    store.close()
    assert reopened(tmp_path) == (expected, 0)


def test_series_of_an_append_that_failed_are_gone_after_expiry(tmp_path: Path) -> None:
    store = MetricStore(tmp_path)
    store.append(A, layout("g", "x"), 1, row(1))
    with largest_file(3), pytest.raises(NotDurable):
        store.append(A, layout("h", "never"), 1, row(1))
    assert store.label_values(A, "__name__") == ["x"]
    store.expire(A, 1)
    assert store.stats(A).series == 1
    store.close()


def test_a_directory_that_vanished_is_reported_until_it_is_back(tmp_path: Path) -> None:
    store = MetricStore(tmp_path)
    store.append(A, layout("g", "x"), 1, row(1))
    store.append(TenantId("b"), layout("g", "x"), 1, row(1))
    shutil.rmtree(tmp_path / "a")
    for _ in range(2):
        with pytest.raises(NotDurable, match="cannot sync"):
            store.sync()
    (tmp_path / "a" / "wal").mkdir(parents=True)
    store.sync()
    shutil.rmtree(tmp_path / "a")
    store.expire(A, 10**12)
    with pytest.raises(NotDurable, match="cannot create"):
        store.append(A, layout("g", "x"), 10**12, row(1))
    store.close()


def test_every_append_is_synced_when_asked(tmp_path: Path) -> None:
    store = MetricStore(tmp_path, Options(fsync=Fsync.ALWAYS, segment_bytes=1))
    store.append(A, layout("g", "x"), 1, row(1))
    store.append(A, layout("g", "x"), 2, row(1))
    shutil.rmtree(tmp_path / "a")
    store.sync()  # would fail if anything were left to sync
    store.close()


def test_syncing_in_another_thread_disturbs_no_append(tmp_path: Path) -> None:
    store = MetricStore(tmp_path, Options(segment_bytes=2000))
    done = threading.Event()
    failures: list[BaseException] = []

    def keep_syncing() -> None:
        while not done.is_set():
            try:
                store.sync()
            except NotDurable as error:
                failures.append(error)

    thread = threading.Thread(target=keep_syncing)
    thread.start()
    target = layout("g", "x", "y")
    for ts in range(400):
        store.append(A, target, ts, row(ts / 7, -ts))
    done.set()
    thread.join()
    expected = content(store)
    store.close()
    assert not failures
    assert len(segments(tmp_path)) > 3
    assert reopened(tmp_path) == (expected, 0)


WRITER = """
import os, signal, sys
from pathlib import Path
import numpy as np
from tocsin.model.labels import Labels
from tocsin.model.series import Layout
from tocsin.timeseries.store import MetricStore

store = MetricStore(Path(sys.argv[1]))
layout = Layout("g", tuple(Labels.of({"__name__": name}) for name in "xy"))
for ts in range(1, 101):
    store.append("a", layout, ts, np.array([ts, -ts], np.float64))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing_it_had_appended(tmp_path: Path) -> None:
    source = str(Path(tocsin.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(tmp_path)], env={"PYTHONPATH": source}, check=False
    )
    assert done.returncode == -9
    found, lost = reopened(tmp_path)
    assert ([ts for ts, _ in found["y"]], lost) == (list(range(1, 101)), 0)


def test_rows_of_groups_that_share_series_come_back_in_their_order(tmp_path: Path) -> None:
    store = MetricStore(tmp_path, Options(chunk_slots=8))
    first, second = layout("g", "x", "y"), layout("h", "y", "z")
    for ts in range(0, 60, 2):
        store.append(A, first, ts, row(ts, -ts))
        store.append(A, second, ts + 1, row(ts / 7, 0.5))
        if ts % 10 == 0:
            store.append_samples(A, [Sample(Labels.of({"__name__": "z"}), ts + 1000, ts)])
        if ts == 30:
            first = layout("g", "y", "x", "new")
            store.append(A, first, ts + 1, row(1, 2, 3))
            first = layout("g", "x", "y")
    expected = content(store)
    assert [len(expected[name]) for name in ("new", "x", "y", "z")] == [1, 31, 60, 7]
    store.close()
    for _ in range(2):
        assert reopened(tmp_path) == (expected, 0)


def test_a_row_of_another_length_than_its_layout_ends_the_reading(tmp_path: Path) -> None:
    steps = fill(tmp_path)
    (segment,) = segments(tmp_path)
    seq = [frame.seq for frame in read_frames(memoryview(segment.read_bytes()))][-1] + 1
    strange = pack_frame(seq, RecordType.ROW, records.row(0, 9, np.zeros(3, np.uint64), Packer()))
    with segment.open("ab") as file:
        file.write(strange)
    assert reopened(tmp_path) == (steps[-1][1], len(strange))


def test_samples_in_the_form_of_the_first_logs_are_still_read(tmp_path: Path) -> None:
    steps = fill(tmp_path)
    (segment,) = segments(tmp_path)
    seq = [frame.seq for frame in read_frames(memoryview(segment.read_bytes()))][-1] + 1
    values = np.array([1.5, 2.5]).view(np.uint64)
    change = values ^ np.array([0, values[0]], np.uint64)
    refs, times = np.array([1, 0], np.uint32), np.array([50, 60])
    old = records.changes(refs, times, change, Packer())
    with segment.open("ab") as file:
        file.write(pack_frame(seq, RecordType.SAMPLES, old))
    found, lost = reopened(tmp_path)
    assert lost == 0
    names = sorted(steps[1][1])
    assert [found[name][-1] for name in names] == [(60, int(values[1])), (50, int(values[0]))]
