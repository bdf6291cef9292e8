"""The stage service: one durable door for alerts and silences, one state per tenant.

Everything that changes state goes through the alert log and is applied in `seq` order; what
flushed groups cause is committed in one transaction with the applied offset. Queries read the
state as of now. Call every method on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from tocsin.alert_manager.answers import ExpireAnswer, PostAnswer, PutAnswer
from tocsin.alert_manager.config import EngineConfig
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.alert_manager.ports import AlertLog, Grouped, Snapshots
from tocsin.alert_manager.views import (
    AlertFilter,
    AlertView,
    GroupView,
    SilenceView,
    StageStatus,
)
from tocsin.model.alert import Alert
from tocsin.model.clock import Clock
from tocsin.model.matchers import Matchers
from tocsin.model.tenant import TenantId


class Alerts:
    """The alert stage of all tenants. A tenant must be started before any other call names it."""

    def __init__(
        self,
        *,
        log: AlertLog,
        snapshots: Snapshots,
        grouped: Grouped,
        clock: Clock,
        ids: Callable[[], str],
    ) -> None:
        """Keep the ports; `ids` gives a fresh UUID at each call."""
        raise NotImplementedError

    async def start(self, tenant: TenantId, config: EngineConfig) -> None:
        """Recover the state of `tenant`, follow its log and begin to flush; durable when done."""
        raise NotImplementedError

    async def reload(self, tenant: TenantId, config: EngineConfig) -> None:
        """Put `config` in force: groups are rebuilt, log of notifications and silences stay."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Finish commits, save snapshots, end all tasks. Idempotent."""
        raise NotImplementedError

    async def receive(self, tenant: TenantId, alerts: Sequence[Alert]) -> None:
        """Take alerts from rules; durable when it returns. Raises NotDurable."""
        raise NotImplementedError

    async def post(self, tenant: TenantId, body: bytes) -> PostAnswer:
        """Take the body of POST /api/v2/alerts; durable when it returns. Raises NotDurable."""
        raise NotImplementedError

    async def put_silence(self, tenant: TenantId, body: bytes) -> PutAnswer:
        """Take the body of POST /api/v2/silences. Raises NotDurable."""
        raise NotImplementedError

    async def expire_silence(self, tenant: TenantId, silence_id: str) -> ExpireAnswer:
        """End a silence now. Raises NotDurable."""
        raise NotImplementedError

    def silences(
        self,
        tenant: TenantId,
        now: datetime,
        *,
        matchers: Matchers = (),
        active: bool = True,
        pending: bool = True,
        expired: bool = True,
    ) -> list[SilenceView]:
        """Return the silences that have every one of `matchers`, in the order of the API."""
        raise NotImplementedError

    def silence(self, tenant: TenantId, silence_id: str, now: datetime) -> SilenceView | None:
        """Return one silence, None when there is none of that id."""
        raise NotImplementedError

    def query_alerts(self, tenant: TenantId, now: datetime, wanted: AlertFilter) -> list[AlertView]:
        """Return the alerts that have not ended and pass `wanted`, sorted by fingerprint."""
        raise NotImplementedError

    def query_groups(self, tenant: TenantId, now: datetime, wanted: AlertFilter) -> list[GroupView]:
        """Return the groups with an alert that passes `wanted`, sorted by labels and receiver."""
        raise NotImplementedError

    def status(self, tenant: TenantId, now: datetime) -> StageStatus:
        """Return the numbers of one tenant."""
        raise NotImplementedError

    def receivers(self, tenant: TenantId) -> tuple[str, ...]:
        """Return the names of the receivers, in file order."""
        raise NotImplementedError

    def matcher_mode(self, tenant: TenantId) -> MatcherMode:
        """Return which matcher grammar holds, for parsing `filter` parameters."""
        raise NotImplementedError
