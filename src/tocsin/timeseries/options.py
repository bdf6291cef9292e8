"""What the metric store can be told: retention, segments, durability, limits of a tenant.

Plain values with the defaults of the metrics contract. Limits belong to one tenant and are
checked when a sample arrives: what lies beyond is refused with a reason, the rest of the
batch is stored, and no other tenant notices. Lowering a limit deletes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from tocsin.model.labels import Labels

RING_BYTES = 256 << 20


class Refusal(StrEnum):
    """Why a sample was refused; the keys of `Appended.refused`."""

    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out_of_order"
    OUT_OF_BOUNDS = "out_of_bounds"
    ACTIVE_SERIES = "active_series_limit"
    LABELS_PER_SERIES = "labels_per_series_limit"
    LABEL_NAME = "label_name_limit"
    LABEL_VALUE = "label_value_limit"
    INVALID_LABELS = "invalid_labels"


class Fsync(StrEnum):
    """When the log is forced to disk: by `sync()` calls, or before each append returns."""

    INTERVAL = "interval"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tenant may hold; sizes are bytes of UTF-8."""

    active_series: int = 200_000
    labels_per_series: int = 40
    label_name_bytes: int = 128
    label_value_bytes: int = 2048
    metadata_entries: int = 20_000

    def refusal(self, labels: Labels) -> Refusal | None:
        """Return why a new series may not have this label set, None when it may."""
        if not labels.pairs:
            return Refusal.INVALID_LABELS
        if len(labels.pairs) > self.labels_per_series:
            return Refusal.LABELS_PER_SERIES
        for name, value in labels.pairs:
            if _bytes(name) > self.label_name_bytes:
                return Refusal.LABEL_NAME
            if _bytes(value) > self.label_value_bytes:
                return Refusal.LABEL_VALUE
            if not name or _bytes(name) < 0 or _bytes(value) < 0:
                return Refusal.INVALID_LABELS
        return None


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long and how much is kept of one tenant, and how late its samples may come.

    `out_of_order_window` is that of samples from any source, None for what each source says.
    """

    retention: timedelta
    retention_size: int | None = None
    out_of_order_window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a store keeps its data.

    `chunk_slots` rows of a group are compressed together. A log segment ends after
    `segment_bytes`, or with a window of `segment_span`, so that old ones can be deleted.
    The rings of one tenant take at most `ring_bytes` of memory.

    Samples are sealed into blocks by windows of `block_span`, `seal_after` the end of a window.
    They are kept for `retention`. Log and blocks of a tenant take at most `retention_size`
    bytes and those of all tenants together `total_size`, None for no such bound; the oldest
    blocks go first. Indexes of blocks in memory take about `index_cache_bytes` for all tenants
    together.
    """

    retention: timedelta = timedelta(days=15)
    retention_size: int | None = None
    block_span: timedelta = timedelta(hours=2)
    seal_after: timedelta = timedelta(hours=1)
    index_cache_bytes: int = 128 << 20
    out_of_order_window: timedelta = timedelta(0)
    chunk_slots: int = 128
    segment_bytes: int = 128 << 20
    segment_span: timedelta = timedelta(hours=2)
    ring_bytes: int = RING_BYTES
    fsync: Fsync = Fsync.INTERVAL
    total_size: int | None = None
    limits: Limits = field(default_factory=Limits)


def milliseconds(span: timedelta) -> int:
    """Return `span` in whole milliseconds.

    >>> milliseconds(timedelta(seconds=1.5))
    1500
    """
    return span // timedelta(milliseconds=1)


def _bytes(text: str) -> int:
    """Return the size of `text` in UTF-8, -1 when it has none (a lone surrogate)."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1
