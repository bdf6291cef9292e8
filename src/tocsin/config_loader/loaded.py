"""What a load gives: one checked value, all references resolved, all secrets read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tocsin.alert_manager.config import EngineConfig
from tocsin.config_loader.files import Sources
from tocsin.config_loader.schema import AlertmanagerFile
from tocsin.config_loader.server import (
    LogConfig,
    ReloadConfig,
    ServerConfig,
    StorageConfig,
    TokenConfig,
)
from tocsin.metrics_collector.backend.tenants import Use
from tocsin.metrics_collector.config import MetricsConfig
from tocsin.model.errors import Problem
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.registry import Integration
from tocsin.promql.config import QueryConfig
from tocsin.rule_engine.config import RuleFile, RuleGroup, RuleSettings
from tocsin.rule_engine.pack import Amounts
from tocsin.timeseries.config import TsdbConfig


@dataclass(frozen=True, slots=True)
class TemplateText:
    """One template file."""

    file: str
    text: str


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """One receiver; its integrations have their defaults filled in."""

    name: str
    labels: Mapping[str, str]
    integrations: tuple[Integration, ...]


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """Routing and receivers of one tenant, compiled. `file` is what was written, secrets read."""

    engine: EngineConfig
    receivers: tuple[ReceiverSettings, ...]
    templates: tuple[TemplateText, ...]
    file: AlertmanagerFile


@dataclass(frozen=True, slots=True)
class LoadedRuleGroup:
    """One rule group and the file it stands in."""

    file: str
    group: RuleGroup

    @property
    def name(self) -> str:
        """Return the group's name, unique within its file."""
        return self.group.name


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """Everything one tenant configured.

    `rule_files` are named relative to the configuration's folder, so that rules keep their
    identity when the folder moves; groups written inline stand under the file's own name, those
    of a rule pack under `pack:` and its name. `packs` has the parameters in force, by pack.
    `backend` is None where the metrics are kept in this process.
    """

    id: TenantId
    name: str
    tokens: tuple[TokenConfig, ...]
    metrics: MetricsConfig
    rule_settings: RuleSettings
    rule_files: Mapping[str, RuleFile]
    alertmanager: AlertmanagerSettings
    backend: Use | None = None
    query: QueryConfig = field(default_factory=QueryConfig)
    tsdb: TsdbConfig = field(default_factory=TsdbConfig)
    packs: Mapping[str, Amounts] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[LoadedRuleGroup, ...]:
        """Return every rule group, by file, in file order."""
        files = self.rule_files.items()
        return tuple(LoadedRuleGroup(name, group) for name, file in files for group in file.groups)

    @property
    def external_labels(self) -> Mapping[str, str]:
        """Return the labels added to alerts that are sent."""
        return self.rule_settings.external_labels


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. `storage.path` is absolute."""

    file: Path
    server: ServerConfig
    storage: StorageConfig
    log: LogConfig
    reload: ReloadConfig
    tenants: tuple[TenantSettings, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, what it was read from, and what deserves a look."""

    config: Config
    sources: Sources
    warnings: tuple[Problem, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that were read, the main one first."""
        return self.sources.files

    @property
    def hash(self) -> str:
        """Return the hash of everything read; equal content gives an equal hash."""
        return self.sources.hash
