"""One tenant: every section of it read, checked by its stage, and resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.config_loader.compose import part
from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.loaded import AlertmanagerSettings, TenantSettings
from tocsin.config_loader.packs import read_packs
from tocsin.config_loader.prometheus import Imported, beside, read_prometheus
from tocsin.config_loader.receivers import AS_UPSTREAM, AlertmanagerReader, Dialect
from tocsin.config_loader.report import Report
from tocsin.config_loader.rules import read_rules
from tocsin.config_loader.schema import (
    AlertmanagerFile,
    Schema,
    TenantBody,
    alertmanager_of,
    id_of,
)
from tocsin.config_loader.secret_files import read_secret_files
from tocsin.config_loader.server import check_token_names
from tocsin.config_loader.tree import MapNode, Section, parse
from tocsin.metrics_collector.backend.config import BackendConfig, BackendPart, check_backend
from tocsin.metrics_collector.backend.tenants import Use, check_tenancy
from tocsin.metrics_collector.config import (
    MetricsConfig,
    anchor_files,
    check_metrics,
    gaps_of_metrics,
    notes_on_metrics,
)
from tocsin.model.errors import InvalidTenant
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.config import QueryPart, check_query, options_of
from tocsin.promql.parser import Grammar
from tocsin.rule_engine.check import check_settings
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.timeseries.config import TsdbPart

_NO_ROUTES = "route: {receiver: default}\nreceivers: [{name: default}]\n"


@dataclass(frozen=True, slots=True)
class TenantReader:
    """Turns decoded tenants into settings. Relative paths start at `folder`."""

    schema: Schema
    folder: Path
    report: Report

    def settings(
        self, tenant: TenantBody, section: Section, *, id_key: str = "id"
    ) -> TenantSettings | None:
        """Return the settings of a tenant, None when something it needs is wrong.

        `id_key` is the key its id stands under.
        """
        self._check_id(tenant, section, id_key)
        self.report.take(section, check_token_names(tenant.tokens), "tokens")
        self.report.take(section, check_query(part(tenant, QueryPart).query), "query")
        metrics = self._metrics(tenant, section)
        rule_settings = self._rule_settings(tenant, section)
        packs = read_packs(tenant.rule_packs, section, report=self.report)
        rules = {**self._rules(tenant, section), **packs.rules}
        imported = self._prometheus(tenant, section)
        if imported is not None:
            self._one_home(section, beside(section, ("otlp",) if imported.file.otlp else ()))
            metrics = imported.metrics(metrics)
            rule_settings = imported.rule_settings(rule_settings)
            rules = {**rules, **imported.rule_files}
        backend = self._backend(tenant, section)
        if backend is not None:
            self._look_at(backend, rule_settings, rules, section)
        alertmanager = self._alertmanager(tenant, section)
        if alertmanager is None or self.report.problems:
            return None
        own_id = tenant_id(id_of(tenant))
        return TenantSettings(
            id=own_id,
            name=tenant.name or id_of(tenant),
            tokens=tuple(tenant.tokens),
            metrics=metrics,
            rule_settings=rule_settings,
            rule_files=rules,
            alertmanager=alertmanager,
            packs=packs.amounts,
            backend=Use(backend, (own_id,)) if backend else None,
            query=part(tenant, QueryPart).query,
            tsdb=part(tenant, TsdbPart).tsdb,
        )

    def _backend(self, tenant: TenantBody, section: Section) -> BackendConfig | None:
        """Return where the tenant's metrics are when not here."""
        written = part(tenant, BackendPart)
        if written.backend is None:
            return None
        revealed = read_secret_files(written, section, folder=self.folder, files=self.report.files)
        self.report.problems += revealed.problems
        self.report.warnings += revealed.warnings
        backend = revealed.value.backend
        if backend is not None:
            self.report.take(section, check_backend(backend), "backend")
            own_id = TenantId(id_of(tenant))
            self.report.take(section, check_tenancy(backend, own_id), "backend")
        return backend

    def _look_at(
        self,
        backend: BackendConfig,
        settings: RuleSettings,
        rules: Mapping[str, RuleFile],
        section: Section,
    ) -> None:
        """Warn of what is legal and surely not meant."""
        if backend.timeout > settings.evaluation_interval:
            message = f"a query may take {backend.timeout}, longer than evaluation_interval"
            self.report.warn(section, message, "backend", "timeout")
        if not backend.remote_write_url and any(_records(file) for file in rules.values()):
            message = "results of recording rules stay here: the backend does not see them"
            self.report.warn(section, f"{message} without remote_write_url", "backend")

    def _check_id(self, tenant: TenantBody, section: Section, id_key: str) -> None:
        try:
            tenant_id(id_of(tenant))
        except InvalidTenant as error:
            self.report.fault(section, str(error), id_key)

    def _metrics(self, tenant: TenantBody, section: Section) -> MetricsConfig:
        metrics = part(tenant, MetricsConfig)
        revealed = read_secret_files(metrics, section, folder=self.folder, files=self.report.files)
        self.report.problems += revealed.problems
        self.report.warnings += revealed.warnings
        self.report.take(section, check_metrics(revealed.value))
        self.report.take(section, gaps_of_metrics(revealed.value))
        for note in notes_on_metrics(revealed.value):
            self.report.warn(section, note.message, *note.path)
        return anchor_files(revealed.value, self.folder.absolute())

    def _rule_settings(self, tenant: TenantBody, section: Section) -> RuleSettings:
        settings = part(tenant, RuleSettings)
        self.report.take(section, check_settings(settings))
        return settings

    def _rules(self, tenant: TenantBody, section: Section) -> dict[str, RuleFile]:
        return read_rules(
            tenant.rule_files,
            tenant.groups,
            section,
            folder=self.folder,
            report=self.report,
            grammar=_grammar(tenant),
        )

    def _prometheus(self, tenant: TenantBody, section: Section) -> Imported | None:
        """Return what the tenant's prometheus.yml gives, None where there is none."""
        name = tenant.prometheus_file
        if not name:
            return None
        self._one_home(section, beside(section))
        try:
            return read_prometheus(
                self.folder / name,
                folder=self.folder,
                report=self.report,
                grammar=_grammar(tenant),
            )
        except Unreadable as error:
            self.report.fault(section, str(error), "prometheus_file")
            return None

    def _one_home(self, section: Section, keys: Iterable[str]) -> None:
        for key in keys:
            message = f"{key} comes from prometheus_file: give one of the two"
            self.report.fault(section, message, key)

    def _alertmanager(self, tenant: TenantBody, section: Section) -> AlertmanagerSettings | None:
        inline, name = alertmanager_of(tenant), tenant.alertmanager_file
        written = isinstance(section.node, MapNode) and "alertmanager" in section.node.entries
        if written and name:
            message = "give alertmanager or alertmanager_file, not both"
            self.report.fault(section, message, "alertmanager_file")
            return None
        if name:
            return self._alertmanager_file(name, section)
        if inline is None:
            return None if written else self._no_routes(section)
        reader = AlertmanagerReader(self.schema, self.folder, self.report)
        return reader.settings(inline, section.at("alertmanager"))

    def _alertmanager_file(self, name: str, section: Section) -> AlertmanagerSettings | None:
        path = self.folder / name
        try:
            text = self.report.files.text(path)
        except Unreadable as error:
            self.report.fault(section, str(error), "alertmanager_file")
            return None
        return read_alertmanager(text, path, schema=self.schema, report=self.report)

    def _no_routes(self, section: Section) -> AlertmanagerSettings | None:
        message = "no alertmanager section: alerts are kept and shown, nobody is notified"
        self.report.warn(section, message)
        return read_alertmanager(
            _NO_ROUTES, self.folder / "default", schema=self.schema, report=self.report
        )


def _records(file: RuleFile) -> bool:
    return any(rule.record for group in file.groups for rule in group.rules)


def _grammar(tenant: TenantBody) -> Grammar:
    """Return which PromQL the tenant's rules may use."""
    return options_of(part(tenant, QueryPart).query).grammar


def read_alertmanager(
    text: str, path: Path, *, schema: Schema, report: Report, dialect: Dialect = AS_UPSTREAM
) -> AlertmanagerSettings | None:
    """Return the settings in the text of an alertmanager.yml, None when there is a problem."""
    document = parse(text, file=str(path))
    report.broken(document.problems)
    if document.root is None:
        return None
    converted = convert(document.root, schema.alertmanager)
    report.broken(converted.problems)
    file: AlertmanagerFile | None = converted.value
    if file is None:
        return None
    return AlertmanagerReader(schema, path.parent, report, dialect).settings(file, document.root)
