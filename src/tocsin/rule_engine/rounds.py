"""One evaluation of a rule group: for whom, at which time, and how long without a pause."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.ports import Queries

LONGEST_S = 0.005  # other tasks of the loop wait at most about so long for a rule group


@dataclass(slots=True)
class Turn:
    """How long a task has had the event loop for itself."""

    _since: float = field(default_factory=time.perf_counter)

    async def pause(self) -> None:
        """Let other tasks run if this one has run for long."""
        if time.perf_counter() - self._since > LONGEST_S:
            await asyncio.sleep(0)
            self._since = time.perf_counter()


@dataclass(frozen=True, slots=True)
class Round:
    """One evaluation of a rule group: at which time, and what it may ask.

    Queries of rules look at `query_ms`, which lies the group's `query_offset` before `at`, and
    what rules give is written there; those of templates look at `at`, as upstream.
    """

    tenant: TenantId
    queries: Queries
    at: datetime
    query_ms: int
    limit: int
    turn: Turn = field(default_factory=Turn)

    @property
    def at_ms(self) -> int:
        """Return `at` as Unix milliseconds."""
        return to_ms(self.at)
