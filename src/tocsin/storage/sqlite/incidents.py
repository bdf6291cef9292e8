"""Incidents at rest, written with the delta that changed them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from tocsin.correlation_engine.ports import IncidentStore
from tocsin.model.codec import decode, encode
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.tenant import TenantId
from tocsin.storage.micros import to_micros
from tocsin.storage.named_sql import load_queries
from tocsin.storage.sqlite.connection import Database

_SQL = load_queries("tocsin.storage.sqlite", "incidents.sql")
_END_OF_TIME_US = 2**63 - 1


def upsert_incidents(
    connection: sqlite3.Connection, tenant: TenantId, *, seq: int, incidents: tuple[Incident, ...]
) -> None:
    """Write incidents as entry `seq` left them; repeating it changes nothing."""
    rows = [
        {
            "tenant": tenant,
            "id": incident.id,
            "state": incident.state.value,
            "opened_us": to_micros(incident.opened_at),
            "changed_seq": seq,
            "body": encode(incident),
        }
        for incident in incidents
    ]
    if rows:
        connection.executemany(_SQL["upsert_incident"], rows)


class SqliteIncidents(IncidentStore):
    """The incidents of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_incidents(self, tenant: TenantId) -> list[Incident]:
        """Return every open incident of `tenant`."""
        return await self._select(tenant, "open_incidents", {})

    async def incidents(
        self, tenant: TenantId, *, state: IncidentState | None, before: datetime | None, limit: int
    ) -> list[Incident]:
        """Return one page of incidents, in one state or in any."""
        query = "incidents_in_state" if state else "incidents"
        before_us = to_micros(before) if before else _END_OF_TIME_US
        values = {"state": state and state.value, "before_us": before_us, "limit": limit}
        return await self._select(tenant, query, values)

    async def incident(self, tenant: TenantId, incident_id: str) -> Incident | None:
        """Return one incident of `tenant`."""
        found = await self._select(tenant, "incident", {"id": incident_id})
        return found[0] if found else None

    async def _select(
        self, tenant: TenantId, query: str, values: Mapping[str, object]
    ) -> list[Incident]:
        def select(connection: sqlite3.Connection) -> list[Incident]:
            rows = connection.execute(_SQL[query], {"tenant": tenant, **values})
            return [decode(body, Incident) for (body,) in rows]

        return await self._database.read(tenant, select)
