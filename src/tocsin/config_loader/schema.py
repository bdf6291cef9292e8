"""The shape of every configuration file: the stages' structs, put side by side.

A stage defines its own section; only what belongs to no stage is defined here or in `server`.
Each field is followed by its description: the reference and the JSON Schema show it.
Receivers depend on which providers are installed, so the structs are made at run time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec

from tocsin.alert_manager.config import InhibitRuleConfig, RouteConfig, TimeIntervalConfig
from tocsin.config_loader.compose import Field, extended, flat, part
from tocsin.config_loader.server import (
    LogConfig,
    ReloadConfig,
    ServerConfig,
    StorageConfig,
    TokenConfig,
)
from tocsin.metrics_collector.backend.config import BackendPart
from tocsin.metrics_collector.config import MetricsConfig
from tocsin.model.settings import Duration, duration
from tocsin.notification_dispatcher.config import Defaults
from tocsin.notification_dispatcher.provider import AnySpec
from tocsin.notification_dispatcher.registry import Providers, Receiver
from tocsin.promql.config import QueryPart
from tocsin.rule_engine.config import RuleGroup, RuleSettings
from tocsin.rule_engine.pack import PackChoice
from tocsin.timeseries.config import TsdbPart


class GlobalKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults for every receiver, and when a silent alert counts as resolved."""

    resolve_timeout: Duration = duration("5m")
    """When an alert that came without an end, and does not come again, is taken for resolved."""


class AlertmanagerFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Routing and receivers: the content of an `alertmanager.yml`."""

    route: RouteConfig
    """Root of the routing tree."""
    inhibit_rules: tuple[InhibitRuleConfig | None, ...] = ()
    """Which alerts keep others quiet."""
    templates: tuple[str, ...] = ()
    """Template files (globs), relative to the file that names them."""
    time_intervals: tuple[TimeIntervalConfig, ...] = ()
    """Named times for `mute_time_intervals` and `active_time_intervals` of routes."""
    mute_time_intervals: tuple[TimeIntervalConfig, ...] = ()
    """Old name of `time_intervals`."""
    tracing: Any = None
    """Accepted and ignored."""
    event_recorder: Any = None
    """Accepted and ignored."""


class TenantBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one tenant scrapes, evaluates and notifies; the names are those of Prometheus."""

    name: str = ""
    """What people call the tenant. Empty: its id."""
    tokens: list[TokenConfig] = msgspec.field(default_factory=list)
    """Credentials of this tenant."""
    rule_files: list[str] = msgspec.field(default_factory=list)
    """Prometheus rule files (globs), relative to this file."""
    rule_packs: list[str | PackChoice] = msgspec.field(default_factory=list)
    """Rule packs that come with Tocsin, by name: `[system, {name: business, set: {…}}]`."""
    groups: list[RuleGroup] = msgspec.field(default_factory=list)
    """Rule groups written here, as in a rule file. Variables are not expanded in them."""
    prometheus_file: str = ""
    """A `prometheus.yml`, relative to this file: its `global`, `scrape_configs` and `rule_files`
    count, the rest is ignored with a warning. Variables are not expanded in it."""
    alertmanager_file: str = ""
    """An `alertmanager.yml`, relative to this file. Variables are not expanded in it."""


class TopSections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process: how it is reached, where it keeps its data, what it logs."""

    server: ServerConfig = msgspec.field(default_factory=ServerConfig)
    """How the server is reached."""
    storage: StorageConfig = msgspec.field(default_factory=StorageConfig)
    """Where data is kept, and how long."""
    log: LogConfig = msgspec.field(default_factory=LogConfig)
    """What is logged, and how."""
    reload: ReloadConfig = msgspec.field(default_factory=ReloadConfig)
    """When a changed configuration is taken over."""


IGNORED = ("tracing", "event_recorder")
SHORT_FORM = "tenant"  # the key that tells the short form from the long one
TENANT_PARTS: tuple[type[msgspec.Struct], ...] = (
    MetricsConfig,
    BackendPart,
    QueryPart,
    RuleSettings,
    TsdbPart,
)
_ID = "Identifier: 1-64 of a-z, 0-9, `_` and `-`, beginning and ending with a letter or digit."
_ROUTING = "Routing and receivers, written here; or name a file by `alertmanager_file`."
GlobalConfig = flat("Global", GlobalKeys, Defaults)


@dataclass(frozen=True, slots=True)
class Schema:
    """The structs that follow from a set of providers.

    `tenant` is an entry of `tenants`; `file` is the long form (`tenants:`), `short_file` the
    short one (`tenant: name`, and that tenant's keys at the top). `top` is the long form with
    its tenants left as they are, to be read one by one.
    """

    providers: Providers
    alertmanager: type[AlertmanagerFile]
    tenant: type[TenantBody]
    file: type[TopSections]
    top: type[TopSections]
    short_file: type[TopSections]


def schema_for(providers: Providers) -> Schema:
    """Return the structs of a configuration that may use `providers`.

    Equal sets of providers share one schema: types made at every reload would pile up.
    """
    return _schema_of(providers.specs)


@functools.lru_cache(maxsize=8)
def _schema_of(specs: tuple[AnySpec, ...]) -> Schema:
    providers = Providers(specs)
    alertmanager = _alertmanager(providers)
    routing: Field = ("alertmanager", _said(alertmanager | None, _ROUTING), None)
    body = flat("TenantBody", extended("TenantBody", TenantBody, [routing]), *TENANT_PARTS)
    tenant = extended("Tenant", body, [("id", _said(str, _ID))])
    listed = _said(list[tenant], "Everyone this server works for.")  # type: ignore[valid-type]  # made at run time
    only: Field = (SHORT_FORM, _said(str, _ID))
    return Schema(
        providers=providers,
        alertmanager=alertmanager,
        tenant=tenant,
        file=extended("File", TopSections, [("tenants", listed)]),
        top=extended("File", TopSections, [("tenants", list[Any])]),
        short_file=flat("ShortFile", extended("Short", TopSections, [only]), body),
    )


def _alertmanager(providers: Providers) -> type[AlertmanagerFile]:
    receiver = providers.receiver_type()
    defaults = msgspec.field(name="global", default_factory=GlobalConfig)
    listed = _said(list[receiver], "Who is told, and how.")  # type: ignore[valid-type]  # made at run time
    fields: list[Field] = [
        ("defaults", _said(GlobalConfig, "Defaults of receivers."), defaults),
        ("receivers", listed, msgspec.field(default_factory=list)),
    ]
    return extended("Alertmanager", AlertmanagerFile, fields)


def _said(kind: Any, description: str) -> Any:
    """Return a type with the description of the field it is for."""
    return Annotated[kind, msgspec.Meta(description=description)]


def defaults_of(file: AlertmanagerFile) -> Defaults:
    """Return the receivers' defaults out of `global`."""
    return part(_made(file, "defaults"), Defaults)


def resolve_timeout_of(file: AlertmanagerFile) -> Duration:
    """Return `global.resolve_timeout`."""
    return part(_made(file, "defaults"), GlobalKeys).resolve_timeout


def receivers_of(file: AlertmanagerFile) -> Sequence[Receiver]:
    """Return `receivers`."""
    return cast("Sequence[Receiver]", _made(file, "receivers"))


def tenant_of(file: TopSections, schema: Schema) -> TenantBody:
    """Return the one tenant of a short file."""
    names = set(schema.tenant.__struct_fields__) - {"id"}
    body = {name: getattr(file, name) for name in names}
    return schema.tenant(**body, **{"id": _made(file, SHORT_FORM)})


def id_of(tenant: TenantBody) -> str:
    """Return `id`, as written."""
    return str(_made(tenant, "id"))


def alertmanager_of(tenant: TenantBody) -> AlertmanagerFile | None:
    """Return the inline `alertmanager` section."""
    return cast("AlertmanagerFile | None", _made(tenant, "alertmanager"))


def _made(value: msgspec.Struct, field: str) -> Any:
    """Return a field that `schema_for` added; no type checker can see it."""
    return getattr(value, field)
