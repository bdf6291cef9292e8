"""What a tenant collects: scrape jobs in Prometheus' own words, and this host's metrics.

Source: Prometheus documentation, "Configuration", `scrape_config`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import PurePath

import msgspec

from tocsin.metrics_collector.discovery_config import (
    Discovery,
    anchored,
    check_discovery,
    gaps_of_discovery,
    without_gaps,
)
from tocsin.metrics_collector.http_config import Section, check_http_client, gaps_of_client
from tocsin.metrics_collector.negotiation import check_negotiation, notes_on_negotiation
from tocsin.metrics_collector.otlp.config import OtlpConfig, check_otlp
from tocsin.metrics_collector.relabel import RelabelConfig, check_relabel
from tocsin.model.errors import InvalidInput
from tocsin.model.settings import Duration, Finding, duration

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]i?)?B?", re.ASCII)
_FACTORS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SHORTEST = timedelta(milliseconds=1)
DEFAULT_BODY_LIMIT = 64 << 20  # bytes; a page beyond that is an accident, not an exposition


class ScrapeConfig(Discovery, frozen=True, kw_only=True):
    """One scrape job."""

    job_name: str
    """Name of the job, and the label `job`."""
    scrape_interval: Duration | None = None
    """How often; absent: the tenant's `scrape_interval`."""
    scrape_timeout: Duration | None = None
    """How long an answer may take; absent: the tenant's, at most the interval."""
    metrics_path: str = "/metrics"
    """Path of the exposition."""
    scheme: str = "http"
    """`http` or `https`."""
    params: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """URL parameters."""
    honor_labels: bool = False
    """Keep the target's labels where they clash with ours; else they become `exported_…`."""
    honor_timestamps: bool = True
    """Take the times the target gives."""
    track_timestamps_staleness: bool = False
    """End series whose times the target gives when they are gone; else they go stale by age."""
    enable_compression: bool = True
    """Ask for gzip."""
    body_size_limit: str = "0"
    """Size of an uncompressed page, such as `10MB`; 0 means 64 MiB."""
    sample_limit: int = 0
    """Samples a page may hold after relabelling, else the scrape fails; 0 means no limit."""
    label_limit: int = 0
    """Labels a series may have; 0 means no limit."""
    label_name_length_limit: int = 0
    """Bytes of a label name; 0 means no limit."""
    label_value_length_limit: int = 0
    """Bytes of a label value; 0 means no limit."""
    target_limit: int = 0
    """Targets the job may have, else none of them is scraped; 0 means no limit."""
    keep_dropped_targets: int = 0
    """Dropped targets the API lists; 0 means all."""
    relabel_configs: list[RelabelConfig] = msgspec.field(default_factory=list)
    """Rules over the labels of each target, before it is scraped."""
    metric_relabel_configs: list[RelabelConfig] = msgspec.field(default_factory=list)
    """Rules over the labels of each scraped series, before it is stored."""
    scrape_protocols: list[str] = msgspec.field(default_factory=list)
    """Formats to ask for, the best one first: `OpenMetricsText1.0.0`, `OpenMetricsText0.0.1`,
    `PrometheusText1.0.0`, `PrometheusText0.0.4`. Empty: all of them. `PrometheusProto` is left
    out."""
    fallback_scrape_protocol: str = ""
    """Format of an answer that does not tell its own; empty: `PrometheusText0.0.4`."""
    metric_name_validation_scheme: str = ""
    """`utf8` or `legacy`: decides which escaping is asked for; empty: `utf8`. Names are stored as
    the target gives them."""
    metric_name_escaping_scheme: str = ""
    """How targets are asked to write names: `allow-utf-8`, `underscores`, `dots`, `values`.
    Empty: as the validation scheme needs."""
    scrape_native_histograms: bool | None = None
    """Accepted; native histograms are not asked for."""
    scrape_classic_histograms: bool | None = None
    """Accepted; classic histograms always are kept."""
    always_scrape_classic_histograms: bool | None = None
    """Accepted; classic histograms always are kept."""
    convert_classic_histograms_to_nhcb: bool | None = None
    """Accepted; classic histograms stay what they are."""
    native_histogram_bucket_limit: int = 0
    """Accepted; native histograms are not asked for."""
    native_histogram_min_bucket_factor: float = 0.0
    """Accepted; native histograms are not asked for."""
    extra_scrape_metrics: bool | None = None
    """Store `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes`, too."""
    scrape_failure_log_file: str = ""
    """Accepted; failures stand in the log and in the API."""


LIMITS = (
    "body_size_limit",
    "sample_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "target_limit",
    "keep_dropped_targets",
)  # `global` of a prometheus.yml has these keys too, as defaults of its jobs
NEGOTIATED = (
    "scrape_protocols",
    "metric_name_validation_scheme",
    "metric_name_escaping_scheme",
)  # and these
WITHOUT_EFFECT = {
    "scrape_native_histograms": "native histograms are not scraped",
    "convert_classic_histograms_to_nhcb": "classic histograms stay what they are",
    "native_histogram_bucket_limit": "native histograms are not scraped",
    "native_histogram_min_bucket_factor": "native histograms are not scraped",
    "scrape_failure_log_file": "failures stand in the log and in the API",
}  # what a job may ask for and does not get


class SystemMetricsConfig(Section, frozen=True, kw_only=True):
    """Metrics of the machine Tocsin runs on, under the names of node_exporter."""

    enabled: bool = False
    """Collect them for this tenant; off, because a host's figures are its operator's."""
    interval: Duration = duration("15s")
    """How often."""
    job: str = "node"
    """The label `job`."""
    instance: str = ""
    """The label `instance`; empty: the name of the host."""


class SelfMetricsConfig(Section, frozen=True, kw_only=True):
    """What Tocsin says of itself: of this tenant, and of the process; never of another tenant."""

    enabled: bool = False
    """Collect it for this tenant; the rule packs `tocsin` and `security` read it."""
    interval: Duration = duration("15s")
    """How often."""
    job: str = "tocsin"
    """The label `job`."""
    instance: str = ""
    """The label `instance`; empty: the name of the host."""


class MetricsConfig(Section, frozen=True, kw_only=True):
    """What a tenant collects (the metric stage's part of a tenant)."""

    scrape_interval: Duration = duration("1m")
    """How often jobs scrape that do not say."""
    scrape_timeout: Duration = duration("10s")
    """How long an answer may take where the job does not say."""
    scrape_configs: list[ScrapeConfig] = msgspec.field(default_factory=list)
    """Scrape jobs, as in prometheus.yml."""
    system_metrics: SystemMetricsConfig = msgspec.field(default_factory=SystemMetricsConfig)
    """Metrics of this machine."""
    self_metrics: SelfMetricsConfig = msgspec.field(default_factory=SelfMetricsConfig)
    """Tocsin's own metrics."""
    collector_interval: Duration = duration("5s")
    """How often metrics of this process (`MetricsCollector`) are stored."""
    max_sample_ahead: Duration = duration("10m")
    """How far ahead of the clock a sample may be that comes by remote write or OTLP."""
    otlp: OtlpConfig = msgspec.field(default_factory=OtlpConfig)
    """How metrics that come by OTLP are named and labelled."""


def check_metrics(config: MetricsConfig) -> list[Finding]:
    """Return every fault of a tenant's metric configuration."""
    findings = [
        Finding(path, "must be at least 1ms")
        for path, value in (
            (("scrape_interval",), config.scrape_interval),
            (("scrape_timeout",), config.scrape_timeout),
            (("system_metrics", "interval"), config.system_metrics.interval),
            (("self_metrics", "interval"), config.self_metrics.interval),
            (("collector_interval",), config.collector_interval),
        )
        if value < _SHORTEST
    ]
    seen: set[str] = set()
    for index, job in enumerate(config.scrape_configs):
        at = ("scrape_configs", index)
        findings += [finding.under(*at) for finding in _check_job(job, config)]
        if job.job_name in seen:
            message = f'found multiple scrape configs with job name "{job.job_name}"'
            findings.append(Finding((*at, "job_name"), message))
        seen.add(job.job_name)
    return [*findings, *(finding.under("otlp") for finding in check_otlp(config.otlp))]


def gaps_of_metrics(config: MetricsConfig) -> list[Finding]:
    """Return what is asked for and not built, so that targets are missing."""
    return [
        finding.under("scrape_configs", index)
        for index, job in enumerate(config.scrape_configs)
        for finding in (*gaps_of_client(job), *gaps_of_discovery(job))
    ]


def notes_on_metrics(config: MetricsConfig) -> list[Finding]:
    """Return what is accepted and has no effect."""
    notes = [
        finding.under("scrape_configs", index)
        for index, job in enumerate(config.scrape_configs)
        for finding in _notes_on_job(job)
    ]
    if config.otlp.convert_histograms_to_nhcb:
        message = "convert_histograms_to_nhcb has no effect: histograms stay classic"
        notes.append(Finding(("otlp", "convert_histograms_to_nhcb"), message))
    return notes


def buildable(config: MetricsConfig) -> MetricsConfig:
    """Return the configuration without what is not built.

    A job whose targets could not be reached is left out, of others the missing targets are.
    """
    jobs = [without_gaps(job) for job in config.scrape_configs if not list(gaps_of_client(job))]
    return msgspec.structs.replace(config, scrape_configs=jobs)


def interval_of(job: ScrapeConfig, config: MetricsConfig) -> Duration:
    """Return how often `job` scrapes."""
    return job.scrape_interval or config.scrape_interval


def timeout_of(job: ScrapeConfig, config: MetricsConfig) -> Duration:
    """Return how long an answer may take: by default not longer than the interval."""
    return job.scrape_timeout or min(config.scrape_timeout, interval_of(job, config))


def size_in_bytes(text: str) -> int:
    """Return the bytes of a size such as `10MB`, `1.5GiB` or `0`. Raises InvalidInput.

    As in Prometheus, `MB` and `MiB` both count in steps of 1024.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InvalidInput(f"not a size: {text!r} (write for example 10MB)")
    unit = (found[2] or "").rstrip("i")
    return int(float(found[1]) * 1024 ** _FACTORS[unit])


def anchor_files(config: MetricsConfig, folder: PurePath) -> MetricsConfig:
    """Return the configuration with the files of `file_sd_configs` seen from `folder`."""
    jobs = [
        msgspec.structs.replace(
            job, file_sd_configs=[anchored(files, folder) for files in job.file_sd_configs]
        )
        for job in config.scrape_configs
    ]
    return msgspec.structs.replace(config, scrape_configs=jobs)


def _notes_on_job(job: ScrapeConfig) -> Iterator[Finding]:
    for name, why in WITHOUT_EFFECT.items():
        if getattr(job, name):
            yield Finding((name,), f"{name} has no effect: {why}")
    yield from notes_on_negotiation(job.scrape_protocols)


def _check_limits(limits: ScrapeConfig) -> Iterator[Finding]:
    for name in LIMITS:
        value = getattr(limits, name)
        if isinstance(value, int) and value < 0:
            yield Finding((name,), f"{name} must not be negative")
    try:
        size_in_bytes(limits.body_size_limit)
    except InvalidInput as error:
        yield Finding(("body_size_limit",), str(error))


def _check_job(job: ScrapeConfig, config: MetricsConfig) -> Iterator[Finding]:
    if not job.job_name:
        yield Finding(("job_name",), "job_name is empty")
    if timeout_of(job, config) > interval_of(job, config):
        yield Finding(("scrape_timeout",), "scrape timeout greater than scrape interval")
    if job.scheme not in ("http", "https"):
        yield Finding(("scheme",), 'scheme must be "http" or "https"')
    yield from _check_limits(job)
    yield from check_negotiation(
        job.scrape_protocols,
        job.fallback_scrape_protocol,
        validation=job.metric_name_validation_scheme,
        escaping=job.metric_name_escaping_scheme,
    )
    yield from check_http_client(job)
    for name in ("relabel_configs", "metric_relabel_configs"):
        for finding in check_relabel(getattr(job, name)):
            yield finding.under(name)
    yield from check_discovery(job, relabelled=bool(job.relabel_configs))
