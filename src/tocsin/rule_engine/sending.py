"""Which alerts of a rule are due to be sent, and what is sent of them. Pure.

As Prometheus does it: a firing alert is sent again every `resend_delay` with an end four
intervals ahead, so that it ends by itself when this process dies; a resolved one is repeated
for as long as it is remembered (15 minutes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote_plus

import msgspec

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.rule_engine.alerting import Active, ActiveAlert, State

ENDURED_FAILURES = 4  # rules/group.go: allow for missed evaluations and failed sends


@dataclass(frozen=True, slots=True)
class Sender:
    """How the alerts of one rule group go out."""

    interval: timedelta
    resend_delay: timedelta
    external_labels: Labels
    external_url: str

    def due(self, active: Active, *, now: datetime) -> list[ActiveAlert]:
        """Return the alerts to be sent at `now`."""
        return [a for a in active.values() if needs_sending(a, now=now, delay=self.resend_delay)]

    def outgoing(self, alert: ActiveAlert, expr: str, *, now: datetime) -> Alert:
        """Return what the next stage is told of `alert`, as of `now`."""
        valid_for = ENDURED_FAILURES * max(self.interval, self.resend_delay)
        return Alert(
            labels=self.external_labels.merged(alert.labels),
            starts_at=alert.fired_at or alert.active_at,
            ends_at=alert.resolved_at or now + valid_for,
            updated_at=now,
            annotations=alert.annotations,
            generator_url=generator_url(self.external_url, expr),
        )


def needs_sending(alert: ActiveAlert, *, now: datetime, delay: timedelta) -> bool:
    """Tell whether an alert is to be sent at `now`: never while pending, at once on a change."""
    if alert.state is State.PENDING:
        return False
    sent = alert.last_sent_at
    if sent is None or (alert.resolved_at is not None and alert.resolved_at > sent):
        return True
    return now - sent >= delay


def mark_sent(
    active: Mapping[Labels, ActiveAlert], sent: Iterable[ActiveAlert], *, now: datetime
) -> dict[Labels, ActiveAlert]:
    """Return `active` with those `sent` marked as told at `now`."""
    after = dict(active)
    for alert in sent:
        after[alert.labels] = msgspec.structs.replace(alert, last_sent_at=now)
    return after


def generator_url(external_url: str, expr: str) -> str:
    """Return the address of the graph page that shows `expr`, as Prometheus writes it."""
    return f"{external_url.rstrip('/')}/graph?g0.expr={quote_plus(expr)}&g0.tab=1"
