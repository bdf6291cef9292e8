"""Picks the stores, builds the adapters, and hands them to the pipeline and the dialects."""

from __future__ import annotations

import asyncio
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tocsin.api.alertmanager import AlertmanagerApi, BuildInfo
from tocsin.api.http import Door
from tocsin.api.instruments import AccessInstruments, Pseudonyms
from tocsin.api.otlp import OtlpApi
from tocsin.api.prometheus_admin import AdminApi
from tocsin.api.service import Reload, Service
from tocsin.api.ui.pages import Pages
from tocsin.api.v1 import RestApi
from tocsin.api.v1_rules import RuleUploadApi
from tocsin.app.access import access_of
from tocsin.app.ad_hoc import AdHoc
from tocsin.app.backend_proxy import proxied
from tocsin.app.clock import SystemClock
from tocsin.app.instruments import (
    AuditInstruments,
    ConfigInstruments,
    QueryInstruments,
    StoreGauges,
)
from tocsin.app.pipeline import House, Outside, assemble
from tocsin.app.prometheus_dialect import Shown, prometheus_dialect
from tocsin.app.rule_uploads import RuleUploads
from tocsin.app.sample_admin import StoreAdmin
from tocsin.app.server import Listener
from tocsin.app.tenancy import Tenancy
from tocsin.config_loader.files import Sources
from tocsin.config_loader.loaded import Config, TenantSettings
from tocsin.config_loader.masked import original_yaml
from tocsin.config_loader.server import route_prefix_of
from tocsin.config_loader.uploaded_rules import UploadedRules
from tocsin.metrics_collector.fetch import AiohttpFetch
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.model.clock import Clock
from tocsin.model.tenant import TenantId
from tocsin.model.version import VERSION
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.registry import providers
from tocsin.notification_dispatcher.transport import AiohttpTransport, AiosmtplibTransport
from tocsin.security.audit import AuditEvent
from tocsin.security.sessions import Sessions
from tocsin.storage.stores import Stores, open_sqlite
from tocsin.telemetry.logs import get_logger
from tocsin.telemetry.metrics import ALERTMANAGER_VERSION, Registry
from tocsin.timeseries.options import Keeping, Options
from tocsin.timeseries.store import MetricStore

_audit = get_logger("audit")


@dataclass(slots=True)
class Desk:
    """Everything that runs. `config` and `sources` are replaced by a reload, the rest stays."""

    config: Config
    sources: Sources
    stores: Stores
    series: MetricStore
    tenancy: Tenancy
    door: Door
    listener: Listener
    instruments: ConfigInstruments
    gauges: StoreGauges

    def tenants(self) -> tuple[TenantId, ...]:
        """Return the tenants in force."""
        return tuple(tenant.id for tenant in self.config.tenants)

    def settings(self, tenant: TenantId) -> TenantSettings:
        """Return the settings in force for `tenant`. Raises KeyError."""
        return {settings.id: settings for settings in self.config.tenants}[tenant]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is asked of whoever runs the process, and the metrics of that program."""

    ready: Callable[[], bool]
    reload: Reload
    settings: Callable[[TenantId], TenantSettings]
    keeping: Callable[[TenantId], Keeping]
    process: ProcessMetrics


def new_registry() -> Registry:
    """Return the registry of a process, with build and process information."""
    return Registry(version=VERSION)


async def furnish(config: Config, sources: Sources, hooks: Hooks, opened: AsyncExitStack) -> Desk:
    """Open stores, ways out, stages and the listener, in this order; `opened` closes them.

    Raises CannotListen, StoreUnusable, OSError.
    """
    clock, registry, path = SystemClock(), new_registry(), Path(config.storage.path)
    stores = open_sqlite(path)
    opened.push_async_callback(stores.close)
    options = Options(retention=config.storage.retention)
    series = await asyncio.to_thread(MetricStore, path / "metrics", options)
    opened.callback(series.close)
    outside = await opened.enter_async_context(_outside(clock, hooks.process))
    house = assemble(stores, series, outside, registry)
    uploads = RuleUploads(UploadedRules(path / "rules"), house.rules.reload)
    tenancy = Tenancy(house, uploads, providers(), clock)
    opened.push_async_callback(tenancy.stop_all)
    queries = AdHoc(series.later, house.budgets.config, QueryInstruments(registry))
    opened.callback(queries.close)
    instruments = ConfigInstruments(registry)
    rooms = Rooms(stores, series, queries, instruments, uploads, registry, clock)
    door = _door(config, house, hooks, rooms)
    listener = Listener(door)
    opened.push_async_callback(listener.stop)
    await listener.start(config.server.listen)
    return Desk(
        config=config,
        sources=sources,
        stores=stores,
        series=series,
        tenancy=tenancy,
        door=door,
        listener=listener,
        instruments=instruments,
        gauges=StoreGauges(registry),
    )


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the dialects read beside the stages."""

    stores: Stores
    series: MetricStore
    queries: AdHoc
    instruments: ConfigInstruments
    uploads: RuleUploads
    registry: Registry
    clock: Clock


@asynccontextmanager
async def _outside(clock: Clock, process: ProcessMetrics) -> AsyncIterator[Outside]:
    """Open the ways out of the process."""
    http, fetch = AiohttpTransport(), AiohttpFetch()
    try:
        yield Outside(
            wire=Wire(http=http, smtp=AiosmtplibTransport()),
            fetch=fetch,
            exchange=fetch,
            process=process,
            clock=clock,
            rng=random.random,
            ids=lambda: str(uuid.uuid4()),
        )
    finally:
        await http.close()
        await fetch.close()


def _door(config: Config, house: House, hooks: Hooks, rooms: Rooms) -> Door:
    """Put every dialect behind one door."""
    clock, started_at = rooms.clock, rooms.clock.now()
    sessions = Sessions(lambda: secrets.token_urlsafe(32))
    trail = AuditInstruments(rooms.registry).counted(write_audit)
    pseudonyms = Pseudonyms(secrets.token_bytes(32))
    instruments = AccessInstruments(rooms.registry.collectors, pseudonym=pseudonyms.of)
    build = BuildInfo(ALERTMANAGER_VERSION, revision=f"tocsin-{VERSION}")
    alertmanager = AlertmanagerApi(
        alerts=house.alerts,
        clock=clock,
        original=lambda tenant: original_yaml(hooks.settings(tenant).alertmanager),
        build=build,
        started_at=started_at,
    )
    service = Service(rooms.registry, hooks.ready, hooks.reload)
    shown = _shown(config, house, hooks, rooms)
    prometheus = prometheus_dialect(house, shown, hooks.settings, service.lifecycle())
    pages = Pages(
        house.alerts,
        sessions,
        access=lambda: door.access,
        queries=rooms.queries,
        trail=trail,
        clock=clock,
        instruments=instruments,
    )
    prefix = route_prefix_of(config.server)
    rest = RestApi(rooms.stores.deliveries, rooms.stores.incidents).dialect()
    rules = RuleUploadApi(rooms.uploads, trail, clock)
    door = Door(
        dialects=(
            *alertmanager.dialects(),
            proxied(prometheus, house.backends),
            *OtlpApi(house.otlp).dialects(),
            replace(rest, endpoints=(*rest.endpoints, *rules.endpoints())),
            pages.dialect(),
            service.dialect(),
        ),
        access=access_of(config),
        sessions=sessions,
        trail=trail,
        clock=clock,
        prefix=prefix,
        ready=hooks.ready,
        instruments=instruments,
    )
    return door


def _shown(config: Config, house: House, hooks: Hooks, rooms: Rooms) -> Shown:
    """Return what the Prometheus dialect shows beside the stages."""
    series, clock = rooms.series, rooms.clock
    copies = Path(config.storage.path) / "snapshots"
    admin = StoreAdmin(series, clock, copies) if config.server.admin_api else None
    return Shown(
        series,
        rooms.queries,
        house.budgets,
        rooms.instruments,
        AdminApi(admin, write_audit, clock),
        clock,
        clock.now(),
        hooks.keeping,
    )


def write_audit(event: AuditEvent) -> None:
    """Log an audit event; the log is where the trail is kept until it has a store of its own."""
    _audit.info(
        event.action,
        at=event.at,
        tenant=event.tenant,
        actor=event.actor,
        object=event.object,
        outcome=event.outcome,
        source=event.source,
        reason=event.reason,
    )
