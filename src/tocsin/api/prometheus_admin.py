"""What changes stored samples: `/admin/tsdb/{delete_series,clean_tombstones,snapshot}`.

Off unless the configuration says otherwise, for administrators of the tenant only, and audited
whatever comes of it. Source: Prometheus "HTTP API", TSDB admin APIs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal, audited
from tocsin.api.prometheus_answer import Failed, bad_parameter, endpoint, success
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form
from tocsin.model.clock import Clock
from tocsin.model.errors import LimitExceeded, TocsinError
from tocsin.model.matchers import Matchers
from tocsin.model.tenant import TenantId
from tocsin.promql.errors import ParseError
from tocsin.promql.parser import parse_selector
from tocsin.security.audit import AuditOutcome, Trail
from tocsin.security.permissions import Permission

Act = Callable[[], Awaitable[Response]]


class SampleAdmin(Protocol):
    """What can be done to the samples of a tenant; each raises TocsinError or OSError."""

    async def delete_series(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> None:
        """Delete the samples with start <= t <= end of the series that satisfy every matcher."""
        ...

    async def clean_tombstones(self, tenant: TenantId) -> None:
        """Take deleted samples off the disk."""
        ...

    async def snapshot(self, tenant: TenantId) -> str:
        """Copy the samples into a directory of their own; return its name."""
        ...


@dataclass(frozen=True, slots=True)
class AdminApi:
    """The routes; without `admin` they answer that they are off."""

    admin: SampleAdmin | None
    trail: Trail
    clock: Clock

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        methods, administer = ("POST", "PUT"), Permission.ADMINISTER
        return (
            endpoint("/admin/tsdb/delete_series", methods, administer, self.delete_series),
            endpoint("/admin/tsdb/clean_tombstones", methods, administer, self.clean_tombstones),
            endpoint("/admin/tsdb/snapshot", methods, administer, self.snapshot),
        )

    async def delete_series(self, call: Call) -> Response:
        """Delete what one of the selectors finds."""
        admin, form = self._admin(call), await Form.of(call)
        texts = form.all("match[]")
        if not texts:
            raise Refusal(400, "no match[] parameter provided")
        start_ms = form.time_ms_or("start", BEGINNING_MS)
        end_ms = form.time_ms_or("end", END_MS)
        wanted = [_matchers(text) for text in texts]

        async def act() -> Response:
            for matchers in wanted:
                await admin.delete_series(call.tenant, matchers, start_ms=start_ms, end_ms=end_ms)
            return Response(status_code=204)

        said = " ".join(texts)
        bounds = [f"{name} {form.get(name)}" for name in ("start", "end") if form.get(name)]
        return await self._audited(call, act, ", ".join((said, *bounds)))

    async def clean_tombstones(self, call: Call) -> Response:
        """Take deleted samples off the disk."""
        admin = self._admin(call)

        async def act() -> Response:
            await admin.clean_tombstones(call.tenant)
            return Response(status_code=204)

        return await self._audited(call, act, "")

    async def snapshot(self, call: Call) -> Response:
        """Copy everything the tenant has; answer with the name of the copy."""
        admin, form = self._admin(call), await Form.of(call)
        if form.flag("skip_head", "unable to parse boolean"):
            raise bad_parameter("skip_head", "a copy without the newest samples is not supported")

        async def act() -> Response:
            return success({"name": await admin.snapshot(call.tenant)})

        return await self._audited(call, act, "")

    def _admin(self, call: Call) -> SampleAdmin:
        if self.admin is None:
            refusal = Failed(500, "unavailable", "admin APIs disabled")
            self._record(call, AuditOutcome.DENIED, refusal.message)
            raise refusal
        return self.admin

    async def _audited(self, call: Call, act: Act, what: str) -> Response:
        try:
            done = await act()
        except (TocsinError, OSError) as error:
            self._record(call, AuditOutcome.FAILED, f"{what}: {error}" if what else str(error))
            raise _as_prometheus(error) from error
        self._record(call, AuditOutcome.ALLOWED, what)
        return done

    def _record(self, call: Call, outcome: AuditOutcome, reason: str) -> None:
        now = self.clock.now()
        self.trail(audited(call.request, call.principal, at=now, outcome=outcome, reason=reason))


def _as_prometheus(error: TocsinError | OSError) -> Exception:
    """Return what is answered: try again when other work on the samples is under way."""
    if isinstance(error, LimitExceeded):
        return Failed(503, "unavailable", str(error))
    return Failed(500, "internal", str(error)) if isinstance(error, OSError) else error


def _matchers(text: str) -> Matchers:
    try:
        return parse_selector(text)
    except ParseError as error:
        raise bad_parameter("match[]", str(error)) from error
