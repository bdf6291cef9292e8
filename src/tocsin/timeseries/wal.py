"""The write-ahead log of one tenant: every accepted sample, before memory has it.

Each append is one `write()`, so a killed process loses nothing it acknowledged; a dead
machine loses what came after the last `sync()` (every second by the caller, or before each
append returns with fsync "always"). Segments end by size or by the span of sample time they
cover and are deleted whole once everything in them is older than the retention. A segment can
be read without the others (see `records`), and a new one begins at every start.

Appends, expiry and recovery belong to one thread; `sync` may run in another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
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
from tocsin.timeseries.segments import Segment, SegmentFile, segment_path


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
        self._segment: Segment | None = None
        self._file: SegmentFile | None = None
        self._oldest_ms: int | None = None
        self._encoder = SegmentEncoder(labels_of, self._packer)
        self._files = threading.Lock()  # guards _file, _retired and _dirty
        self._syncing = threading.Lock()  # one sync or close at a time
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
        self._prepare(ts_ms, ts_ms)
        self._write(self._encoder.row(group, columns, ts_ms, row), newest_ms=ts_ms)

    def log_samples(self, sids: SeriesIds, times: Times, values: Values) -> None:
        """Append samples with times of their own, at least one. Raises NotDurable."""
        newest = int(times.max())
        self._prepare(int(times.min()), newest)
        self._write(self._encoder.samples(sids, times, values), newest_ms=newest)

    def log_metadata(self, metric: str, metadata: Metadata) -> None:
        """Append what is known of a metric. Raises NotDurable."""
        if self._file is None:
            self._begin()
        self._write([(RecordType.METADATA, records.metadata([(metric, metadata)]))])

    def forget(self, sids: Sequence[int]) -> None:
        """Note that these series ids are free and may be given to other series."""
        self._encoder.forget(sids)

    def expire(self, horizon_ms: int) -> None:
        """Delete the segments whose samples are all older than `horizon_ms`."""
        if self._segment is not None and _older(self._segment, horizon_ms):
            self._finish()
        for segment in [each for each in self._finished if _older(each, horizon_ms)]:
            self._delete(segment)

    def sync(self) -> None:
        """Force everything appended so far to disk; any thread. Raises NotDurable."""
        with self._syncing:
            with self._files:
                retired, self._retired = self._retired, []
                current = self._file if self._dirty else None
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
        return self._finished if self._segment is None else [*self._finished, self._segment]

    def _prepare(self, oldest_ms: int, newest_ms: int) -> None:
        """Have a segment open that may take samples of these times."""
        if self._segment is not None and self._full(self._segment, oldest_ms, newest_ms):
            self._finish()
        if self._segment is None:
            self._begin()
        known = self._oldest_ms
        self._oldest_ms = oldest_ms if known is None else min(known, oldest_ms)

    def _full(self, segment: Segment, oldest_ms: int, newest_ms: int) -> bool:
        if segment.size >= self._options.segment_bytes:
            return True
        if self._oldest_ms is None or segment.newest_ms is None:
            return False
        span = max(segment.newest_ms, newest_ms) - min(self._oldest_ms, oldest_ms)
        return span > milliseconds(self._options.segment_span)

    def _begin(self) -> None:
        path = segment_path(self._directory, self._next_index)
        file = SegmentFile(path)
        self._next_index += 1
        self._segment = Segment(path)
        self._oldest_ms = None
        self._encoder = SegmentEncoder(self._labels_of, self._packer)
        with self._files:
            self._file = file
        opening: list[Record] = [(RecordType.HEADER, records.header(self._tenant))]
        if self._metadata:
            known = list(self._metadata.items())
            opening.append((RecordType.METADATA, records.metadata(known)))
        self._write(opening)
        for segment in [each for each in self._finished if each.newest_ms is None]:
            self._delete(segment)  # it held metadata, which the new one repeats

    def _finish(self) -> None:
        with self._files:
            if self._file is not None:
                self._retired.append(self._file)
            self._file = None
        if self._segment is not None:
            self._finished.append(self._segment)
        self._segment = None

    def _delete(self, segment: Segment) -> None:
        segment.path.unlink(missing_ok=True)
        self._finished.remove(segment)

    def _write(self, found: Sequence[Record], *, newest_ms: int | None = None) -> None:
        file, segment = self._file, self._segment
        if file is None or segment is None:
            raise NotDurable(f"the log of tenant {self._tenant} is closed")
        frames = [pack_frame(self._seq + i, kind, data) for i, (kind, data) in enumerate(found)]
        data = b"".join(frames)
        try:
            file.append(data)
        except NotDurable:
            self._finish()  # the encoder is ahead of the file: begin a segment afresh
            raise
        self._seq += len(frames)
        segment.size += len(data)
        if newest_ms is not None:
            segment.saw(newest_ms)
        with self._files:
            self._dirty = True
        if self._options.fsync is Fsync.ALWAYS:
            self.sync()


def _older(segment: Segment, horizon_ms: int) -> bool:
    return segment.newest_ms is not None and segment.newest_ms < horizon_ms
