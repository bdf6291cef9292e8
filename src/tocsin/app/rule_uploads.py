"""Rules a tenant uploads: checked, kept, in force at once, beside those of the configuration.

An upload never touches the configuration: a file of it that is broken keeps nobody from
changing rules, and a reload keeps what was uploaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from tocsin.config_loader.uploaded_rules import Change, UploadedFile, UploadedRules
from tocsin.model.errors import ConfigError, InvalidInput
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.schedule import TenantRules
from tocsin.telemetry.logs import get_logger

PREFIX = "rules.d/"
"""Stands before a namespace where the name of a rule file is shown."""

Apply = Callable[[TenantId, TenantRules], Awaitable[None]]
"""Puts rules of a tenant in force."""

_log = get_logger("app")


class RuleUploads:
    """Uploads of all tenants. One event loop; files are read and written in threads."""

    def __init__(self, kept: UploadedRules, apply: Apply) -> None:
        """Keep uploads in `kept`."""
        self._kept = kept
        self._apply = apply
        self._configured: dict[TenantId, TenantRules] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}

    async def put_in_force(self, tenant: TenantId, configured: TenantRules) -> None:
        """Put the configured rules of a tenant and those it uploaded in force.

        A file that cannot be read or is not sound (somebody changed it by hand) is left out
        and logged: it must not keep a server from starting.
        """
        async with self._lock(tenant):
            self._configured[tenant] = configured
            await self._apply_all(tenant)

    async def forget(self, tenant: TenantId) -> None:
        """Take no more uploads for a tenant; what it has stays on disk."""
        async with self._lock(tenant):
            self._configured.pop(tenant, None)

    async def all(self, tenant: TenantId) -> dict[str, UploadedFile]:
        """Return every upload of a tenant by namespace."""
        return await asyncio.to_thread(self._kept.all, tenant)

    async def get(self, tenant: TenantId, namespace: str) -> UploadedFile | None:
        """Return one upload, None when there is none. Raises InvalidInput."""
        return await asyncio.to_thread(self._kept.get, tenant, namespace)

    async def put(
        self, tenant: TenantId, file: UploadedFile, *, instead_of: str | None = None
    ) -> Change:
        """Keep a file and put it in force; `instead_of` is the digest of the one it replaces.

        An empty `instead_of` says that there is none, None that it does not matter. Raises
        ConfigError when the file is not sound, InvalidInput and NotDurable as `UploadedRules`:
        nothing has changed then.
        """
        await asyncio.to_thread(file.rules)
        async with self._lock(tenant):
            if PREFIX + file.namespace in self._base(tenant).files:
                raise InvalidInput(f"a file of the configuration is called {file.namespace}")
            before = await self.get(tenant, file.namespace)
            if not _is_expected(before, instead_of):
                return Change.CONFLICT
            await asyncio.to_thread(self._kept.put, tenant, file)
            await self._apply_all(tenant)
        return Change.REPLACED if before else Change.CREATED

    async def delete(
        self, tenant: TenantId, namespace: str, *, instead_of: str | None = None
    ) -> Change:
        """Forget a file and end its rules. Raises InvalidInput, NotDurable."""
        async with self._lock(tenant):
            before = await self.get(tenant, namespace)
            if before is None:
                return Change.ABSENT
            if not _is_expected(before, instead_of):
                return Change.CONFLICT
            await asyncio.to_thread(self._kept.delete, tenant, namespace)
            await self._apply_all(tenant)
        return Change.DELETED

    async def _apply_all(self, tenant: TenantId) -> None:
        together = await asyncio.to_thread(self._together, tenant, self._base(tenant))
        await self._apply(tenant, together)

    def _together(self, tenant: TenantId, configured: TenantRules) -> TenantRules:
        files = dict(configured.files)
        try:
            uploaded = self._kept.all(tenant)
        except OSError as error:
            _log.error("uploaded rules cannot be read", tenant=tenant, err=str(error))
            return configured
        for namespace, file in uploaded.items():
            try:
                files.setdefault(PREFIX + namespace, file.rules())
            except ConfigError as error:
                _log.error("uploaded rules left out", tenant=tenant, err=str(error))
        return replace(configured, files=files)

    def _base(self, tenant: TenantId) -> TenantRules:
        found = self._configured.get(tenant)
        if found is None:
            raise InvalidInput("this tenant is not served any more")
        return found

    def _lock(self, tenant: TenantId) -> asyncio.Lock:
        return self._locks.setdefault(tenant, asyncio.Lock())


def _is_expected(before: UploadedFile | None, instead_of: str | None) -> bool:
    return instead_of is None or instead_of == (before.sha256 if before else "")
