"""Where the targets of a scrape job come from, as a configuration writes it.

Source: Prometheus documentation, "Configuration", `static_config`, `file_sd_config`,
`http_sd_config` and `dns_sd_config`. Every other kind of discovery is known by name only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from tocsin.metrics_collector.http_config import (
    HttpClient,
    Section,
    check_http_client,
    gaps_of_client,
)
from tocsin.model.labels import METRIC_NAME
from tocsin.model.settings import Duration, Finding, duration

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_FILE = re.compile(r"[^*]*(?:\*[^/]*)?\.(?:json|yml|yaml|JSON|YML|YAML)")
_SHORTEST = timedelta(seconds=1)
DNS_TYPES = ("A", "AAAA")
_DNS_NOT_BUILT = ("SRV", "MX", "NS")
_DNS_GAP = (
    "dns_sd_configs of type {} is not built: "
    "use type A or AAAA with a port, file_sd_configs or http_sd_configs"
)


class StaticConfig(Section, frozen=True, kw_only=True):
    """Targets written down, with labels of their own."""

    targets: list[str] = msgspec.field(default_factory=list)
    """Addresses, `host:port`."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels of every series of these targets."""


class FileSdConfig(Section, frozen=True, kw_only=True):
    """Targets listed in files, which may change while the server runs.

    A file is a list of `{targets: [...], labels: {...}}`. One that cannot be read, or is
    broken, leaves its last good targets in force.
    """

    files: tuple[str, ...] = ()
    """JSON or YAML files (globs in the last part of the path), relative to the file that names
    them."""
    refresh_interval: Duration = duration("5m")
    """How often to read them even though nothing seems to have changed."""


class HttpSdConfig(HttpClient, frozen=True, kw_only=True):
    """Targets listed by a server, as JSON of the same form as in files.

    An answer that fails leaves the last good targets in force.
    """

    url: str = ""
    """URL of the list."""
    refresh_interval: Duration = duration("60s")
    """How often to ask; also how long an answer may take."""


class DnsSdConfig(Section, frozen=True, kw_only=True):
    """Targets that are the addresses of names, asked again and again.

    A name that cannot be asked for leaves its last good targets in force.
    """

    names: list[str] = msgspec.field(default_factory=list)
    """Names to ask for."""
    type: str = "SRV"
    """Kind of record: `A` or `AAAA`. `SRV`, `MX` and `NS` are not built."""
    port: int = 0
    """Port of the targets."""
    refresh_interval: Duration = duration("30s")
    """How often to ask."""


class OtherDiscovery(HttpClient, frozen=True, kw_only=True):
    """Kinds of discovery Prometheus has and we do not, beside how targets are reached."""

    azure_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    consul_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    digitalocean_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    docker_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    dockerswarm_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    ec2_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    eureka_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    gce_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    hetzner_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    ionos_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    kubernetes_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    kuma_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    lightsail_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    linode_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    marathon_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    nerve_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    nomad_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    openstack_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    ovhcloud_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    puppetdb_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    scaleway_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    serverset_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    stackit_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    triton_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    uyuni_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""
    vultr_sd_configs: list[Any] = msgspec.field(default_factory=list)
    """Not built: use `file_sd_configs` or `http_sd_configs`."""


SD_NOT_BUILT = tuple(n for n in OtherDiscovery.__struct_fields__ if n.endswith("_sd_configs"))


class Discovery(OtherDiscovery, frozen=True, kw_only=True):
    """Every source of targets a job may have, and how they are reached."""

    static_configs: list[StaticConfig] = msgspec.field(default_factory=list)
    """Targets."""
    file_sd_configs: list[FileSdConfig] = msgspec.field(default_factory=list)
    """Targets listed in files."""
    http_sd_configs: list[HttpSdConfig] = msgspec.field(default_factory=list)
    """Targets listed by servers."""
    dns_sd_configs: list[DnsSdConfig] = msgspec.field(default_factory=list)
    """Targets that are the addresses of names."""


D = TypeVar("D", bound=Discovery)


def check_discovery(job: Discovery, *, relabelled: bool) -> Iterator[Finding]:
    """Return every fault; an address may be anything where it is `relabelled`."""
    for index, static in enumerate(job.static_configs):
        for finding in _check_static(static, relabelled=relabelled):
            yield finding.under("static_configs", index)
    for index, files in enumerate(job.file_sd_configs):
        for finding in _check_files(files):
            yield finding.under("file_sd_configs", index)
    for index, server in enumerate(job.http_sd_configs):
        for finding in _check_server(server):
            yield finding.under("http_sd_configs", index)
    for index, names in enumerate(job.dns_sd_configs):
        for finding in _check_names(names):
            yield finding.under("dns_sd_configs", index)


def gaps_of_discovery(job: Discovery) -> Iterator[Finding]:
    """Return which sources of targets are asked for and not built."""
    for name in SD_NOT_BUILT:
        if getattr(job, name):
            yield Finding((name,), f"{name} is not built: use file_sd_configs or http_sd_configs")
    for index, names in enumerate(job.dns_sd_configs):
        if names.type.upper() in _DNS_NOT_BUILT:
            yield Finding(("dns_sd_configs", index, "type"), _DNS_GAP.format(names.type.upper()))
    for index, server in enumerate(job.http_sd_configs):
        for finding in gaps_of_client(server):
            yield finding.under("http_sd_configs", index)


def without_gaps(job: D) -> D:
    """Return a job without the sources of targets that are not built."""
    return msgspec.structs.replace(
        job,
        **{name: [] for name in SD_NOT_BUILT if getattr(job, name)},
        dns_sd_configs=[n for n in job.dns_sd_configs if n.type.upper() not in _DNS_NOT_BUILT],
        http_sd_configs=[s for s in job.http_sd_configs if not list(gaps_of_client(s))],
    )


def anchored(files: FileSdConfig, folder: PurePath) -> FileSdConfig:
    """Return the configuration with its files seen from `folder`."""
    return msgspec.structs.replace(files, files=tuple(str(folder / name) for name in files.files))


def valid_address(address: str) -> bool:
    """Tell whether an address can be asked: a host and perhaps a port, no path."""
    return bool(address) and "/" not in address and address.strip() == address


def _check_static(static: StaticConfig, *, relabelled: bool) -> Iterator[Finding]:
    for index, target in enumerate(static.targets):
        if not relabelled and not valid_address(target):
            yield Finding(("targets", index), f'"{target}" is not a valid hostname')
    yield from _check_labels(static.labels)


def _check_labels(labels: Mapping[str, str]) -> Iterator[Finding]:
    for name in labels:
        if not _LABEL_NAME.fullmatch(name) or name == METRIC_NAME:
            yield Finding(("labels", name), f'"{name}" is not a valid label name')


def _check_files(config: FileSdConfig) -> Iterator[Finding]:
    if not config.files:
        yield Finding((), "file_sd_configs needs at least one path in files")
    for index, name in enumerate(config.files):
        if not _FILE.fullmatch(name):
            message = f'path name "{name}" is not valid for file discovery'
            yield Finding(("files", index), f"{message} (end in .json, .yml or .yaml)")
    yield from _check_interval(config.refresh_interval)


def _check_server(config: HttpSdConfig) -> Iterator[Finding]:
    try:
        parts = urlsplit(config.url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        yield Finding(("url",), f'"{config.url}" is no http or https URL')
    yield from _check_interval(config.refresh_interval)
    yield from check_http_client(config)


def _check_names(config: DnsSdConfig) -> Iterator[Finding]:
    if not any(config.names):
        yield Finding((), "dns_sd_configs needs at least one name in names")
    kind = config.type.upper()
    if kind not in (*DNS_TYPES, *_DNS_NOT_BUILT):
        yield Finding(("type",), f'type must be A or AAAA, not "{config.type}"')
    if kind in DNS_TYPES and not 0 < config.port < 65536:
        yield Finding(("port",), f"a port is needed with type {kind}")
    yield from _check_interval(config.refresh_interval)


def _check_interval(interval: Duration) -> Iterator[Finding]:
    if interval < _SHORTEST:
        yield Finding(("refresh_interval",), "must be at least 1s")
