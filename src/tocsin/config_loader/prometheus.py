"""A `prometheus.yml` as it is: its jobs, its rules, its defaults and its `otlp` for one tenant.

What jobs ask for and is not built is told by warnings, and the rest of the file counts.
Everything else is Prometheus' own business (where it sends alerts and samples, how it stores
them) and is left out with a warning. Variables are not expanded. Source: Prometheus
documentation, "Configuration".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from os.path import relpath
from pathlib import Path
from typing import Any

import msgspec

from tocsin.config_loader.convert import convert
from tocsin.config_loader.prometheus_jobs import Jobs, jobs_of, read_job_files, tell_of_gaps
from tocsin.config_loader.report import Report
from tocsin.config_loader.rules import read_rules
from tocsin.config_loader.secret_files import read_secret_files
from tocsin.config_loader.tree import MapNode, Section, parse
from tocsin.metrics_collector.config import (
    LIMITS,
    WITHOUT_EFFECT,
    MetricsConfig,
    ScrapeConfig,
    buildable,
    check_metrics,
    gaps_of_metrics,
    notes_on_metrics,
)
from tocsin.metrics_collector.negotiation import check_negotiation, notes_on_negotiation
from tocsin.metrics_collector.otlp.config import OtlpConfig
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
    scrape_protocols: list[str] = msgspec.field(default_factory=list)
    metric_name_validation_scheme: str = ""
    metric_name_escaping_scheme: str = ""
    scrape_native_histograms: bool | None = None
    scrape_classic_histograms: bool | None = None
    always_scrape_classic_histograms: bool | None = None
    convert_classic_histograms_to_nhcb: bool | None = None
    extra_scrape_metrics: bool | None = None
    scrape_failure_log_file: str = ""
    query_log_file: str = ""


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
    otlp: OtlpConfig | None = None
    runtime: Any = None


INSTEAD = (*_FROM_GLOBAL, "scrape_configs", *_RULE_KEYS)
"""Keys of a tenant that its prometheus.yml gives, so that they may not stand beside it.

So is `otlp` where the file has that section.
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a prometheus.yml gives a tenant.

    `jobs` are those of the files it names, too; `rule_files` are by name relative to our own
    file.
    """

    file: PrometheusFile
    jobs: tuple[ScrapeConfig, ...] = ()
    rule_files: dict[str, RuleFile] = field(default_factory=dict)

    def metrics(self, own: MetricsConfig) -> MetricsConfig:
        """Return what a tenant collects: its own system metrics, and the file's jobs."""
        defaults = self.file.defaults
        return msgspec.structs.replace(
            own,
            scrape_interval=defaults.scrape_interval,
            scrape_timeout=defaults.scrape_timeout,
            scrape_configs=list(self.jobs),
            otlp=self.file.otlp or own.otlp,
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
    """Return the file with its secrets read, its defaults handed down and its rules read."""
    revealed = read_secret_files(file, root, folder=home, files=report.files)
    report.problems += revealed.problems
    report.warnings += revealed.warnings
    file = revealed.value
    _warn(file, root, report)
    more = read_job_files(file.scrape_config_files, root, folder=home, report=report)
    jobs = jobs_of(file.scrape_configs, root, home).joined(more)
    jobs = jobs.of(_with_limits(job, file.defaults) for job in jobs.configs)
    collected = _checked(Imported(file, jobs.configs), jobs, root, report)
    report.take(root, check_settings(Imported(file).rule_settings(RuleSettings())), "global")
    rules = read_rules(file.rule_files, (), root, folder=home, report=report, grammar=grammar)
    return Imported(file, tuple(collected), rules)


def _checked(
    imported: Imported, jobs: Jobs, root: Section, report: Report
) -> Iterator[ScrapeConfig]:
    """Tell what is wrong with jobs, and yield those that can be built, defaults handed down."""
    metrics = imported.metrics(MetricsConfig())
    for section, finding in jobs.placed(map(_below_global, check_metrics(metrics)), root):
        report.take(section, [finding])
    for section, finding in jobs.placed(notes_on_metrics(metrics), root):
        report.warn(section, finding.message, *finding.path)
    tell_of_gaps(jobs, gaps_of_metrics(metrics), root, report)
    defaults = imported.file.defaults
    return (_negotiated(job, defaults) for job in buildable(metrics).scrape_configs)


def _with_limits(job: ScrapeConfig, defaults: Global) -> ScrapeConfig:
    """Return a job with the limits of `global` where it has none of its own."""
    none = Global()
    lacking = {name for name in LIMITS if getattr(job, name) == getattr(none, name)}
    return msgspec.structs.replace(job, **{name: getattr(defaults, name) for name in lacking})


def _negotiated(job: ScrapeConfig, defaults: Global) -> ScrapeConfig:
    """Return a job with formats, schemes and extra series of `global` where it has none.

    A job with a validation scheme of its own has the escaping scheme that goes with it.
    """
    escaping = job.metric_name_escaping_scheme
    if not job.metric_name_validation_scheme:
        escaping = escaping or defaults.metric_name_escaping_scheme
    return msgspec.structs.replace(
        job,
        scrape_protocols=job.scrape_protocols or defaults.scrape_protocols,
        metric_name_validation_scheme=(
            job.metric_name_validation_scheme or defaults.metric_name_validation_scheme
        ),
        metric_name_escaping_scheme=escaping,
        extra_scrape_metrics=(
            defaults.extra_scrape_metrics
            if job.extra_scrape_metrics is None
            else job.extra_scrape_metrics
        ),
    )


def _below_global(finding: Finding) -> Finding:
    """Return a finding about intervals where they stand in this file."""
    return finding.under("global") if finding.path[0] in _FROM_GLOBAL else finding


def _warn(file: PrometheusFile, root: Section, report: Report) -> None:
    for name, why in _ELSEWHERE.items():
        if getattr(file, name) is not None:
            report.warn(root, f"{name} is ignored{': ' if why else ''}{why}", name)
    defaults = file.defaults
    report.take(root, _faults_of(defaults), "global")
    for finding in _notes_on(defaults):
        report.warn(root, finding.message, "global", *finding.path)
    for name, value in defaults.external_labels.items():
        if "$" in value:
            message = f'external label "{name}" is taken as it stands: variables are not expanded'
            report.warn(root, message, "global", "external_labels", name)


def _faults_of(defaults: Global) -> Iterator[Finding]:
    return check_negotiation(
        defaults.scrape_protocols,
        "",
        validation=defaults.metric_name_validation_scheme,
        escaping=defaults.metric_name_escaping_scheme,
    )


def _notes_on(defaults: Global) -> Iterator[Finding]:
    if defaults.query_log_file:
        yield Finding(("query_log_file",), "query_log_file is ignored")
    for name, why in WITHOUT_EFFECT.items():
        if getattr(defaults, name, None):
            yield Finding((name,), f"{name} has no effect: {why}")
    yield from notes_on_negotiation(defaults.scrape_protocols)


def beside(section: Section, keys: Sequence[str] = INSTEAD) -> Iterator[str]:
    """Return which of `keys` a tenant has written, although its prometheus.yml gives them."""
    entries = section.node.entries if isinstance(section.node, MapNode) else {}
    return (name for name in keys if name in entries)
