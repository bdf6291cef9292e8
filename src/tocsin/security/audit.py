"""Audit events: who did what to which object, and whether it was allowed.

Every denial and every administrative act is one. Where they go is the caller's business
(`Trail`); an event never holds a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import msgspec


class AuditOutcome(StrEnum):
    """How the act ended."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"


class AuditEvent(msgspec.Struct, frozen=True):
    """One audited act. `tenant` and `actor` are empty when nobody was proven."""

    at: datetime
    tenant: str
    actor: str
    action: str
    object: str
    outcome: AuditOutcome
    source: str = ""
    reason: str = ""


Trail = Callable[[AuditEvent], None]
