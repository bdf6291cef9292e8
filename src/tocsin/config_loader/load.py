"""A path in, one checked configuration out; every problem of every file at once.

`load` reads our own file, `load_alertmanager` an unchanged alertmanager.yml. Both only read:
a caller keeps what it has until a load has succeeded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from tocsin.config_loader.convert import convert
from tocsin.config_loader.expand import expand
from tocsin.config_loader.files import Unreadable
from tocsin.config_loader.loaded import Config, Loaded, TenantSettings
from tocsin.config_loader.receivers import AS_UPSTREAM, Dialect
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.schema import (
    SHORT_FORM,
    Schema,
    TenantBody,
    TopSections,
    id_of,
    schema_for,
    tenant_of,
)
from tocsin.config_loader.server import (
    Auth,
    LogConfig,
    ReloadConfig,
    ServerConfig,
    StorageConfig,
    Token,
    check_server,
)
from tocsin.config_loader.tenants import TenantReader, read_alertmanager
from tocsin.config_loader.tree import ListNode, MapNode, Node, ScalarNode, Section, parse
from tocsin.metrics_collector.backend.tenants import check_sharing, uses
from tocsin.metrics_collector.config import MetricsConfig
from tocsin.model.errors import Problem
from tocsin.model.settings import PathPart
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.registry import Providers, providers
from tocsin.rule_engine.config import RuleSettings

S = TypeVar("S")
_Placed = tuple[TenantBody, Section]

DEFAULT_TENANT = TenantId("default")


def load(
    path: Path | str,
    *,
    environ: Mapping[str, str] = os.environ,
    known: Providers | None = None,
) -> Loaded:
    """Read and check the configuration at `path`, and every file it names.

    `environ` gives the variables, `known` the providers (default: built-in and installed ones).
    Raises Refused (a ConfigError) with every problem found. Blocks on disk.
    """
    path, report = Path(path), Report()
    reading = _Reading(path, schema_for(known or providers()), report)
    top, tenants = reading.file(reading.root(environ))
    report.raise_if_any()
    folder = path.parent.absolute()
    storage = msgspec.structs.replace(top.storage, path=str(folder / top.storage.path))
    config = Config(path, top.server, storage, top.log, top.reload, tenants)
    return Loaded(config, report.files.sources(), in_file_order(report.warnings))


def load_alertmanager(
    path: Path | str,
    *,
    tenant: TenantId = DEFAULT_TENANT,
    dialect: Dialect = AS_UPSTREAM,
    known: Providers | None = None,
) -> Loaded:
    """Read an unchanged alertmanager.yml as the configuration of one tenant without tokens.

    Variables are not expanded. What Alertmanager takes from flags (listen address, storage)
    has its default and `auth` is none: the caller lays its flags over. Raises Refused.
    """
    path, report = Path(path), Report()
    schema = schema_for(known or providers())
    text = _text(path, report)
    settings = read_alertmanager(text, path, schema=schema, report=report, dialect=dialect)
    report.raise_if_any()
    if settings is None:
        raise report.refused(Problem("the file could not be read", str(path)))
    only = TenantSettings(
        id=tenant,
        name=tenant,
        tokens=(),
        metrics=MetricsConfig(),
        rule_settings=RuleSettings(),
        rule_files={},
        alertmanager=settings,
    )
    server = ServerConfig(auth=Auth.NONE)
    config = Config(path, server, StorageConfig(), LogConfig(), ReloadConfig(), (only,))
    return Loaded(config, report.files.sources(), in_file_order(report.warnings))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One load of our own file."""

    path: Path
    schema: Schema
    report: Report

    def root(self, environ: Mapping[str, str]) -> Section:
        """Return the parsed file with its variables expanded. Raises Refused."""
        document = parse(_text(self.path, self.report), file=str(self.path))
        self.report.broken(document.problems)
        if document.root is None:
            raise self.report.refused()
        expanded = expand(document.root, environ, spared=_spared)
        self.report.broken(expanded.problems)
        return expanded.section

    def file(self, root: Section) -> tuple[TopSections, tuple[TenantSettings, ...]]:
        """Return what the file says; where the report has problems, with holes."""
        entries = root.node.entries if isinstance(root.node, MapNode) else {}
        if SHORT_FORM in entries and "tenants" in entries:
            message = "give tenant (one tenant, its keys beside it) or tenants (a list), not both"
            self.report.fault(root, message, SHORT_FORM)
            return TopSections(), ()
        if SHORT_FORM in entries:
            return self._short(root)
        return self._long(root)

    def _short(self, root: Section) -> tuple[TopSections, tuple[TenantSettings, ...]]:
        file = self._read(root, self.schema.short_file)
        if file is None:
            return TopSections(), ()
        self._check_server(file, root)
        tenant = tenant_of(file, self.schema)
        settings = self._tenants.settings(tenant, root, id_key=SHORT_FORM)
        self._check_tokens(file, root, [(tenant, root)])
        return file, (settings,) if settings else ()

    def _long(self, root: Section) -> tuple[TopSections, tuple[TenantSettings, ...]]:
        file = self._read(root, self.schema.top)
        top = file or TopSections()
        self._check_server(top, root)
        read = [(self._read(s, self.schema.tenant), s) for s in self._tenant_sections(root)]
        tenants = [(tenant, section) for tenant, section in read if tenant is not None]
        settings = [self._tenants.settings(tenant, section) for tenant, section in tenants]
        self._check_ids(tenants)
        self._check_tokens(top, root, tenants)
        return top, self._sharing([s for s in settings if s is not None], tenants)

    @property
    def _tenants(self) -> TenantReader:
        return TenantReader(self.schema, self.path.parent, self.report)

    def _read(self, section: Section, kind: type[S]) -> S | None:
        converted = convert(section, kind)
        self.report.broken(converted.problems)
        return converted.value

    def _tenant_sections(self, root: Section) -> Iterator[Section]:
        listed = root.at("tenants")
        if listed.node is root.node or not isinstance(listed.node, ListNode):
            return
        if not listed.node.items:
            self.report.fault(root, "at least one tenant is needed", "tenants")
        for index in range(len(listed.node.items)):
            yield listed.at(index)

    def _check_server(self, top: TopSections, root: Section) -> None:
        self.report.take(root, check_server(top.server), "server")

    def _check_ids(self, tenants: Iterable[_Placed]) -> None:
        seen: set[str] = set()
        for tenant, section in tenants:
            name = id_of(tenant)
            if name in seen:
                self.report.fault(section, f'a tenant "{name}" exists already', "id")
            seen.add(name)

    def _sharing(
        self, settings: Sequence[TenantSettings], tenants: Iterable[_Placed]
    ) -> tuple[TenantSettings, ...]:
        """Tell each tenant who shares its backend; refuse those who would see each other."""
        backends = {each.id: each.backend.config for each in settings if each.backend}
        faults = check_sharing(backends)
        for tenant, section in tenants:
            if fault := faults.get(TenantId(id_of(tenant))):
                self.report.fault(section, fault, "backend", "url")
        shared = uses(backends)
        return tuple(replace(each, backend=shared.get(each.id)) for each in settings)

    def _check_tokens(self, top: TopSections, root: Section, tenants: Iterable[_Placed]) -> None:
        """Refuse a token that two parties hold: it must prove one of them."""
        seen: set[str] = set()
        lists: list[tuple[Sequence[Token], Section]] = [(top.server.tokens, root.at("server"))]
        lists += [(tenant.tokens, section) for tenant, section in tenants]
        for tokens, section in lists:
            for index, token in enumerate(tokens):
                if token.sha256 in seen:
                    message = "this token is listed already; a token belongs to one tenant"
                    self.report.fault(section, message, "tokens", index, "sha256")
                seen.add(token.sha256)


def _spared(path: tuple[PathPart, ...], node: Node) -> bool:
    """Tell rule groups, and templates of receivers, from what variables are expanded in."""
    if path[:1] == ("tenants",):
        path = path[2:]
    if path[:1] == ("groups",):
        return True
    return path[:1] == ("alertmanager",) and isinstance(node, ScalarNode) and "{{" in node.text


def _text(path: Path, report: Report) -> str:
    try:
        return report.files.text(path)
    except Unreadable as error:
        raise report.refused(Problem(str(error))) from error
