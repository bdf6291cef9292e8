"""A scrape target: its address, how it is asked, and the labels its series bear. Values only.

Source of the steps from a discovered address to a target: Prometheus 3, `scrape/target.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from tocsin.metrics_collector.config import (
    DEFAULT_BODY_LIMIT,
    MetricsConfig,
    ScrapeConfig,
    interval_of,
    size_in_bytes,
    timeout_of,
)
from tocsin.metrics_collector.discovery_config import valid_address
from tocsin.metrics_collector.http_config import (
    authorization_of,
    fetch_options,
    headers_of,
    with_headers,
)
from tocsin.metrics_collector.negotiation import accept
from tocsin.metrics_collector.ports import FetchOptions
from tocsin.metrics_collector.relabel import Rules, compile_rules, relabel
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.model.version import VERSION

_PARAM = "__param_"
_RESERVED = "__"
_PATH_SAFE = "/:@&=+$,;"  # what Go leaves in a path beside letters, digits and -_.~


@dataclass(frozen=True, slots=True)
class Limits:
    """What a page may hold; 0 means no limit. `body` and the lengths are in bytes."""

    samples: int = 0
    labels: int = 0
    name_length: int = 0
    value_length: int = 0
    body: int = DEFAULT_BODY_LIMIT


@dataclass(frozen=True, slots=True)
class Target:
    """One target. Equal targets are scraped alike; `key` is unique within the tenant.

    `track` ends series with times of their own when they are gone, `extra` adds three series about
    the scrape. `authorization` is the value of that header, None for none; `more` are further
    headers. `fallback` is the format of an answer that does not tell its own. `rules` rewrite
    the labels of its series. `refused` says why it is not scraped at all, "" when it is.
    """

    job: str
    url: str
    interval: Duration
    timeout: Duration
    labels: Labels
    discovered: Labels
    honor_labels: bool = False
    honor_timestamps: bool = True
    track: bool = False
    extra: bool = False
    compress: bool = True
    limits: Limits = field(default_factory=Limits)
    options: FetchOptions = field(default_factory=FetchOptions)
    authorization: Secret | None = None
    more: tuple[tuple[str, Secret], ...] = ()
    accept: str = field(default_factory=lambda: accept(()))
    fallback: str = ""
    rules: Rules = ()
    refused: str = ""

    @property
    def key(self) -> str:
        """Return what names the target: its job, URL and labels."""
        return f"{self.job};{self.url};{self.labels}"

    def headers(self) -> dict[str, str]:
        """Return the headers of a scrape; the credential is plain in them."""
        headers = {
            "Accept": self.accept,
            "Accept-Encoding": "gzip" if self.compress else "identity",
            "User-Agent": f"Tocsin/{VERSION}",
            "X-Prometheus-Scrape-Timeout-Seconds": f"{self.timeout.total_seconds():g}",
        }
        if self.authorization is not None:
            headers["Authorization"] = self.authorization.reveal()
        return with_headers(headers, self.more)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a discovered address: a target, or none.

    Without a target, `fault` says what is wrong with it; "" when a rule dropped it.
    """

    discovered: Labels
    target: Target | None = None
    fault: str = ""


class Job:
    """A scrape job, ready to make targets of what is discovered."""

    def __init__(self, config: ScrapeConfig, metrics: MetricsConfig) -> None:
        """Compile the rules of a checked configuration. `metrics` gives what the job leaves out."""
        self.config = config
        self._defaults = {
            "job": config.job_name,
            "__scrape_interval__": str(interval_of(config, metrics)),
            "__scrape_timeout__": str(timeout_of(config, metrics)),
            "__metrics_path__": config.metrics_path,
            "__scheme__": config.scheme,
        }
        self._params = {_PARAM + name: given[0] for name, given in config.params.items() if given}
        self._rules = compile_rules(config.relabel_configs)
        self._series_rules = compile_rules(config.metric_relabel_configs)
        self._limits = _limits(config)
        self._options = fetch_options(config)
        self._authorization = authorization_of(config)
        self._more = headers_of(config)
        self._accept = accept(
            config.scrape_protocols,
            validation=config.metric_name_validation_scheme,
            escaping=config.metric_name_escaping_scheme,
        )

    def alike(self, other: Job) -> bool:
        """Tell whether both make the same of every address."""
        return (self.config, self._defaults) == (other.config, other._defaults)

    def outcome(self, address: str, shared: Mapping[str, str]) -> Outcome:
        """Return what becomes of an address that was discovered with the labels `shared`."""
        own = {"__address__": address} if address else {}
        found = {name: value for name, value in {**shared, **own}.items() if value}
        discovered = Labels.of({**self._defaults, **found, **self._params})
        labels = relabel(discovered, self._rules)
        if labels is None:
            return Outcome(discovered)
        try:
            return Outcome(discovered, self._target(labels, discovered))
        except InvalidInput as error:
            return Outcome(discovered, fault=str(error))

    def _target(self, labels: dict[str, str], discovered: Labels) -> Target:
        address = labels.get("__address__", "")
        if not address:
            raise InvalidInput("no address")
        if not valid_address(address):
            raise InvalidInput(f'"{address}" is not a valid hostname')
        interval, timeout = _times(labels)
        shown = {n: value for n, value in labels.items() if not n.startswith(_RESERVED)}
        return Target(
            job=self.config.job_name,
            url=_url(labels, self.config.params),
            interval=interval,
            timeout=timeout,
            labels=Labels.of({"instance": address, **shown}),
            discovered=discovered,
            honor_labels=self.config.honor_labels,
            honor_timestamps=self.config.honor_timestamps,
            track=self.config.track_timestamps_staleness,
            extra=bool(self.config.extra_scrape_metrics),
            compress=self.config.enable_compression,
            limits=self._limits,
            options=self._options,
            authorization=self._authorization,
            more=self._more,
            accept=self._accept,
            fallback=self.config.fallback_scrape_protocol,
            rules=self._series_rules,
        )


def _times(labels: Mapping[str, str]) -> tuple[Duration, Duration]:
    """Return interval and timeout as the labels say. Raises InvalidInput."""
    texts = labels.get("__scrape_interval__", ""), labels.get("__scrape_timeout__", "")
    interval, timeout = Duration.parse(texts[0]), Duration.parse(texts[1])
    if not interval or not timeout:
        raise InvalidInput("scrape interval and scrape timeout cannot be 0")
    if timeout > interval:
        raise InvalidInput(f"scrape timeout {timeout} is greater than scrape interval {interval}")
    return interval, timeout


def _url(found: Mapping[str, str], params: Mapping[str, list[str]]) -> str:
    path = found.get("__metrics_path__", "")
    path = quote(path if path.startswith("/") else f"/{path}", safe=_PATH_SAFE)
    query = urlencode(list(_query(found, params)))
    address = f"{found.get('__scheme__', '')}://{found['__address__']}{path}"
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


def with_target_labels(series: Labels, target: Labels, *, honor: bool) -> Labels:
    """Return the labels a scraped series is stored under.

    Where both sides have a label, `honor` keeps the series' own; else that one is renamed to
    `exported_<name>` (again and again while the new name is taken, too).
    """
    names = {name for name, _ in series.pairs}
    clashing = [name for name, _ in target.pairs if name in names]
    if not clashing:
        return Labels(series.pairs + target.pairs)
    if honor:
        return target.merged(series)
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
        if limits.name_length and len(name.encode()) > limits.name_length:
            return f"label_name_length_limit exceeded (label {name[:50]!r})"
        if limits.value_length and len(value.encode()) > limits.value_length:
            return f"label_value_length_limit exceeded (label {name[:50]!r})"
    return ""
