"""From configured tokens to who may come in."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.api.http import Access
from tocsin.config_loader.loaded import Config
from tocsin.config_loader.server import Auth
from tocsin.security.permissions import Role
from tocsin.security.tokens import Credential, Principal, TokenTable


def access_of(config: Config) -> Access:
    """Return who may come in under `config`. Raises InvalidInput when a token is listed twice."""
    return Access(
        tokens=TokenTable(_credentials(config)),
        tenants=frozenset(tenant.id for tenant in config.tenants),
        open_to_all=config.server.auth is Auth.NONE,
    )


def _credentials(config: Config) -> Iterator[Credential]:
    for own in config.server.tokens:
        yield Credential(own.sha256, Principal(own.name, Role(own.role), None))
    for tenant in config.tenants:
        for token in tenant.tokens:
            yield Credential(token.sha256, Principal(token.name, Role(token.role), tenant.id))
