"""Who a value belongs to. The first argument of every port and store method."""

from __future__ import annotations

import re
from typing import NewType

from tocsin.model.errors import InvalidTenant

TenantId = NewType("TenantId", str)

# contracts: an id forms paths, URLs and primary keys, so the form is an allow-list.
_FORM = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


def tenant_id(text: str) -> TenantId:
    """Return `text` as a tenant id.

    Raises InvalidTenant unless it is 1-64 characters of a-z, 0-9, `_`, `-`, beginning and
    ending with a letter or digit.
    """
    if not _FORM.fullmatch(text):
        raise InvalidTenant(
            f"tenant id {text[:80]!r} is not valid: use 1-64 of a-z, 0-9, '_' and '-', "
            "beginning and ending with a letter or digit"
        )
    return TenantId(text)
