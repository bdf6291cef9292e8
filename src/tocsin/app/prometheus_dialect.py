"""Puts the Prometheus dialect together from its modules and what they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from tocsin.api.federate import FederationApi
from tocsin.api.http import Dialect, Endpoint
from tocsin.api.prometheus import prometheus
from tocsin.api.prometheus_admin import AdminApi
from tocsin.api.prometheus_query import QueryApi
from tocsin.api.prometheus_read import RemoteReadApi
from tocsin.api.prometheus_rules import RulesApi
from tocsin.api.prometheus_series import SeriesApi
from tocsin.api.prometheus_status import ServerState, StatusApi
from tocsin.api.prometheus_targets import TargetsApi
from tocsin.api.prometheus_write import RemoteWriteApi
from tocsin.app.ad_hoc import AdHoc
from tocsin.app.budgets import Budgets
from tocsin.app.instruments import ConfigInstruments
from tocsin.app.pipeline import House
from tocsin.config_loader.loaded import TenantSettings
from tocsin.config_loader.masked import prometheus_yaml
from tocsin.model.clock import Clock
from tocsin.model.duration import format_duration
from tocsin.model.size import format_size
from tocsin.model.tenant import TenantId
from tocsin.timeseries.options import Keeping
from tocsin.timeseries.store import MetricStore

_UNIT = re.compile("([KMGTPE])B$")  # `1GB` is read, `1GiB` is shown, as by Prometheus
SettingsOf: TypeAlias = Callable[[TenantId], TenantSettings]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the dialect shows beside the stages."""

    series: MetricStore
    queries: AdHoc
    budgets: Budgets
    instruments: ConfigInstruments
    admin: AdminApi
    clock: Clock
    started_at: datetime
    keeping: Callable[[TenantId], Keeping]

    def server(self, tenant: TenantId) -> ServerState:
        """Return since when the server runs, and what its configuration is."""
        state = self.instruments.state
        return ServerState(
            started_at=self.started_at,
            loaded_at=state.loaded_at or self.started_at,
            reload_successful=state.successful,
            retention=" or ".join(self._bounds(tenant)),
            corruptions=len(self.series.stats(tenant).faults),
        )

    def flags(self, tenant: TenantId) -> Mapping[str, str]:
        """Return what would be flags of Prometheus."""
        query, (age, *size) = self.budgets.config(tenant), self._bounds(tenant)
        return {
            "enable-feature": "promql-experimental-functions" if query.experimental else "",
            "query.lookback-delta": str(query.lookback_delta),
            "query.max-concurrency": str(query.max_concurrency),
            "query.max-samples": str(query.max_samples),
            "query.timeout": str(query.timeout),
            "storage.tsdb.retention.size": size[0] if size else "0B",
            "storage.tsdb.retention.time": age,
            "web.enable-admin-api": "false" if self.admin.admin is None else "true",
            "web.enable-remote-write-receiver": "true",
        }

    def _bounds(self, tenant: TenantId) -> tuple[str, ...]:
        """Return how long samples are kept, and how much of them where that is bounded."""
        kept = self.keeping(tenant)
        age = format_duration(kept.retention)
        if not kept.retention_size:
            return (age,)
        return (age, _UNIT.sub(r"\1iB", format_size(kept.retention_size)))


def prometheus_dialect(
    house: House, shown: Shown, settings: SettingsOf, more: tuple[Endpoint, ...]
) -> Dialect:
    """Return the routes below `/prometheus`; `more` come from rooms of their own."""
    series, queries = shown.series, shown.queries
    status = StatusApi(
        series.later,
        queries,
        shown.clock,
        server=shown.server,
        config=lambda tenant: prometheus_yaml(settings(tenant)),
        flags=shown.flags,
    )
    targets = TargetsApi(
        house.metrics.targets, house.metrics.dropped, series.later, series.metadata, queries
    )
    return prometheus(
        QueryApi(queries, shown.clock).endpoints(),
        SeriesApi(series.later, series.metadata, queries).endpoints(),
        RulesApi(house.rules.groups).endpoints(),
        targets.endpoints(),
        status.endpoints(),
        RemoteReadApi(series.later, queries).endpoints(),
        RemoteWriteApi(house.received).endpoints(),
        shown.admin.endpoints(),
        FederationApi(series, shown.clock).endpoints(),
        more,
    )
