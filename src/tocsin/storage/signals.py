"""Who is told when something became durable. Everything here lives on the event loop."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.model.events import LoggedEntry
from tocsin.model.tenant import TenantId


class Followers:
    """The consumer of each tenant's log; publishing without one is allowed."""

    def __init__(self) -> None:
        self._consumers: dict[TenantId, Callable[[LoggedEntry], None]] = {}

    def follow(self, tenant: TenantId, consumer: Callable[[LoggedEntry], None]) -> None:
        """Send the entries of `tenant` to `consumer` from now on, in place of any before it."""
        self._consumers[tenant] = consumer

    def publish(self, tenant: TenantId, logged: LoggedEntry) -> None:
        """Hand one durable entry to the tenant's consumer."""
        if consumer := self._consumers.get(tenant):
            consumer(logged)


class Watchers:
    """Who waits for rows in each tenant's outbox."""

    def __init__(self) -> None:
        self._wakes: dict[TenantId, Callable[[], None]] = {}

    def watch(self, tenant: TenantId, wake: Callable[[], None]) -> None:
        """Call `wake` for `tenant` from now on, in place of any before it."""
        self._wakes[tenant] = wake

    def wake(self, tenant: TenantId) -> None:
        """Say that rows of `tenant` were committed."""
        if wake := self._wakes.get(tenant):
            wake()
