"""A flushed group becomes notifications: one for each integration that must be told. Pure."""

from __future__ import annotations

from tocsin.model.events import GroupFlush, Target
from tocsin.model.notification import Notification, notification_id
from tocsin.model.tenant import TenantId


def submit(tenant: TenantId, flush: GroupFlush, incident_id: str = "") -> tuple[Notification, ...]:
    """Return the rows for the outbox that `flush` asks for, in the order of its targets.

    The same flush gives the same ids in every replay. Nothing is sent here.
    """
    return tuple(_notification(tenant, flush, target, incident_id) for target in flush.targets)


def _notification(
    tenant: TenantId, flush: GroupFlush, target: Target, incident_id: str
) -> Notification:
    return Notification(
        id=notification_id(tenant, flush.key, target.integration),
        tenant=tenant,
        receiver=flush.receiver,
        integration=target.integration,
        group_key=flush.group_key,
        group_labels=flush.group_labels,
        alerts=target.alerts,
        reason=target.reason,
        flushed_at=flush.at,
        incident=incident_id,
        route_labels=flush.route_labels,
    )
