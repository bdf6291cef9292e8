"""What one flush of a group means for its incident. Pure.

An aggregation group is an incident, from the first flush with something firing until the
flush that says the group is over. Suppression says nothing about the condition: the incident
stays open while anything fires, heard of or not, and ends when nothing does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from tocsin.model.alert import Phase
from tocsin.model.events import GroupFlush
from tocsin.model.incident import Ending, Incident, IncidentState
from tocsin.model.labels import ALERT_NAME
from tocsin.model.notification import NotifiedAlert
from tocsin.model.severity import Severity, severity_of
from tocsin.model.tenant import TenantId

SUMMARY = "summary"
LONGEST_TITLE = 200  # characters

_WORST_FIRST = tuple(Severity)


def decide(tenant: TenantId, current: Incident | None, flush: GroupFlush) -> Incident | None:
    """Return the incident of the group after `flush`, None when there is none.

    `current` is the open incident. It comes back itself when nothing changed. Its own times never
    run backwards, whatever the clock does.
    """
    firing = [alert for alert in flush.alerts if alert.status is Phase.FIRING]
    if current is None:
        return _opened(tenant, flush, firing) if firing else None
    at = max(flush.at, current.updated_at)
    if flush.over is not None:
        return _resolved(current, at, flush.over)
    return _updated(current, firing, at)


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst of `severities`, INFO for none."""
    return min(severities, key=_WORST_FIRST.index, default=Severity.INFO)


def title_of(alerts: Sequence[NotifiedAlert]) -> str:
    """Return what a person reads first: the summary they share, else the names of the alerts."""
    summaries = {alert.annotations.value(SUMMARY) for alert in alerts}
    if len(summaries) == 1 and (shared := summaries.pop()):
        return _cut(shared)
    names = dict.fromkeys(alert.labels.value(ALERT_NAME) or "alert" for alert in alerts)
    told = ", ".join(names)
    return _cut(told if len(alerts) == 1 else f"{told} ({len(alerts)} alerts)")


def _opened(tenant: TenantId, flush: GroupFlush, firing: Sequence[NotifiedAlert]) -> Incident:
    return Incident(
        id=_id(tenant, flush),
        group_key=flush.group_key,
        group_labels=flush.group_labels,
        receiver=flush.receiver,
        state=IncidentState.OPEN,
        severity=_severity(firing),
        opened_at=flush.at,
        updated_at=flush.at,
        alerts=len(firing),
        title=title_of(firing),
    )


def _updated(current: Incident, firing: Sequence[NotifiedAlert], at: datetime) -> Incident:
    """Return `current` as its firing alerts have it; its severity never falls while it is open."""
    changed = msgspec.structs.replace(
        current,
        alerts=len(firing),
        severity=worst((current.severity, _severity(firing))),
        title=title_of(firing) if firing else current.title,
    )
    return current if changed == current else msgspec.structs.replace(changed, updated_at=at)


def _resolved(current: Incident, at: datetime, why: Ending) -> Incident:
    return msgspec.structs.replace(
        current,
        state=IncidentState.RESOLVED,
        alerts=0,
        updated_at=at,
        resolved_at=at,
        ending=why,
    )


def _severity(alerts: Iterable[NotifiedAlert]) -> Severity:
    return worst(severity_of(alert.labels.value("severity")) for alert in alerts)


def _id(tenant: TenantId, flush: GroupFlush) -> str:
    """Return an id that is the same in every replay; a tenant id holds no NUL."""
    parts = f"incident\0{tenant}\0{flush.key}"
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1] + "…"
