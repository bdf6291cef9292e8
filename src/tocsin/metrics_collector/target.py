"""A scrape target: its address, how it is asked, and the labels its series bear. Values only."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from tocsin.metrics_collector.config import (
    DEFAULT_BODY_LIMIT,
    MetricsConfig,
    ScrapeConfig,
    StaticConfig,
    interval_of,
    size_in_bytes,
    timeout_of,
)
from tocsin.metrics_collector.ports import FetchOptions
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.model.version import VERSION

ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
_PARAM = "__param_"
_PATH_SAFE = "/:@!$&'()*+,;=~%"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a page may hold; 0 means no limit. `body` is in bytes."""

    samples: int = 0
    labels: int = 0
    name_length: int = 0
    value_length: int = 0
    body: int = DEFAULT_BODY_LIMIT


@dataclass(frozen=True, slots=True)
class Target:
    """One target. Equal targets are scraped alike; `key` is unique within the tenant.

    `authorization` is the value of that header, None for none.
    """

    job: str
    url: str
    interval: Duration
    timeout: Duration
    labels: Labels
    discovered: Labels
    honor_labels: bool = False
    honor_timestamps: bool = True
    compress: bool = True
    limits: Limits = field(default_factory=Limits)
    options: FetchOptions = field(default_factory=FetchOptions)
    authorization: Secret | None = None

    @property
    def key(self) -> str:
        """Return what names the target: its job, URL and labels."""
        return f"{self.job};{self.url};{self.labels}"

    def headers(self) -> dict[str, str]:
        """Return the headers of a scrape; the credential is plain in them."""
        headers = {
            "Accept": ACCEPT,
            "Accept-Encoding": "gzip" if self.compress else "identity",
            "User-Agent": f"Tocsin/{VERSION}",
            "X-Prometheus-Scrape-Timeout-Seconds": f"{self.timeout.total_seconds():g}",
        }
        if self.authorization is not None:
            headers["Authorization"] = self.authorization.reveal()
        return headers


def targets_of(config: MetricsConfig) -> dict[str, Target]:
    """Return every target of a tenant by key; the same target twice is one."""
    made = (
        _target(job, config, static, address)
        for job in config.scrape_configs
        for static in job.static_configs
        for address in static.targets
    )
    return {target.key: target for target in made}


def _target(job: ScrapeConfig, config: MetricsConfig, static: StaticConfig, address: str) -> Target:
    interval, timeout = interval_of(job, config), timeout_of(job, config)
    found = {
        "__address__": address,
        "__metrics_path__": job.metrics_path,
        "__scheme__": job.scheme,
        "__scrape_interval__": str(interval),
        "__scrape_timeout__": str(timeout),
        "job": job.job_name,
        **{_PARAM + name: values[0] for name, values in job.params.items() if values},
        **static.labels,
    }
    shown = {name: value for name, value in found.items() if not name.startswith("__")}
    return Target(
        job=job.job_name,
        url=_url(found, job.params),
        interval=interval,
        timeout=timeout,
        labels=Labels.of({"instance": address, **shown}),
        discovered=Labels.of(found),
        honor_labels=job.honor_labels,
        honor_timestamps=job.honor_timestamps,
        compress=job.enable_compression,
        limits=_limits(job),
        options=_options(job),
        authorization=_authorization(job),
    )


def _url(found: Mapping[str, str], params: Mapping[str, list[str]]) -> str:
    path = found["__metrics_path__"]
    path = quote(path if path.startswith("/") else f"/{path}", safe=_PATH_SAFE)
    query = urlencode(list(_query(found, params)))
    address = f"{found['__scheme__']}://{found['__address__']}{path}"
    return f"{address}?{query}" if query else address


def _query(found: Mapping[str, str], params: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Return the URL parameters; a label `__param_x` replaces the first value of `x`."""
    given = {n.removeprefix(_PARAM): v for n, v in found.items() if n.startswith(_PARAM)}
    for name in sorted({*params, *given}):
        values = params.get(name, [])
        first = [given[name]] if name in given else values[:1]
        yield from ((name, value) for value in (*first, *values[1:]))


def _limits(job: ScrapeConfig) -> Limits:
    return Limits(
        samples=job.sample_limit,
        labels=job.label_limit,
        name_length=job.label_name_length_limit,
        value_length=job.label_value_length_limit,
        body=size_in_bytes(job.body_size_limit) or DEFAULT_BODY_LIMIT,
    )


def _options(job: ScrapeConfig) -> FetchOptions:
    tls = job.tls_config
    return FetchOptions(
        follow_redirects=job.follow_redirects,
        verify=not tls.insecure_skip_verify,
        ca_file=tls.ca_file,
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        server_name=tls.server_name,
    )


def _authorization(job: ScrapeConfig) -> Secret | None:
    if job.basic_auth is not None:
        password = job.basic_auth.password.reveal() if job.basic_auth.password else ""
        pair = f"{job.basic_auth.username}:{password}".encode()
        return Secret(f"Basic {base64.b64encode(pair).decode()}")
    if job.authorization is not None and job.authorization.credentials:
        scheme = job.authorization.type.strip() or "Bearer"
        return Secret(f"{scheme} {job.authorization.credentials.reveal().strip()}")
    if job.bearer_token:
        return Secret(f"Bearer {job.bearer_token.reveal().strip()}")
    return None


def with_target_labels(series: Labels, target: Labels, *, honor: bool) -> Labels:
    """Return the labels a scraped series is stored under.

    Where both sides have a label, `honor` keeps the series' own; else that one is renamed to
    `exported_<name>` (again and again while the new name is taken, too).
    """
    if honor:
        return target.merged(series)
    clashing = [name for name in target if name in series]
    if not clashing:
        return series.merged(target)
    made = {**series, **target}
    for name in clashing:
        free = f"exported_{name}"
        while free in made:
            free = f"exported_{free}"
        made[free] = series[name]
    return Labels.of(made)


def check_labels(labels: Labels, limits: Limits) -> str:
    """Return why a label set is beyond the limits, "" when it is not."""
    if limits.labels and len(labels) > limits.labels:
        return f"label_limit exceeded ({len(labels)} labels, limit {limits.labels})"
    for name, value in labels.pairs:
        if limits.name_length and len(name) > limits.name_length:
            return f"label_name_length_limit exceeded (label {name[:50]!r})"
        if limits.value_length and len(value) > limits.value_length and name != METRIC_NAME:
            return f"label_value_length_limit exceeded (label {name[:50]!r})"
    return ""
