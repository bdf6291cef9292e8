"""A `prometheus.yml` as it is: its `global`, `scrape_configs` and `rule_files` for one tenant.

Everything else of the file is Prometheus' own business (where it sends alerts and samples,
how it stores them) and is left out with a warning. Variables are not expanded. Source:
Prometheus documentation, "Configuration".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from os.path import relpath
from pathlib import Path
from typing import Any

import msgspec

from tocsin.config_loader.convert import convert
from tocsin.config_loader.report import Report
from tocsin.config_loader.rules import read_rules
from tocsin.config_loader.secret_files import read_secret_files
from tocsin.config_loader.tree import MapNode, Section, parse
from tocsin.metrics_collector.config import (
    LIMITS,
    MetricsConfig,
    ScrapeConfig,
    anchor_files,
    check_metrics,
)
from tocsin.model.settings import Duration, Finding, duration
from tocsin.promql.parser import DEFAULT, Grammar
from tocsin.rule_engine.check import check_settings
from tocsin.rule_engine.config import RuleFile, RuleSettings

_FROM_GLOBAL = ("scrape_interval", "scrape_timeout")
_RULE_KEYS = ("evaluation_interval", "rule_query_offset", "external_labels")
_ELSEWHERE = {
    "alerting": "alerts go to this tenant's own routes",
    "remote_write": "samples stay here",
    "remote_read": "only samples kept here are read",
    "storage": "see storage of our own file",
    "tracing": "",
    "otlp": "",
    "runtime": "",
}


class Global(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults of jobs and rules."""

    scrape_interval: Duration = duration("1m")
    scrape_timeout: Duration = duration("10s")
    evaluation_interval: Duration = duration("1m")
    rule_query_offset: Duration = duration("0")
    external_labels: dict[str, str] = msgspec.field(default_factory=dict)
    body_size_limit: str = "0"
    sample_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0
    target_limit: int = 0
    keep_dropped_targets: int = 0
    scrape_protocols: Any = None
    query_log_file: Any = None
    scrape_failure_log_file: Any = None
    scrape_native_histograms: Any = None
    scrape_classic_histograms: Any = None
    always_scrape_classic_histograms: Any = None
    convert_classic_histograms_to_nhcb: Any = None
    metric_name_validation_scheme: Any = None
    metric_name_escaping_scheme: Any = None
    extra_scrape_metrics: Any = None


class PrometheusFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    defaults: Global = msgspec.field(name="global", default_factory=Global)
    scrape_configs: list[ScrapeConfig] = msgspec.field(default_factory=list)
    rule_files: list[str] = msgspec.field(default_factory=list)
    scrape_config_files: list[str] = msgspec.field(default_factory=list)
    alerting: Any = None
    remote_write: Any = None
    remote_read: Any = None
    storage: Any = None
    tracing: Any = None
    otlp: Any = None
    runtime: Any = None


INSTEAD = (*_FROM_GLOBAL, "scrape_configs", *_RULE_KEYS)
"""Keys of a tenant that its prometheus.yml gives, so that they may not stand beside it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a prometheus.yml gives a tenant; `rule_files` by name relative to our own file."""

    file: PrometheusFile
    rule_files: dict[str, RuleFile]

    def metrics(self, own: MetricsConfig) -> MetricsConfig:
        """Return what a tenant collects: its own system metrics, and the file's jobs."""
        defaults = self.file.defaults
        return msgspec.structs.replace(
            own,
            scrape_interval=defaults.scrape_interval,
            scrape_timeout=defaults.scrape_timeout,
            scrape_configs=self.file.scrape_configs,
        )

    def rule_settings(self, own: RuleSettings) -> RuleSettings:
        """Return how rules are evaluated."""
        changed = {name: getattr(self.file.defaults, name) for name in _RULE_KEYS}
        return msgspec.structs.replace(own, **changed)


def read_prometheus(
    path: Path, *, folder: Path, report: Report, grammar: Grammar = DEFAULT
) -> Imported | None:
    """Return what a file gives, None when the report got a problem. Raises Unreadable.

    `folder` is that of our own file; `grammar` says which PromQL its rules may use.
    """
    document = parse(report.files.text(path), file=str(path))
    report.broken(document.problems)
    if document.root is None:
        return None
    converted = convert(document.root, PrometheusFile)
    report.broken(converted.problems)
    if converted.value is None:
        return None
    read = _resolved(converted.value, document.root, path.parent, report=report, grammar=grammar)
    named = {relpath(path.parent / n, folder): each for n, each in read.rule_files.items()}
    return replace(read, rule_files=named)


def _resolved(
    file: PrometheusFile, root: Section, home: Path, *, report: Report, grammar: Grammar
) -> Imported:
    """Return the file with its secrets read, its limits handed down and its rules read."""
    revealed = read_secret_files(file, root, folder=home, files=report.files)
    report.problems += revealed.problems
    report.warnings += revealed.warnings
    file = _with_limits(revealed.value)
    _warn(file, root, report)
    whole = Imported(file, {})
    metrics = whole.metrics(MetricsConfig())
    report.take(root, map(_below_global, check_metrics(metrics)))
    report.take(root, check_settings(whole.rule_settings(RuleSettings())), "global")
    anchored = anchor_files(metrics, home.absolute())
    file = msgspec.structs.replace(file, scrape_configs=anchored.scrape_configs)
    rules = read_rules(file.rule_files, (), root, folder=home, report=report, grammar=grammar)
    return Imported(file, rules)


def _with_limits(file: PrometheusFile) -> PrometheusFile:
    """Give each job the limits of `global` where it has none of its own."""
    none = Global()
    given = {name: value for name in LIMITS if (value := getattr(file.defaults, name))}
    jobs = []
    for job in file.scrape_configs:
        lacking = {n: v for n, v in given.items() if getattr(job, n) == getattr(none, n)}
        jobs.append(msgspec.structs.replace(job, **lacking))
    return msgspec.structs.replace(file, scrape_configs=jobs)


def _below_global(finding: Finding) -> Finding:
    """Return a finding about intervals where they stand in this file."""
    return finding.under("global") if finding.path[0] in _FROM_GLOBAL else finding


def _warn(file: PrometheusFile, root: Section, report: Report) -> None:
    if file.scrape_config_files:
        message = "scrape_config_files is not built yet: put the jobs into scrape_configs"
        report.fault(root, message, "scrape_config_files")
    for name, why in _ELSEWHERE.items():
        if getattr(file, name) is not None:
            report.warn(root, f"{name} is ignored{': ' if why else ''}{why}", name)
    for name in _ignored_defaults(file.defaults):
        report.warn(root, f"{name} is ignored", "global", name)
    for name, value in file.defaults.external_labels.items():
        if "$" in value:
            message = f'external label "{name}" is taken as it stands: variables are not expanded'
            report.warn(root, message, "global", "external_labels", name)


def _ignored_defaults(defaults: Global) -> Iterator[str]:
    known = (*_FROM_GLOBAL, *_RULE_KEYS, *LIMITS)
    for name in Global.__struct_fields__:
        if name not in known and getattr(defaults, name) is not None:
            yield name


def beside(section: Section) -> Iterator[str]:
    """Return the keys a tenant has written that its prometheus.yml gives."""
    entries = section.node.entries if isinstance(section.node, MapNode) else {}
    return (name for name in INSTEAD if name in entries)
