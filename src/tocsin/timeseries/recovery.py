"""Reading a log back into memory at start.

Every segment is read as far as its frames are whole and right. What follows the last good
frame is cut off and counted as lost: after a crash that is the torn end of the last write.
Later segments do not depend on an earlier one, so damage in one costs the rest of that one
only. A segment of another format or tenant is left as it is and counted as lost. Start never
fails on what a log holds; it does fail when a file cannot be read at all.

Samples go through the rules of admission again (any age allowed), so that a sample written
twice, because its first write was not acknowledged, counts once. What blocks have already, or
what was deleted, is left out (`LeftOut`).
"""

from __future__ import annotations

import os
import struct

import msgspec
import zstandard

from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.timeseries import records
from tocsin.timeseries.frames import Frame, read_frames
from tocsin.timeseries.head import Head
from tocsin.timeseries.left_out import LeftOut
from tocsin.timeseries.records import BadRecord, Packer, RecordType
from tocsin.timeseries.replay import Replay
from tocsin.timeseries.segments import Segment

_MEANINGLESS = (ValueError, LookupError, struct.error, zstandard.ZstdError, msgspec.MsgspecError)


class Recovery:
    """Puts the segments of one tenant into a head, in order. `lost_bytes` counts the rest.

    With `cut` false no file is changed.
    """

    def __init__(
        self,
        tenant: TenantId,
        head: Head,
        metadata: dict[str, Metadata],
        *,
        left_out: LeftOut,
        cut: bool = True,
    ) -> None:
        self.lost_bytes = 0
        self._left_out = left_out
        self._cut = cut
        self._tenant = tenant
        self._head = head
        self._metadata = metadata
        self._packer = Packer()
        self._strings: dict[str, str] = {}

    def read(self, segment: Segment) -> bool:
        """Read one segment and cut off its torn end; tell whether any of it was understood."""
        self._left_out.begin(segment.index)
        replay = Replay(
            self._head,
            self._metadata,
            left_out=self._left_out,
            packer=self._packer,
            strings=self._strings,
        )
        end, torn = 0, True
        for frame in read_frames(memoryview(segment.path.read_bytes())):
            torn = self._understood(frame, replay, first=end == 0)
            if not torn:
                break
            end = frame.end
        replay.settle()
        if replay.newest_ms is not None:
            segment.saw(replay.newest_ms)
        self.lost_bytes += segment.size - end
        if self._cut and torn and (end < segment.size or not end):
            _cut(segment, end)
        return end > 0

    def _understood(self, frame: Frame, replay: Replay, *, first: bool) -> bool:
        try:
            if first:
                _check_first(frame, self._tenant)
            else:
                replay.take(frame)
        except _MEANINGLESS:
            return False
        return True


def _check_first(frame: Frame, tenant: TenantId) -> None:
    if frame.type != RecordType.HEADER:
        raise BadRecord("a segment begins with its header")
    records.check_header(frame.payload, tenant)


def _cut(segment: Segment, end: int) -> None:
    if end == 0:
        segment.path.unlink()
        return
    os.truncate(segment.path, end)
    segment.size = end
