"""The write-ahead log of one tenant: every accepted sample, before memory has it.

Each append is one `write()`, so a killed process loses nothing it acknowledged; a dead
machine loses what came after the last `sync()` (every second by the caller, or before each
append returns with fsync "always"). Segments end by size, or when samples of the next window of
time come, and are deleted whole once what is in them is in blocks or too old. A segment can
be read without the others (see `records`), and a new one begins at every start.

Appends, expiry and recovery belong to one thread; `sync` may run in another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.model.errors import NotDurable
from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata
from tocsin.model.series import Times, Values
from tocsin.model.tenant import TenantId
from tocsin.timeseries import records
from tocsin.timeseries.encoder import Record, SegmentEncoder
from tocsin.timeseries.frames import pack_frame
from tocsin.timeseries.options import Fsync, Options, milliseconds
from tocsin.timeseries.postings import SeriesIds
from tocsin.timeseries.records import Packer, RecordType
from tocsin.timeseries.segments import Segment, SegmentFile, make_directory, segment_path


class Wal:
    """The log of one tenant, open for appending."""

    def __init__(
        self,
        tenant: TenantId,
        directory: Path,
        options: Options,
        *,
        labels_of: Callable[[int], Labels],
        metadata: Mapping[str, Metadata],
    ) -> None:
        """Open the log; nothing is written before the first append.

        `metadata` is repeated at the head of every segment, as it stands then.
        """
        self._tenant = tenant
        self._directory = directory
        self._options = options
        self._labels_of = labels_of
        self._metadata = metadata
        self._packer = Packer()
        self._finished: list[Segment] = []
        self._next_index = 0
        self._seq = 0
        self._open: _Open | None = None
        self._files = threading.Lock()  # guards _current, _retired and _dirty
        self._syncing = threading.Lock()  # one sync at a time
        self._current: SegmentFile | None = None
        self._retired: list[SegmentFile] = []
        self._dirty = False

    @property
    def size(self) -> int:
        """Return the bytes of all segments."""
        return sum(segment.size for segment in self._all())

    @property
    def segments(self) -> int:
        """Return how many segments there are."""
        return len(self._all())

    def adopt(self, segments: Sequence[Segment], *, next_index: int) -> None:
        """Take over what recovery has read; new segments are numbered from `next_index`."""
        self._finished = list(segments)
        self._next_index = next_index

    def log_row(self, group: str, columns: SeriesIds, ts_ms: int, row: Values) -> None:
        """Append one row of a group. Raises NotDurable, and then the log is as before."""
        to = self._prepare(ts_ms)
        self._write(to, to.encoder.row(group, columns, ts_ms, row))
        to.segment.saw(ts_ms)

    def log_samples(self, sids: SeriesIds, times: Times, values: Values) -> None:
        """Append samples with times of their own, at least one. Raises NotDurable."""
        newest = int(times.max())
        to = self._prepare(newest)
        self._write(to, to.encoder.samples(sids, times, values))
        to.segment.saw(newest)

    def log_metadata(self, metric: str, metadata: Metadata) -> None:
        """Append what is known of a metric. Raises NotDurable."""
        to = self._open or self._begin()
        self._write(to, [(RecordType.METADATA, records.metadata([(metric, metadata)]))])

    def forget(self, sids: Sequence[int]) -> None:
        """Note that these series ids are free and may be given to other series."""
        if self._open is not None:
            self._open.encoder.forget(sids)

    def mark(self) -> int:
        """End the open segment; return the number of the next, which holds what comes now."""
        self._finish()
        return self._next_index

    def oldest(self) -> int | None:
        """Return the number of the first segment, None when there is none."""
        return min((segment.index for segment in self._all()), default=None)

    def expire(self, horizon_ms: int, *, before: int | None = None) -> None:
        """Delete the segments whose samples are all older than `horizon_ms`.

        With `before`, only segments with lower numbers. What is known of metrics stays.
        """
        if before is None and self._open is not None and _older(self._open.segment, horizon_ms):
            self._finish()
        old = [each for each in self._finished if _older(each, horizon_ms)]
        for segment in old:
            if before is None or segment.index < before:
                self._delete(segment)

    def repeat_metadata(self) -> None:
        """Begin a segment when there is none, for what is known of metrics. Raises NotDurable."""
        if self._metadata and not self._all():
            self._begin()

    def copy_metadata(self, directory: Path) -> None:
        """Write what is known of metrics to a log elsewhere. Raises NotDurable, OSError."""
        make_directory(directory)
        copy = Wal(
            self._tenant,
            directory,
            self._options,
            labels_of=self._labels_of,
            metadata=self._metadata,
        )
        copy.repeat_metadata()
        copy.close()

    def sync(self) -> None:
        """Force everything appended so far to disk; any thread. Raises NotDurable."""
        with self._syncing:
            with self._files:
                retired, self._retired = self._retired, []
                current = self._current if self._dirty else None
                self._dirty = False
            try:
                self._sync(retired)
                if current is not None:
                    current.sync()
            except NotDurable:
                with self._files:
                    self._retired, self._dirty = retired + self._retired, True
                raise

    def close(self) -> None:
        """Sync and close; the log must not be used afterwards. Idempotent."""
        self._finish()
        self.sync()

    def _sync(self, retired: list[SegmentFile]) -> None:
        while retired:
            retired[0].sync()
            retired.pop(0).close()

    def _all(self) -> list[Segment]:
        return self._finished if self._open is None else [*self._finished, self._open.segment]

    def _prepare(self, newest_ms: int) -> _Open:
        """Return an open segment that may take samples up to this time."""
        if self._open is not None and self._full(self._open.segment, newest_ms):
            self._finish()
        return self._open or self._begin()

    def _full(self, segment: Segment, newest_ms: int) -> bool:
        """Tell whether to begin another segment: for size, or for a new window of time."""
        if segment.size >= self._options.segment_bytes:
            return True
        span_ms = milliseconds(self._options.segment_span)
        known = segment.newest_ms
        return known is not None and newest_ms // span_ms > known // span_ms

    def _begin(self) -> _Open:
        path = segment_path(self._directory, self._next_index)
        encoder = SegmentEncoder(self._labels_of, self._packer)
        to = self._open = _Open(SegmentFile(path), Segment(path), encoder)
        self._next_index += 1
        with self._files:
            self._current = to.file
        opening: list[Record] = [(RecordType.HEADER, records.header(self._tenant))]
        if self._metadata:
            known = list(self._metadata.items())
            opening.append((RecordType.METADATA, records.metadata(known)))
        self._write(to, opening)
        for segment in [each for each in self._finished if each.newest_ms is None]:
            self._delete(segment)  # it held metadata, which the new one repeats
        return to

    def _finish(self) -> None:
        """End the open segment; one that never got its header leaves no file."""
        to, self._open = self._open, None
        if to is None:
            return
        with self._files:
            self._current = None
            self._retired.append(to.file)
        self._finished.append(to.segment)
        if not to.segment.size:
            self._delete(to.segment)

    def _delete(self, segment: Segment) -> None:
        segment.path.unlink(missing_ok=True)
        self._finished.remove(segment)

    def _write(self, to: _Open, found: Sequence[Record]) -> None:
        frames = [pack_frame(self._seq + i, kind, data) for i, (kind, data) in enumerate(found)]
        data = b"".join(frames)
        try:
            to.file.append(data)
        except NotDurable:
            self._finish()  # the encoder is ahead of the file: begin a segment afresh
            raise
        self._seq += len(frames)
        to.segment.size += len(data)
        with self._files:
            self._dirty = True
        if self._options.fsync is Fsync.ALWAYS:
            self.sync()


@dataclass(slots=True, eq=False)
class _Open:
    """The segment being written, and what it says already."""

    file: SegmentFile
    segment: Segment
    encoder: SegmentEncoder


def _older(segment: Segment, horizon_ms: int) -> bool:
    return segment.newest_ms is not None and segment.newest_ms < horizon_ms
