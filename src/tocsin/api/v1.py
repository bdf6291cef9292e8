"""Our own REST API, `/api/tocsin/v1`: what no other dialect has a word for.

Lists are pages: `items`, and `next`, the value to pass as `before` for the page that follows.
Errors are problem details (RFC 9457).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.api.http import Call, Dialect, Endpoint, Refusal
from tocsin.correlation_engine.ports import IncidentStore
from tocsin.model.codec import encode
from tocsin.model.errors import InvalidInput
from tocsin.model.incident import IncidentState
from tocsin.model.rfc3339 import format_nano, parse_time
from tocsin.notification_dispatcher.ports import DeliveryLog
from tocsin.security.permissions import Permission

DEFAULT_PAGE = 50
LARGEST_PAGE = 500
_WHOLE = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class RestApi:
    """The routes of version 1."""

    deliveries: DeliveryLog
    incidents: IncidentStore

    def dialect(self) -> Dialect:
        """Return the routes."""
        read = Permission.READ
        return Dialect(
            "/api/tocsin/v1",
            (
                Endpoint("/deliveries", ("GET",), read, self.list_deliveries),
                Endpoint("/incidents", ("GET",), read, self.list_incidents),
                Endpoint("/incidents/{id}", ("GET",), read, self.get_incident),
            ),
            fault,
        )

    async def list_deliveries(self, call: Call) -> Response:
        """List notifications with their attempts, newest first; `receiver` narrows it."""
        params, limit = call.request.query_params, _limit(call)
        found = await self.deliveries.deliveries(
            call.tenant,
            before=params.get("before") or None,
            limit=limit,
            receiver=params.get("receiver", ""),
        )
        last = found[-1].notification.id if len(found) == limit else None
        return _answer({"items": found, "next": last})

    async def list_incidents(self, call: Call) -> Response:
        """List incidents, newest first; `state` is open or resolved."""
        params, limit = call.request.query_params, _limit(call)
        state, before = params.get("state", ""), params.get("before", "")
        if state and state not in set(IncidentState):
            raise Refusal(400, f"state {state!r} is not one of {', '.join(IncidentState)}")
        found = await self.incidents.incidents(
            call.tenant,
            state=IncidentState(state) if state else None,
            before=parse_time(before) if before else None,
            limit=limit,
        )
        last = format_nano(found[-1].opened_at) if len(found) == limit else None
        return _answer({"items": found, "next": last})

    async def get_incident(self, call: Call) -> Response:
        """Return one incident."""
        found = await self.incidents.incident(call.tenant, str(call.request.path_params["id"]))
        if found is None:
            raise Refusal(404, "no such incident")
        return _answer(found)


def fault(request: Request, refusal: Refusal) -> Response:
    """Return a problem detail."""
    body = {"title": refusal.message, "status": refusal.status, "instance": request.url.path}
    kind = "application/problem+json"
    return Response(encode(body), refusal.status, refusal.headers, media_type=kind)


def _answer(value: Any) -> Response:
    return Response(encode(value), media_type="application/json")


def _limit(call: Call) -> int:
    text = call.request.query_params.get("limit", str(DEFAULT_PAGE))
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= LARGEST_PAGE:
        raise InvalidInput(f"limit must be a whole number from 1 to {LARGEST_PAGE}")
    return int(text)
