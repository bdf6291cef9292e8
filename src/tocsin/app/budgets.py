"""What each tenant's queries may cost, for the engines to ask; a reload puts in other values."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.model.tenant import TenantId
from tocsin.promql.config import QueryConfig, options_of
from tocsin.promql.options import Options

_DEFAULT = QueryConfig()


class Budgets:
    """The query section of every tenant; defaults for one that is not known."""

    def __init__(self) -> None:
        """Begin with defaults for everybody."""
        self._configs: dict[TenantId, QueryConfig] = {}
        self._options: dict[TenantId, Options] = {}
        self._told: list[Callable[[TenantId], None]] = []

    def on_change(self, tell: Callable[[TenantId], None]) -> None:
        """Call `tell` whenever what a tenant may cost has changed."""
        self._told.append(tell)

    def put(self, tenant: TenantId, config: QueryConfig) -> None:
        """Put a tenant's section in force."""
        if self._configs.get(tenant) == config:
            return
        self._configs[tenant] = config
        self._options[tenant] = options_of(config)
        for tell in self._told:
            tell(tenant)

    def forget(self, tenant: TenantId) -> None:
        """Drop what is kept of a tenant that is gone."""
        self._configs.pop(tenant, None)
        self._options.pop(tenant, None)

    def config(self, tenant: TenantId) -> QueryConfig:
        """Return the section in force for a tenant."""
        return self._configs.get(tenant, _DEFAULT)

    def options(self, tenant: TenantId) -> Options:
        """Return the same as options of an engine."""
        return self._options.get(tenant) or options_of(_DEFAULT)
