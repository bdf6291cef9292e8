"""An incident store in memory, for tests and for a process that keeps nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from tocsin.correlation_engine.ports import IncidentStore
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.tenant import TenantId


class MemoryIncidents(IncidentStore):
    """Incidents of each tenant by id. `put` stands in for the delta that writes them."""

    def __init__(self) -> None:
        self._rows: defaultdict[TenantId, dict[str, Incident]] = defaultdict(dict)

    def put(self, tenant: TenantId, incidents: Iterable[Incident]) -> None:
        """Write incidents as they are now, new ones and known ones."""
        self._rows[tenant].update((incident.id, incident) for incident in incidents)

    async def open_incidents(self, tenant: TenantId) -> list[Incident]:
        """Return every open incident of `tenant`."""
        found = [i for i in self._all(tenant) if i.state is IncidentState.OPEN]
        return sorted(found, key=_age)

    async def incidents(
        self, tenant: TenantId, *, state: IncidentState | None, before: datetime | None, limit: int
    ) -> list[Incident]:
        """Return one page of incidents, in one state or in any."""
        found = [
            incident
            for incident in self._all(tenant)
            if state in (None, incident.state) and (before is None or incident.opened_at < before)
        ]
        return sorted(found, key=_age, reverse=True)[:limit]

    async def incident(self, tenant: TenantId, incident_id: str) -> Incident | None:
        """Return one incident of `tenant`."""
        return self._rows[tenant].get(incident_id)

    def _all(self, tenant: TenantId) -> Iterable[Incident]:
        return self._rows[tenant].values()


def _age(incident: Incident) -> tuple[datetime, str]:
    return incident.opened_at, incident.id
