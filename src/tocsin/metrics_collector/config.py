"""What a tenant collects: scrape jobs in Prometheus' own words, and this host's metrics.

Source: Prometheus documentation, "Configuration", `scrape_config`. A field `x: Secret | None`
may have a twin `x_file`; the loader reads that file into `x`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration, Finding, duration

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]i?)?B?", re.ASCII)
_FACTORS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SHORTEST = timedelta(milliseconds=1)
DEFAULT_BODY_LIMIT = 64 << 20  # bytes; a page beyond that is an accident, not an exposition


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration struct of this room."""


class BasicAuth(Section, frozen=True, kw_only=True):
    """User and password of RFC 7617."""

    username: str = ""
    """User name."""
    password: Secret | None = None
    """Password."""
    password_file: str = ""
    """File that holds the password."""


class Authorization(Section, frozen=True, kw_only=True):
    """Scheme and credentials of the Authorization header."""

    type: str = "Bearer"
    """Scheme."""
    credentials: Secret | None = None
    """Credentials."""
    credentials_file: str = ""
    """File that holds the credentials."""


class TlsConfig(Section, frozen=True, kw_only=True):
    """How to verify the target and to prove who we are."""

    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""
    cert_file: str = ""
    """PEM file of the certificate to show."""
    key_file: str = ""
    """PEM file of its key."""
    server_name: str = ""
    """Name to expect in the target's certificate; empty: the host of the address."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""


class StaticConfig(Section, frozen=True, kw_only=True):
    """Targets written down, with labels of their own."""

    targets: list[str] = msgspec.field(default_factory=list)
    """Addresses, `host:port`."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels of every series of these targets."""


class ScrapeConfig(Section, frozen=True, kw_only=True):
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
    static_configs: list[StaticConfig] = msgspec.field(default_factory=list)
    """Targets."""
    basic_auth: BasicAuth | None = None
    """User and password."""
    authorization: Authorization | None = None
    """Authorization header."""
    bearer_token: Secret | None = None
    """Bearer token (old form of `authorization`)."""
    bearer_token_file: str = ""
    """File that holds the bearer token."""
    tls_config: TlsConfig = msgspec.field(default_factory=TlsConfig)
    """TLS towards the targets."""
    sample_limit: int = 0
    """Samples a page may hold, else the scrape fails; 0 means no limit."""
    label_limit: int = 0
    """Labels a series may have; 0 means no limit."""
    label_name_length_limit: int = 0
    """Characters of a label name; 0 means no limit."""
    label_value_length_limit: int = 0
    """Characters of a label value; 0 means no limit."""
    body_size_limit: str = "0"
    """Size of an uncompressed page, such as `10MB`; 0 means 64 MiB."""
    follow_redirects: bool = True
    """Follow redirects within the host."""
    enable_compression: bool = True
    """Ask for gzip."""
    enable_http2: bool = True
    """Accepted; HTTP/1.1 is spoken."""
    relabel_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    metric_relabel_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    proxy_url: str = ""
    """Not built yet."""
    oauth2: Any = None
    """Not built yet."""
    file_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    dns_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    http_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    consul_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    kubernetes_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    docker_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""
    ec2_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built yet."""


NOT_BUILT = (
    "relabel_configs",
    "metric_relabel_configs",
    "proxy_url",
    "oauth2",
    *(name for name in ScrapeConfig.__struct_fields__ if name.endswith("_sd_configs")),
)


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
    collector_interval: Duration = duration("5s")
    """How often metrics of this process (`MetricsCollector`) are stored."""


def check_metrics(config: MetricsConfig) -> list[Finding]:
    """Return every fault of a tenant's metric configuration."""
    findings = [
        Finding(path, "must be at least 1ms")
        for path, value in (
            (("scrape_interval",), config.scrape_interval),
            (("scrape_timeout",), config.scrape_timeout),
            (("system_metrics", "interval"), config.system_metrics.interval),
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
    return findings


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


def _check_job(job: ScrapeConfig, config: MetricsConfig) -> Iterator[Finding]:
    if not job.job_name:
        yield Finding(("job_name",), "job_name is empty")
    if timeout_of(job, config) > interval_of(job, config):
        yield Finding(("scrape_timeout",), "scrape timeout greater than scrape interval")
    if job.scheme not in ("http", "https"):
        yield Finding(("scheme",), 'scheme must be "http" or "https"')
    for name in NOT_BUILT:
        if getattr(job, name):
            yield Finding((name,), f"{name} is not built yet: it comes with the next release")
    yield from _check_limits(job)
    yield from _check_credentials(job)
    for index, static in enumerate(job.static_configs):
        for finding in _check_static(static):
            yield finding.under("static_configs", index)


def _check_limits(job: ScrapeConfig) -> Iterator[Finding]:
    for name in (
        "sample_limit",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
    ):
        if getattr(job, name) < 0:
            yield Finding((name,), f"{name} must not be negative")
    try:
        size_in_bytes(job.body_size_limit)
    except InvalidInput as error:
        yield Finding(("body_size_limit",), str(error))


def _check_credentials(job: ScrapeConfig) -> Iterator[Finding]:
    ways = (job.basic_auth, job.authorization, job.bearer_token or job.bearer_token_file)
    if sum(bool(way) for way in ways) > 1:
        yield Finding((), "at most one of basic_auth, authorization and bearer_token may be given")
    if job.authorization and job.authorization.type.strip().lower() == "basic":
        path = ("authorization", "type")
        yield Finding(path, 'authorization type cannot be "basic": use basic_auth')
    tls = job.tls_config
    if bool(tls.cert_file) != bool(tls.key_file):
        yield Finding(("tls_config",), "cert_file and key_file go together")


def _check_static(static: StaticConfig) -> Iterator[Finding]:
    for index, target in enumerate(static.targets):
        if not target or "/" in target or target.strip() != target:
            yield Finding(("targets", index), f'"{target}" is not a valid hostname')
    yield from _check_labels(static.labels)


def _check_labels(labels: Mapping[str, str]) -> Iterator[Finding]:
    for name in labels:
        if not _LABEL_NAME.fullmatch(name) or name == METRIC_NAME:
            yield Finding(("labels", name), f'"{name}" is not a valid label name')
