"""The backends of all tenants: who has one, and what asks and writes there.

A tenant without a backend is not in here; its metrics are in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tocsin.metrics_collector.backend.forward import Forwarder
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.ports import Exchange
from tocsin.metrics_collector.backend.shared import SharedBackend
from tocsin.metrics_collector.backend.tenants import Use, address_of
from tocsin.metrics_collector.backend.upstream import Reads, Rng, Upstream
from tocsin.metrics_collector.backend.way import Way
from tocsin.model.clock import Clock
from tocsin.model.tenant import TenantId

_FLUSH_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every backend is made with: the way out, time, chance, and what expressions read."""

    http: Exchange
    clock: Clock
    rng: Rng
    nonces: Callable[[], str]
    reads: Reads


@dataclass(slots=True)
class _Tenant:
    use: Use
    shared: SharedBackend
    upstream: Upstream
    forwarder: Forwarder | None = None


class Backends:
    """The backends in use. One event loop."""

    def __init__(self, around: Surroundings, instruments: BackendInstruments) -> None:
        """Begin with none."""
        self._around = around
        self._told = instruments
        self._tenants: dict[TenantId, _Tenant] = {}
        self._shared: dict[str, SharedBackend] = {}

    async def start(self, tenant: TenantId, use: Use | None) -> None:
        """Begin to use a backend for `tenant`; None: its metrics are here."""
        await self.reload(tenant, use)

    async def reload(self, tenant: TenantId, use: Use | None) -> None:
        """Put new settings in force; what waits to be written is written as they say."""
        old = self._tenants.get(tenant)
        if use is None or (old and address_of(old.use.config) != address_of(use.config)):
            await self.stop(tenant)
            old = None
        if use is None:
            return
        if old is None or old.use.config != use.config:
            await self._replace(tenant, use, old)
        else:
            old.use = use
            old.shared.join(tenant, old.upstream.way, use)

    async def stop(self, tenant: TenantId) -> None:
        """Stop using a backend for `tenant`; what waits is written for some seconds more."""
        gone = self._tenants.pop(tenant, None)
        if gone is None:
            return
        await gone.upstream.close()
        if gone.forwarder:
            await gone.forwarder.close(within_s=_FLUSH_WITHIN_S)
        await gone.shared.leave(tenant)
        if gone.shared.is_empty:
            self._shared = {k: each for k, each in self._shared.items() if each is not gone.shared}

    async def stop_all(self) -> None:
        """Stop every tenant's. Idempotent."""
        for tenant in list(self._tenants):
            await self.stop(tenant)

    def upstream(self, tenant: TenantId) -> Upstream | None:
        """Return what asks the backend of `tenant`, None when its metrics are here.

        Raises Unreachable while the backend may not be asked: isolation is not shown.
        """
        found = self._tenants.get(tenant)
        if found is None:
            return None
        found.shared.check(tenant)
        return found.upstream

    def forwarder(self, tenant: TenantId) -> Forwarder | None:
        """Return what writes to the backend of `tenant`, None when nothing does."""
        found = self._tenants.get(tenant)
        return found.forwarder if found else None

    def written(self, tenant: TenantId, metrics: Collection[str]) -> None:
        """Answer nothing from memory that reads one of these metrics."""
        found = self._tenants.get(tenant)
        if found is not None:
            found.upstream.forget(metrics)

    async def _replace(self, tenant: TenantId, use: Use, old: _Tenant | None) -> None:
        around = self._around
        way = Way.of(tenant, use.config, around.http)
        shared = self._at(address_of(use.config))
        shared.join(tenant, way, use)
        upstream = Upstream(
            tenant,
            way,
            shared.gates,
            instruments=self._told,
            reads=around.reads,
            rng=around.rng,
        )
        forwarder = await self._forwarder(tenant, way, use, old)
        self._tenants[tenant] = _Tenant(use, shared, upstream, forwarder)
        if old is not None:
            await old.upstream.close()

    async def _forwarder(
        self, tenant: TenantId, way: Way, use: Use, old: _Tenant | None
    ) -> Forwarder | None:
        """Return what writes over `way`: the one that was, with what waits in it, if there is."""
        before = old.forwarder if old else None
        if not way.place.write:
            if before:
                await before.close(within_s=_FLUSH_WITHIN_S)
            return None
        if before:
            before.way, before.capacity = way, use.config.queue_samples
            return before
        made = Forwarder(
            tenant,
            way,
            capacity=use.config.queue_samples,
            instruments=self._told,
            rng=self._around.rng,
        )
        made.start()
        return made

    def _at(self, address: str) -> SharedBackend:
        if address not in self._shared:
            around = self._around
            self._shared[address] = SharedBackend(
                clock=around.clock, nonces=around.nonces, instruments=self._told
            )
        return self._shared[address]
