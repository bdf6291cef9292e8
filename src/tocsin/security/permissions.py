"""Who may do what: one table of roles and permissions. What is not in it is denied.

Roles grow: viewer < responder < editor < tenant-admin. A platform-admin runs the service and
sees no tenant's data. To administer is to delete and copy samples.
"""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What a route asks of whoever calls it."""

    PUBLIC = "public"
    READ = "read"
    QUERY = "query"
    POST_ALERTS = "post-alerts"
    WRITE_METRICS = "write-metrics"
    SILENCE = "silence"
    EDIT_RULES = "edit-rules"
    ADMINISTER = "administer"
    METRICS = "metrics"
    OPERATE = "operate"


class Role(StrEnum):
    """What a credential stands for."""

    NOBODY = "nobody"
    WRITER = "writer"
    VIEWER = "viewer"
    RESPONDER = "responder"
    EDITOR = "editor"
    TENANT_ADMIN = "tenant-admin"
    PLATFORM_ADMIN = "platform-admin"
    OWNER = "owner"  # nobody has to prove anything: `server.auth: none`, on loopback


_VIEW = frozenset({Permission.PUBLIC, Permission.READ, Permission.QUERY, Permission.METRICS})
_RESPOND = _VIEW | {Permission.SILENCE}
_WRITE = frozenset({Permission.POST_ALERTS, Permission.WRITE_METRICS})
_EDIT = _RESPOND | _WRITE | {Permission.EDIT_RULES}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.NOBODY: frozenset({Permission.PUBLIC}),
    Role.WRITER: _WRITE | {Permission.PUBLIC},
    Role.VIEWER: _VIEW,
    Role.RESPONDER: _RESPOND,
    Role.EDITOR: _EDIT,
    Role.TENANT_ADMIN: _EDIT | {Permission.ADMINISTER},
    Role.PLATFORM_ADMIN: frozenset({Permission.PUBLIC, Permission.METRICS, Permission.OPERATE}),
    Role.OWNER: frozenset(Permission),
}


def allows(role: Role, permission: Permission) -> bool:
    """Tell whether `role` grants `permission`."""
    return permission in GRANTS[role]
