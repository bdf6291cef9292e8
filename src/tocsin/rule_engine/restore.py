"""How a pending period survives a restart: `ALERTS_FOR_STATE` says since when, in the store.

Each round of a group also writes when it was, as
`tocsin_rule_group_last_evaluation_timestamp_seconds`: what was active at the last of them was
active when the process died. The rules for going on are Prometheus' (`rules/group.go`,
RestoreForState), with one thing better: an alert that fired goes on firing whatever its `for`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.model.duration import format_duration
from tocsin.model.labels import ALERT_NAME, METRIC_NAME, Labels
from tocsin.model.slots import from_ms, to_ms
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.definition import GroupDef, RuleDef
from tocsin.rule_engine.ports import Queries

HEARTBEAT = "tocsin_rule_group_last_evaluation_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Remembered:
    """The alerts of one rule when the process went down: label set → active since."""

    down_at: datetime
    hold: timedelta
    grace: timedelta
    active: Mapping[Labels, datetime]

    def since(self, labels: Labels, *, now: datetime) -> datetime | None:
        """Return since when the alert counts as active, None when it starts anew."""
        active_at = self.active.get(labels)
        if active_at is None:
            return None
        left = self.hold - (self.down_at - active_at)
        if left <= timedelta(0):
            return active_at
        if self.hold < self.grace:
            return None
        if left < self.grace:
            return now + self.grace - self.hold
        return active_at + (now - self.down_at)


def heartbeat_labels(group: GroupDef) -> Labels:
    """Return the series that tells when `group` was last evaluated."""
    return Labels.of({METRIC_NAME: HEARTBEAT, "rule_group": group.key})


async def last_round(
    queries: Queries, tenant: TenantId, group: GroupDef, *, before: datetime, tolerance: timedelta
) -> datetime | None:
    """Return when `group` was last evaluated before `before`, None if not within `tolerance`."""
    selector = f"{HEARTBEAT}{{rule_group={_quoted(group.key)}}}"
    expr = f"last_over_time({selector}[{format_duration(tolerance)}])"
    answer = await queries.instant(tenant, expr, at_ms=to_ms(before) - 1)
    if not answer.labels:
        return None
    at = from_ms(round(float(answer.values[0]) * 1000))
    return at if at < before else None


async def remembered(
    queries: Queries, tenant: TenantId, rule: RuleDef, *, down_at: datetime, grace: timedelta
) -> Remembered:
    """Return which alerts of `rule` were active in its last round, and since when."""
    expr = f"ALERTS_FOR_STATE{{{ALERT_NAME}={_quoted(rule.name)}}}"
    answer = await queries.instant(tenant, expr, at_ms=to_ms(down_at))
    active = {
        labels.drop((METRIC_NAME,)): from_ms(round(since_s * 1000))
        for labels, since_s in answer.elements()
    }
    return Remembered(down_at, rule.hold, grace, active)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
