"""One address and the tenants that have their metrics there: its gates, and its isolation.

Where several tenants share an address and results can be written to it, nothing is asked for
any of them before the probe has shown that none reads what another wrote. The probe is
repeated until it says so; a leak found closes the address to all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.metrics_collector.backend.gate import Gates
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.probe import Isolated, Leaks, Probe, Unproven, Verdict
from tocsin.metrics_collector.backend.tenants import Use
from tocsin.metrics_collector.backend.way import Way
from tocsin.model.clock import Clock
from tocsin.model.errors import Unreachable
from tocsin.model.tenant import TenantId
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
_UNSHOWN = "not asked before it is shown that tenants are kept apart"
_log = get_logger("backend")


@dataclass(frozen=True, slots=True)
class _Member:
    way: Way
    use: Use


class SharedBackend:
    """The state of one address. One event loop; `close` it there."""

    def __init__(
        self, *, clock: Clock, nonces: Callable[[], str], instruments: BackendInstruments
    ) -> None:
        """`nonces` gives an unguessable string at each call."""
        self.gates = Gates()
        self._clock = clock
        self._nonces = nonces
        self._told = instruments
        self._members: dict[TenantId, _Member] = {}
        self._cleared: set[TenantId] = set()
        self._reason = _UNSHOWN
        self._task: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether no tenant is left."""
        return not self._members

    def join(self, tenant: TenantId, way: Way, use: Use) -> None:
        """Take a tenant in, or its new settings; what was shown of unchanged ones still holds."""
        before = self._members.get(tenant)
        self._members[tenant] = _Member(way, use)
        self.gates.set(min(member.use.config.max_in_flight for member in self._members.values()))
        if before is not None and before.use == use:
            return
        is_new = before is None or before.use.config != use.config
        if is_new:
            self._cleared.discard(tenant)
        if not use.to_be_probed:
            self._cleared.add(tenant)
        if self._is_to_be_shown() and (is_new or self._cleared < self._members.keys()):
            self._prove()
        self._show(tenant)

    async def leave(self, tenant: TenantId) -> None:
        """Let a tenant go."""
        self._members.pop(tenant, None)
        self._cleared.discard(tenant)
        self._told.forget(tenant)
        if self.is_empty:
            await self.close()

    def check(self, tenant: TenantId) -> None:
        """Raise Unreachable while the backend may not be asked for `tenant`."""
        if tenant not in self._cleared:
            raise Unreachable(f"{self._members[tenant].way.place.shown}: {self._reason}")

    async def close(self) -> None:
        """Stop probing. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _is_to_be_shown(self) -> bool:
        """Tell whether a probe is wanted, and everybody is here whom the others expect."""
        members = self._members.values()
        expected = {tenant for member in members for tenant in member.use.tenants}
        return any(m.use.to_be_probed for m in members) and expected <= self._members.keys()

    def _prove(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._probes(), name="backend-isolation")

    async def _probes(self) -> None:
        """Probe until isolation is shown."""
        pause = _FIRST_PAUSE_S
        while not await self._probed():
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _probed(self) -> bool:
        """Probe once, and tell whether isolation was shown."""
        ways = [member.way for member in self._members.values()]
        probe = Probe(ways, self._nonces(), self._clock)
        verdict: Verdict = Unproven("internal error")
        with Edge(_log, "probing a backend failed"):
            verdict = await probe.run()
        match verdict:
            case Isolated():
                self._cleared |= self._members.keys()
                _log.info("backend keeps tenants apart", tenants=len(ways))
            case Leaks(reason=reason):
                self._cleared.clear()
                self._reason = f"closed, because tenants are not kept apart: {reason}"
                _log.error("backend does not keep tenants apart", err=reason)
            case Unproven(reason=reason):
                self._reason = f"{_UNSHOWN}; last try: {reason}"
                _log.warn("isolation of a backend not shown yet", err=reason)
        for tenant in self._members:
            self._show(tenant)
        return isinstance(verdict, Isolated)

    def _show(self, tenant: TenantId) -> None:
        self._told.isolated.labels(tenant).set(tenant in self._cleared)
