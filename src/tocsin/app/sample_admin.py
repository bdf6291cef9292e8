"""Samples deleted, cleaned away and copied: the metric store's work, item by item in threads."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from tocsin.api.prometheus_admin import SampleAdmin
from tocsin.model.clock import Clock
from tocsin.model.matchers import Matchers
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.timeseries.store import MetricStore
from tocsin.timeseries.work import Work


@dataclass(frozen=True, slots=True)
class StoreAdmin(SampleAdmin):
    """Administers `series`; copies go below `copies`, on the same file system."""

    series: MetricStore
    clock: Clock
    copies: Path

    async def delete_series(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> None:
        """Delete samples. Raises NotDurable."""
        self.series.delete_series(
            tenant, matchers, start_ms=start_ms, end_ms=end_ms, now_ms=self._now_ms()
        )

    async def clean_tombstones(self, tenant: TenantId) -> None:
        """Write blocks without what is deleted. Raises LimitExceeded, OSError, Stopped."""
        await _done(self.series.cleaning(tenant, self._now_ms()))

    async def snapshot(self, tenant: TenantId) -> str:
        """Copy the samples; return the name of the copy. Raises LimitExceeded, OSError, Stopped."""
        at = self.clock.now().astimezone(UTC)
        name = f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}"
        await _done(self.series.snapshotting(self.copies / name, to_ms(at), tenant=tenant))
        return name

    def _now_ms(self) -> int:
        return to_ms(self.clock.now())


async def _done(steps: Generator[Work]) -> None:
    with closing(steps):
        for work in steps:
            await asyncio.to_thread(work.run)
