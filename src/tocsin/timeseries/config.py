"""The metric store's part of a tenant: how long and how much is kept of it."""

from __future__ import annotations

import msgspec

from tocsin.model.settings import ByteSize, Duration


class TsdbConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of one tenant's samples, where that differs from `storage`."""

    retention: Duration | None = None
    """How long samples are kept. Empty: `storage.retention`."""
    retention_size: ByteSize = ByteSize(0)
    """How much room the tenant's metrics may take on disk; the oldest blocks go first. `0`: no
    bound of its own."""
    out_of_order_time_window: Duration | None = None
    """How much older than the newest sample of its series a sample may be, from any source.
    Empty: `storage.out_of_order_time_window`."""


class TsdbPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The metric store's part of a tenant."""

    tsdb: TsdbConfig = msgspec.field(default_factory=TsdbConfig)
    """How long and how much is kept of this tenant's samples."""
