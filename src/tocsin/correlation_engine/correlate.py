"""Flushed groups become incidents, and the notifications that tell of them.

Part of applying a log entry: nothing is written here. What changed goes back as a `Delta`,
which the caller commits together with the entry.
"""

from __future__ import annotations

from collections.abc import Callable

from tocsin.correlation_engine.decide import decide
from tocsin.correlation_engine.ports import IncidentStore
from tocsin.model.events import Delta, GroupFlush
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.notification import Notification
from tocsin.model.tenant import TenantId

Submit = Callable[[TenantId, GroupFlush, str], tuple[Notification, ...]]
"""The next stage: the notifications that a flush asks for, carrying the id of its incident."""


class Correlator:
    """Knows the open incidents of every started tenant. Use on one event loop."""

    def __init__(self, incidents: IncidentStore, submit: Submit) -> None:
        """Read what is open from `incidents`; `submit` makes notifications of a flush."""
        self._incidents = incidents
        self._submit = submit
        self._open: dict[TenantId, dict[str, Incident]] = {}

    async def start(self, tenant: TenantId) -> None:
        """Load the open incidents of `tenant`, forgetting what was known of it before."""
        found = await self._incidents.open_incidents(tenant)
        self._open[tenant] = {incident.group_key: incident for incident in found}

    def stop(self, tenant: TenantId) -> None:
        """Forget what is known of `tenant`; calling again does nothing."""
        self._open.pop(tenant, None)

    def open_incidents(self, tenant: TenantId) -> tuple[Incident, ...]:
        """Return what is open now, committed or about to be."""
        return tuple(self._open.get(tenant, {}).values())

    def receive(self, tenant: TenantId, flushes: tuple[GroupFlush, ...]) -> Delta:
        """Return what `flushes` change, in their order. Deterministic; does no I/O."""
        notifications: list[Notification] = []
        changed: dict[str, Incident] = {}
        for flush in flushes:
            before = self._open.setdefault(tenant, {}).get(flush.group_key)
            after = decide(tenant, before, flush)
            if after is not None and after is not before:
                changed[after.id] = after
                self._keep(tenant, after)
            notifications += self._submit(tenant, flush, after.id if after else "")
        void = tuple(id_ for flush in flushes for id_ in _made_void(flush))
        return Delta(tuple(notifications), void, tuple(changed.values()))

    def _keep(self, tenant: TenantId, incident: Incident) -> None:
        if incident.state is IncidentState.OPEN:
            self._open[tenant][incident.group_key] = incident
        else:
            self._open[tenant].pop(incident.group_key, None)


def _made_void(flush: GroupFlush) -> tuple[str, ...]:
    return (*(target.replaces for target in flush.targets if target.replaces), *flush.void)
