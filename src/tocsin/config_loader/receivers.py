"""One tenant's routing and receivers: read, checked by their stages, compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tocsin.alert_manager.checks import check_inhibit_rules, check_route, check_time_intervals
from tocsin.alert_manager.config import (
    EngineConfig,
    Integration,
    compile_config,
    encode_source,
)
from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.config_loader.files import Unreadable, is_pattern
from tocsin.config_loader.loaded import AlertmanagerSettings, ReceiverSettings, TemplateText
from tocsin.config_loader.report import Report
from tocsin.config_loader.schema import (
    IGNORED,
    AlertmanagerFile,
    Schema,
    defaults_of,
    receivers_of,
    resolve_timeout_of,
)
from tocsin.config_loader.secret_files import read_secret_files
from tocsin.config_loader.tree import Section
from tocsin.model.errors import Problem
from tocsin.notification_dispatcher.render import template_set
from tocsin.templating.engine import TemplateError, TemplateSet


@dataclass(frozen=True, slots=True)
class Dialect:
    """What Alertmanager takes from flags and not from its file."""

    matcher_mode: MatcherMode = MatcherMode.FALLBACK
    start_delay: timedelta = timedelta(0)


AS_UPSTREAM = Dialect()
_NAMED = ("receivers", "time_intervals", "mute_time_intervals")  # what routes refer to


@dataclass(frozen=True, slots=True)
class AlertmanagerReader:
    """Turns a decoded section into settings. Relative paths start at `folder`."""

    schema: Schema
    folder: Path
    report: Report
    dialect: Dialect = AS_UPSTREAM

    def settings(self, file: AlertmanagerFile, section: Section) -> AlertmanagerSettings | None:
        """Return the settings, None when the report got a problem."""
        revealed = read_secret_files(file, section, folder=self.folder, files=self.report.files)
        self.report.problems += revealed.problems
        self.report.warnings += revealed.warnings
        file = revealed.value
        # A secret that was not read, or a lost default, would be told again as missing.
        if not revealed.problems and self.report.sound(section, "global"):
            findings = self.schema.providers.findings(receivers_of(file), defaults_of(file))
            self.report.take(section, findings, "receivers")
        self._check(file, section)
        templates = self._templates(file, section)
        if self.report.problems:
            return None
        receivers = self._receivers(file)
        return AlertmanagerSettings(self._engine(file, receivers), receivers, templates, file)

    def _check(self, file: AlertmanagerFile, section: Section) -> None:
        new, old = file.time_intervals, file.mute_time_intervals
        mode, take = self.dialect.matcher_mode, self.report.take
        if all(self.report.sound(section, key) for key in _NAMED):
            receivers = {receiver.name for receiver in receivers_of(file)}
            names = {interval.name for interval in (*new, *old)}
            route = check_route(file.route, receivers=receivers, time_intervals=names, mode=mode)
            take(section, route, "route")
        take(section, check_inhibit_rules(file.inhibit_rules, mode=mode), "inhibit_rules")
        take(section, check_time_intervals(new), "time_intervals")
        taken = [interval.name for interval in new]
        take(section, check_time_intervals(old, taken=taken), "mute_time_intervals")
        for key in IGNORED:
            if getattr(file, key) is not None:
                self.report.warn(section, f"{key} is accepted and ignored", key)

    def _templates(self, file: AlertmanagerFile, section: Section) -> tuple[TemplateText, ...]:
        texts: dict[Path, TemplateText] = {}
        known = template_set(_never)
        for index, pattern in enumerate(file.templates):
            found = self.report.files.matching(self.folder / pattern)
            if not found:
                kind = "matches no file" if is_pattern(pattern) else "does not exist"
                message = f'template "{pattern}" {kind}'
                self.report.warn(section, message, "templates", index)
            for path in (p for p in found if p not in texts):
                text = self._template(path, section, index)
                if text is not None:
                    texts[path] = TemplateText(str(path), text)
                    self._check_template(texts[path], known)
        return tuple(texts.values())

    def _template(self, path: Path, section: Section, index: int) -> str | None:
        try:
            return self.report.files.text(path)
        except Unreadable as error:
            self.report.fault(section, str(error), "templates", index)
            return None

    def _check_template(self, template: TemplateText, known: TemplateSet) -> None:
        try:
            known.add(template.text, name=template.file)
        except TemplateError as error:
            self.report.problems.append(Problem(error.reason, template.file, error.line))

    def _receivers(self, file: AlertmanagerFile) -> tuple[ReceiverSettings, ...]:
        defaults, providers = defaults_of(file), self.schema.providers
        return tuple(
            ReceiverSettings(r.name, r.labels, providers.integrations(r, defaults))
            for r in receivers_of(file)
        )

    def _engine(
        self, file: AlertmanagerFile, receivers: Sequence[ReceiverSettings]
    ) -> EngineConfig:
        engine = compile_config(
            file.route,
            receivers={r.name: _integrations(r) for r in receivers},
            hash="",
            inhibit_rules=file.inhibit_rules,
            time_intervals=(*file.time_intervals, *file.mute_time_intervals),
            resolve_timeout=resolve_timeout_of(file),
            matcher_mode=self.dialect.matcher_mode,
            start_delay=self.dialect.start_delay,
        )
        return _versioned(engine)


def _never() -> datetime:
    raise NotImplementedError("templates are only parsed here")


def _integrations(receiver: ReceiverSettings) -> tuple[Integration, ...]:
    return tuple(Integration(i.name, i.config.send_resolved) for i in receiver.integrations)


def _versioned(engine: EngineConfig) -> EngineConfig:
    """Name the version by what it says: a comment or another tenant must not rebuild groups."""
    version = hashlib.sha256(encode_source(engine.source)).hexdigest()
    return replace(engine, source=msgspec.structs.replace(engine.source, hash=version))
