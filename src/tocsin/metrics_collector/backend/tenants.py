"""How each kind of server tells tenants apart, and which tenants may share one.

What one tenant stores must never be read by another. A server that keeps tenants apart by a
header or by its path is trusted with several; one that does so only when it is set up for it
(Thanos, anything `generic`) must pass the isolation probe; one that knows no tenants serves
one alone. Sources: the documentation of each server; thanos-io/thanos#7339.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlsplit

from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.model.settings import Finding
from tocsin.model.tenant import TenantId

_LARGEST_NUMBER = 2**32 - 1  # account and project of VictoriaMetrics are uint32
_NUMBERS = re.compile(r"[0-9]{1,10}(:[0-9]{1,10})?")
_NAME = re.compile(r"[A-Za-z0-9!_.*'()-]{1,150}")  # Mimir's; "|" would ask for several tenants


class Apart(StrEnum):
    """How far a kind of server keeps tenants apart."""

    NEVER = "never"  # knows no tenants
    ALWAYS = "always"
    IF_PROVEN = "if-proven"  # depends on how it is set up


@dataclass(frozen=True, slots=True)
class Trait:
    """What sets a kind of server apart: the path below its URL, the header, the isolation."""

    path: str
    header: str
    apart: Apart


TRAITS = {
    BackendKind.PROMETHEUS: Trait("", "", Apart.NEVER),
    BackendKind.MIMIR: Trait("/prometheus", "X-Scope-OrgID", Apart.ALWAYS),
    BackendKind.VICTORIAMETRICS: Trait("", "", Apart.NEVER),
    BackendKind.VICTORIAMETRICS_CLUSTER: Trait("/select/{tenant}/prometheus", "", Apart.ALWAYS),
    BackendKind.THANOS: Trait("", "THANOS-TENANT", Apart.IF_PROVEN),
    BackendKind.GENERIC: Trait("", "", Apart.IF_PROVEN),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tenant's metrics are: addresses filled in, the tenant named.

    `name` is the tenant's there, "" where there are no tenants; `shown` is what messages say.
    """

    kind: BackendKind
    api: str
    write: str
    header: str
    name: str
    shown: str

    @property
    def tenant_headers(self) -> dict[str, str]:
        """Return the header that names the tenant, where there is one."""
        return {self.header: self.name} if self.header else {}


@dataclass(frozen=True, slots=True)
class Use:
    """A tenant's backend, and every tenant that uses the same one."""

    config: BackendConfig
    tenants: tuple[TenantId, ...]

    @property
    def to_be_probed(self) -> bool:
        """Tell whether isolation is to be shown before anything is asked."""
        return len(self.tenants) > 1 and bool(self.config.remote_write_url)


def place_of(config: BackendConfig, tenant: TenantId) -> Place:
    """Return where the metrics of `tenant` are. The configuration must have been checked."""
    trait, name = TRAITS[config.kind], _name(config, tenant)
    base = _filled(config.url, name).rstrip("/")
    path = _filled(trait.path, name)
    return Place(
        kind=config.kind,
        api=f"{base.removesuffix(path)}{path}/api/v1",
        write=_filled(config.remote_write_url, name),
        header=config.tenant_header or trait.header,
        name=name,
        shown=f"backend {config.kind} at {base}, tenant {tenant}",
    )


def check_tenancy(config: BackendConfig, tenant: TenantId) -> Iterator[Finding]:
    """Return what is wrong with the way a backend names `tenant`."""
    trait, name = TRAITS[config.kind], _name(config, tenant)
    if not name:
        for field in ("tenant_map", "tenant_header"):
            if getattr(config, field):
                yield Finding((field,), f"{config.kind} has no tenants")
        if "{tenant}" in config.url + config.remote_write_url:
            yield Finding(("url",), f"{config.kind} has no tenants: {{tenant}} stands for nothing")
    elif config.kind is BackendKind.VICTORIAMETRICS_CLUSTER:
        yield from _check_numbers(config, tenant)
    elif not _NAME.fullmatch(name):
        path = ("tenant_map", tenant) if tenant in config.tenant_map else ("tenant_map",)
        yield Finding(path, f'"{name}" is no name of one tenant (letters, digits and !_.*\'()-)')
    if trait.header and config.tenant_header and config.tenant_header != trait.header:
        message = f"{config.kind} names tenants by {trait.header}: leave tenant_header out"
        yield Finding(("tenant_header",), message)


def check_sharing(backends: Mapping[TenantId, BackendConfig]) -> dict[TenantId, str]:
    """Return why a tenant may not use its backend beside the others that do, by tenant."""
    faults = {}
    for tenant, use in uses(backends).items():
        fault = _sharing_fault(tenant, use, backends)
        if fault:
            faults[tenant] = fault
    return faults


def uses(backends: Mapping[TenantId, BackendConfig]) -> dict[TenantId, Use]:
    """Return each tenant's backend with the tenants that share it."""
    keys = {tenant: address_of(config) for tenant, config in backends.items()}
    sharing = {key: tuple(t for t in keys if keys[t] == key) for key in keys.values()}
    return {tenant: Use(config, sharing[keys[tenant]]) for tenant, config in backends.items()}


def address_of(config: BackendConfig) -> str:
    """Return what tells one backend from another: scheme, host, port and path.

    A server that has two names, or two paths, cannot be told from two servers.
    """
    parts = urlsplit(config.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"


def _sharing_fault(tenant: TenantId, use: Use, backends: Mapping[TenantId, BackendConfig]) -> str:
    others = [other for other in use.tenants if other != tenant]
    if not others:
        return ""
    config, first = use.config, others[0]
    trait = TRAITS[config.kind]
    tells = bool(config.tenant_header or trait.header or "{tenant}" in config.url + trait.path)
    if trait.apart is Apart.NEVER or not tells:
        why = f"{config.kind} does not keep tenants apart"
        return f'{why}, and tenant "{first}" uses the same address'
    twin = next(
        (other for other in others if _same_name(backends[other], other, use, tenant)), None
    )
    if twin is not None:
        return f'tenants "{twin}" and "{tenant}" would be one tenant there: name them apart'
    if trait.apart is Apart.IF_PROVEN and not config.remote_write_url:
        why = f"{config.kind} may answer tenants with each other's series"
        return f"{why}: give remote_write_url, so that the isolation probe can show it does not"
    return ""


def _same_name(other: BackendConfig, other_tenant: TenantId, use: Use, tenant: TenantId) -> bool:
    return _name(other, other_tenant) == _name(use.config, tenant)


def _name(config: BackendConfig, tenant: TenantId) -> str:
    """Return what the tenant is called there, "" where there are no tenants."""
    if TRAITS[config.kind].apart is Apart.NEVER:
        return ""
    return config.tenant_map.get(tenant, tenant)


def _filled(template: str, name: str) -> str:
    return template.replace("{tenant}", quote(name, safe=":!*'()"))


def _check_numbers(config: BackendConfig, tenant: TenantId) -> Iterator[Finding]:
    name = config.tenant_map.get(tenant, "")
    if not name:
        message = f'a cluster of VictoriaMetrics knows tenants by number: give one for "{tenant}"'
        yield Finding(("tenant_map",), message)
    elif not _NUMBERS.fullmatch(name) or max(map(int, name.split(":"))) > _LARGEST_NUMBER:
        message = f'"{name}" is no account or account:project (each from 0 to {_LARGEST_NUMBER})'
        yield Finding(("tenant_map", tenant), message)
