"""Tokens: shown once, stored as SHA-256, found by their digest.

Form `tocsin_<id>_<secret><crc>`: 8 characters of id to recognise it by in a list, 43 of
secret (256 bits), 6 of checksum, so that a typing error is told apart from a wrong token
and secret scanners can find a leaked one. A token has 256 bits of entropy, so a fast hash
is enough (no dictionary to try).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.model.errors import InvalidInput
from tocsin.model.secret import Secret
from tocsin.model.tenant import TenantId
from tocsin.security.permissions import Permission, Role, allows

PREFIX = "tocsin"
ENTROPY_BYTES = 38  # 6 for the id, 32 for the secret
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request speaks for; `tenant` is None for the platform itself."""

    name: str
    role: Role
    tenant: TenantId | None

    def may(self, permission: Permission) -> bool:
        """Tell whether this principal holds `permission`."""
        return allows(self.role, permission)


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token: `plain` is shown once, `sha256` (64 hex digits) is kept."""

    plain: Secret
    sha256: str


@dataclass(frozen=True, slots=True)
class Credential:
    """One stored token digest and the principal it proves."""

    sha256: str
    principal: Principal


def mint(entropy: bytes) -> Minted:
    """Return a token made of `entropy`, exactly ENTROPY_BYTES from a cryptographic source."""
    if len(entropy) != ENTROPY_BYTES:
        raise InvalidInput(f"a token takes {ENTROPY_BYTES} bytes of entropy, got {len(entropy)}")
    body = f"{PREFIX}_{_base62(entropy[:6], 9)}_{_base62(entropy[6:], 43)}"
    plain = body + _checksum(body)
    return Minted(Secret(plain), digest(plain))


def digest(plain: str) -> str:
    """Return what is stored of a token: the SHA-256 of its text, in hex."""
    return hashlib.sha256(plain.encode()).hexdigest()


def well_formed(plain: str) -> bool:
    """Tell whether the checksum of a token holds; says nothing about its being known."""
    return plain.startswith(PREFIX + "_") and _checksum(plain[:-6]) == plain[-6:]


class TokenTable:
    """Every credential in force. Immutable: a reload builds a new one."""

    def __init__(self, credentials: Iterable[Credential]) -> None:
        """Index credentials by digest. Raises InvalidInput when two share one."""
        self._by_digest: dict[str, Principal] = {}
        for credential in credentials:
            if credential.sha256 in self._by_digest:
                raise InvalidInput(
                    f"token {credential.principal.name!r} is listed twice: "
                    "a token belongs to one tenant"
                )
            self._by_digest[credential.sha256] = credential.principal

    def authenticate(self, plain: str) -> Principal | None:
        """Return whom a token proves, None when it proves nobody.

        Looked up by digest: what an attacker can time is the hash of a guess, not the secret.
        """
        return self.principal(digest(plain))

    def principal(self, sha256: str) -> Principal | None:
        """Return whom the token of this digest proves, None when it is not in force."""
        return self._by_digest.get(sha256)


def _base62(raw: bytes, width: int) -> str:
    number, text = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 62)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()).to_bytes(4), 6)
