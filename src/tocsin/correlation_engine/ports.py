"""What the incident stage needs of the world: the incidents that are open, and those that were."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from tocsin.model.incident import Incident, IncidentState
from tocsin.model.tenant import TenantId


class IncidentStore(Protocol):
    """Incidents at rest. They are written with the delta that changed them, never alone."""

    async def open_incidents(self, tenant: TenantId) -> list[Incident]:
        """Return every open incident, oldest first."""
        ...

    async def incidents(
        self, tenant: TenantId, *, state: IncidentState | None, before: datetime | None, limit: int
    ) -> list[Incident]:
        """Return at most `limit` incidents opened strictly before `before`, newest first."""
        ...

    async def incident(self, tenant: TenantId, incident_id: str) -> Incident | None:
        """Return one incident, None when the tenant has none of that id."""
        ...
