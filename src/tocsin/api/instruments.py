"""Who came in and who did not, as metrics under the names of the catalogue.

What is counted under a tenant is what its security rules read: decisions about its credentials,
and wrong credentials shown at its own address. No label holds an address: `source` is a keyed
hash, and only the first ones of a process have a name of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter

from tocsin.model.tenant import TenantId

MOST_SOURCES = 100  # series a tenant may get at most; a flood of addresses is one source more
OTHERS = "other"


class Decision(StrEnum):
    """How the Door decided about a request."""

    ALLOW = "allow"
    DENY = "deny"


class Login(StrEnum):
    """How an attempt to prove who one is ended."""

    SUCCESS = "success"
    FAILURE = "failure"


class Pseudonyms:
    """Names for addresses that mean nothing outside this process."""

    def __init__(self, key: bytes) -> None:
        """Name addresses by a hash with `key`, at most 64 bytes."""
        self._key = key
        self._names: dict[str, str] = {}

    def of(self, address: str) -> str:
        """Return the name of an address, `other` when too many have one already."""
        if address not in self._names:
            if len(self._names) >= MOST_SOURCES:
                return OTHERS
            name = hashlib.blake2b(address.encode(), key=self._key, digest_size=6)
            self._names[address] = name.hexdigest()
        return self._names[address]


class AccessInstruments:
    """Counters of the Door, by tenant; an empty tenant is nobody's, or the platform's."""

    def __init__(
        self, registry: CollectorRegistry | None = None, *, pseudonym: Callable[[str], str] = str
    ) -> None:
        """Register the counters; without a registry nobody reads them."""
        self._pseudonym = pseudonym
        self._decisions = Counter(
            "access_decisions",
            "Decisions about requests.",
            ("tenant", "decision"),
            registry=registry,
        )
        self._crossed = Counter(
            "access_cross_tenant_denied",
            "Requests by a credential of the tenant for another tenant.",
            ("tenant",),
            registry=registry,
        )
        self._logins = Counter(
            "auth_login_attempts",
            "Sign-ins, and requests with a credential that is not known. Failures have a source.",
            ("tenant", "outcome", "source"),
            registry=registry,
        )
        self._privileged = Counter(
            "privileged_actions",
            "Acts that only the operators of the platform may do.",
            ("tenant", "action"),
            registry=registry,
        )

    def decided(self, tenant: TenantId | None, decision: Decision) -> None:
        """Count a decision about a request."""
        self._decisions.labels(tenant or "", decision.value).inc()

    def crossed(self, tenant: TenantId) -> None:
        """Count a request by a credential of `tenant` for another tenant; it was denied."""
        self._crossed.labels(tenant).inc()

    def login(self, tenant: TenantId | None, outcome: Login, *, address: str = "") -> None:
        """Count an attempt to prove who one is, made from `address`."""
        source = self._pseudonym(address) if outcome is Login.FAILURE else ""
        self._logins.labels(tenant or "", outcome.value, source).inc()

    def privileged(self, tenant: TenantId | None, action: str) -> None:
        """Count an administrative act; `action` is one of a few."""
        self._privileged.labels(tenant or "", action).inc()
