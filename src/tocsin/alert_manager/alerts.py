"""The stage service: one durable door for alerts and silences, one state per tenant.

Everything that changes state goes through the alert log and is applied in `seq` order; what
flushed groups cause is committed in one transaction with the applied offset. Queries read the
state as of now. Call every method on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime

import msgspec

from tocsin.alert_manager.answers import (
    ExpireAnswer,
    Expired,
    Malformed,
    NotFound,
    PostAnswer,
    Posted,
    PutAnswer,
    SilencePut,
)
from tocsin.alert_manager.config import EngineConfig, encode_source
from tocsin.alert_manager.follower import Follower
from tocsin.alert_manager.ingest import decode_alerts, encode_alerts
from tocsin.alert_manager.instruments import Instruments
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.alert_manager.ports import AlertLog, Grouped, Snapshots
from tocsin.alert_manager.queries import alert_views, group_views, silence_views, status_of
from tocsin.alert_manager.silence import NOT_FOUND, PutSilence, Silence, SilenceState
from tocsin.alert_manager.silence_form import decode_silence
from tocsin.alert_manager.state import TenantState
from tocsin.alert_manager.views import (
    AlertFilter,
    AlertView,
    GroupView,
    SilenceView,
    StageStatus,
)
from tocsin.model.alert import Alert
from tocsin.model.clock import Clock
from tocsin.model.codec import encode
from tocsin.model.events import EntryKind
from tocsin.model.matchers import Matchers
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId

SNAPSHOT_EVERY = 20_000  # units of `Changes.work`: more than that is not replayed at a start


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
        instruments: Instruments | None = None,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        """Keep the ports; `ids` gives a fresh UUID at each call, `snapshot_every` counts work."""
        self._log = log
        self._snapshots = snapshots
        self._grouped = grouped
        self._clock = clock
        self._ids = ids
        self._instruments = instruments
        self._snapshot_every = snapshot_every
        self._followers: dict[TenantId, Follower] = {}

    async def start(self, tenant: TenantId, config: EngineConfig) -> None:
        """Recover the state of `tenant`, follow its log and begin to flush.

        Configured and durable when it returns. Raises NotDurable, or InvalidInput when the
        snapshot is not readable. Once per tenant.
        """
        follower = Follower(
            tenant,
            log=self._log,
            snapshots=self._snapshots,
            grouped=self._grouped,
            clock=self._clock,
            snapshot_every=self._snapshot_every,
        )
        async with AsyncExitStack() as undo:
            undo.push_async_callback(follower.stop)
            await follower.start(config)
            undo.pop_all()
        self._followers[tenant] = follower

    async def reload(self, tenant: TenantId, config: EngineConfig) -> None:
        """Put `config` in force: groups are rebuilt, silences and notification log stay.

        In force when it returns. Raises NotDurable: the old configuration stays then.
        """
        follower = self._followers[tenant]
        source = msgspec.structs.replace(config.source, start_delay=Duration(0))
        await follower.append(EntryKind.CONFIG, encode_source(source))
        follower.ask_for_snapshot()

    async def stop(self) -> None:
        """Finish commits, save snapshots, end all tasks. Idempotent."""
        await asyncio.gather(*(f.stop() for f in self._followers.values()))

    async def stop_tenant(self, tenant: TenantId) -> None:
        """Stop working for one tenant; its state stays on disk. Idempotent."""
        follower = self._followers.pop(tenant, None)
        if follower is not None:
            await follower.stop()

    async def receive(self, tenant: TenantId, alerts: Sequence[Alert]) -> None:
        """Take alerts from rules; durable and applied when it returns. Raises NotDurable."""
        if not alerts:
            return
        await self._followers[tenant].append(EntryKind.ALERTS, encode_alerts(alerts))
        self._count(tenant, alerts)

    async def post(self, tenant: TenantId, body: bytes) -> PostAnswer:
        """Take the body of POST /api/v2/alerts; durable and applied when it returns.

        The good alerts of a batch are kept whatever is wrong with the others. Raises
        NotDurable: nothing was kept then.
        """
        follower, now = self._followers[tenant], self._clock.now()
        config = follower.state.config
        found = decode_alerts(
            body, now=now, resolve_timeout=config.resolve_timeout, mode=config.matcher_mode
        )
        if isinstance(found, Malformed):
            return found
        if found.alerts:
            await follower.append(EntryKind.ALERTS, body)
        self._count(tenant, found.alerts, invalid=len(found.problems))
        return Posted(len(found.alerts), found.problems)

    async def put_silence(self, tenant: TenantId, body: bytes) -> PutAnswer:
        """Take the body of POST /api/v2/silences; in force when it returns. Raises NotDurable."""
        follower, now = self._followers[tenant], self._clock.now()
        mode = follower.state.config.matcher_mode
        posted = decode_silence(body, now=now, mode=mode)
        if not isinstance(posted, Silence):
            return posted
        if posted.id and follower.state.silences.get(posted.id) is None:
            return NotFound(NOT_FOUND)
        new_id = self._ids()
        await follower.append(EntryKind.SILENCE, encode(PutSilence(posted, new_id)))
        replaced = follower.state.silences.get(new_id) is not None
        return SilencePut(new_id if replaced else posted.id)

    async def expire_silence(self, tenant: TenantId, silence_id: str) -> ExpireAnswer:
        """End a silence now; one that has ended stays as it is. Raises NotDurable."""
        follower = self._followers[tenant]
        if follower.state.silences.get(silence_id) is None:
            return NotFound(NOT_FOUND)
        await follower.append(EntryKind.EXPIRE, silence_id.encode())
        return Expired()

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
        """Return the silences in a wanted state that have every one of `matchers`.

        In the API's order: active (soonest end), pending (soonest start), expired (latest end).
        """
        asked = zip(SilenceState, (active, pending, expired), strict=True)
        states = [state for state, wanted in asked if wanted]
        return silence_views(self._state(tenant), now, matchers=matchers, states=states)

    def silence(self, tenant: TenantId, silence_id: str, now: datetime) -> SilenceView | None:
        """Return one silence, None when there is none of that id."""
        found = self._state(tenant).silences.get(silence_id)
        return None if found is None else SilenceView(found, found.state(now))

    def query_alerts(self, tenant: TenantId, now: datetime, wanted: AlertFilter) -> list[AlertView]:
        """Return the alerts that have not ended and pass `wanted`, sorted by fingerprint."""
        return alert_views(self._state(tenant), now, wanted)

    def query_groups(self, tenant: TenantId, now: datetime, wanted: AlertFilter) -> list[GroupView]:
        """Return the groups with an alert that passes `wanted`, sorted by labels and receiver."""
        return group_views(self._state(tenant), now, wanted)

    def status(self, tenant: TenantId, now: datetime) -> StageStatus:
        """Return the numbers of one tenant; they cost a look at every alert."""
        follower = self._followers[tenant]
        return status_of(follower.state, now, applied_seq=follower.seq)

    def tenants(self) -> tuple[TenantId, ...]:
        """Return the tenants that were started, in that order."""
        return tuple(self._followers)

    def config(self, tenant: TenantId) -> EngineConfig:
        """Return the configuration in force."""
        return self._state(tenant).config

    def receivers(self, tenant: TenantId) -> tuple[str, ...]:
        """Return the names of the receivers, in file order."""
        return tuple(self._state(tenant).config.receivers)

    def matcher_mode(self, tenant: TenantId) -> MatcherMode:
        """Return which matcher grammar holds, for parsing `filter` parameters."""
        return self._state(tenant).config.matcher_mode

    def _state(self, tenant: TenantId) -> TenantState:
        return self._followers[tenant].state

    def _count(self, tenant: TenantId, alerts: Sequence[Alert], *, invalid: int = 0) -> None:
        if self._instruments is not None:
            self._instruments.received(tenant, alerts, now=self._clock.now(), invalid=invalid)
