"""Which alerts of a rule are due to be sent, and what is sent of them.

As Prometheus does it: a firing alert is sent again every `resend_delay` with an end four
intervals ahead, so that it ends by itself when this process dies; a resolved one is repeated
for as long as it is remembered (15 minutes). `needs_sending` says so of one alert; `Outgoing`
looks only at the alerts that changed and at those whose time to be sent again has come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from urllib.parse import quote_plus

import msgspec

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.rule_engine.active import ActiveAlerts
from tocsin.rule_engine.alerting import ActiveAlert, State
from tocsin.rule_engine.rows import Row

ENDURED_FAILURES = 4  # rules/group.go: allow for missed evaluations and failed sends


@dataclass(frozen=True, slots=True)
class Sender:
    """How the alerts of one rule group go out."""

    interval: timedelta
    resend_delay: timedelta
    external_labels: Labels
    external_url: str

    @property
    def valid_for(self) -> timedelta:
        """Return for how long a firing alert counts as such without being sent again."""
        return ENDURED_FAILURES * max(self.interval, self.resend_delay)

    def labels(self, alert: ActiveAlert) -> Labels:
        """Return the labels an alert is sent with."""
        return self.external_labels.merged(alert.labels)


def needs_sending(alert: ActiveAlert, *, now: datetime, delay: timedelta) -> bool:
    """Tell whether an alert is to be sent at `now`: never while pending, at once on a change."""
    if alert.state is State.PENDING:
        return False
    sent = alert.last_sent_at
    if sent is None or (alert.resolved_at is not None and alert.resolved_at > sent):
        return True
    return now - sent >= delay


class Outgoing:
    """What a rule has to send. Not for concurrent use.

    Asking costs O(1) while nothing changed and nothing is due, else it costs what is looked at.
    """

    def __init__(self, sender: Sender, expr: str) -> None:
        """Send as `sender` says, with a link to `expr`."""
        self._sender = sender
        self._url = generator_url(sender.external_url, expr)
        self._now: dict[Row, None] = {}
        self._sent: list[tuple[datetime, int, Sequence[Row]]] = []
        self._count = 0

    def note(self, changed: Sequence[Row]) -> None:
        """Look at these rows when next asked: they are not as they were."""
        self._now.update(dict.fromkeys(changed))

    def due(self, alerts: ActiveAlerts, *, now: datetime) -> list[Row]:
        """Return the rows to be sent at `now`; they are due again until they are marked."""
        delay = self._sender.resend_delay
        while self._sent and now - self._sent[0][0] >= delay:
            sent_at, _, rows = heappop(self._sent)
            self.note([row for row in rows if row.alert.last_sent_at == sent_at])
        if not self._now:
            return []
        looked_at, self._now = self._now, {}
        alive = [row for row in looked_at if alerts.holds(row)]
        due = [row for row in alive if needs_sending(row.alert, now=now, delay=delay)]
        self.note(due)
        for row in set(alive).difference(due):
            if row.alert.last_sent_at is not None:
                self._later(row.alert.last_sent_at, [row])
        return due

    def alerts(self, alerts: ActiveAlerts, rows: Sequence[Row], *, now: datetime) -> list[Alert]:
        """Return what the next stage is told of `rows`, as of the newest evaluation."""
        ends_at = now + self._sender.valid_for
        return [self._alert(row, alerts.read(row), now=now, ends_at=ends_at) for row in rows]

    def mark(self, rows: Sequence[Row], *, now: datetime) -> None:
        """Remember that these rows were told at `now`."""
        for row in rows:
            row.alert = msgspec.structs.replace(row.alert, last_sent_at=now)
            if row.alert.resolved_at is None or row.alert.resolved_at <= now:
                self._now.pop(row, None)  # else the clock was put back: it is due at once again
        self._later(now, rows)

    def _alert(self, row: Row, alert: ActiveAlert, *, now: datetime, ends_at: datetime) -> Alert:
        """Return what is told of one alert, which ends at `ends_at` if it is not over."""
        if row.told is None:
            row.told = self._sender.labels(alert)
        return Alert(
            labels=row.told,
            starts_at=alert.fired_at or alert.active_at,
            ends_at=alert.resolved_at or ends_at,
            updated_at=now,
            annotations=alert.annotations,
            generator_url=self._url,
        )

    def _later(self, sent_at: datetime, rows: Sequence[Row]) -> None:
        self._count += 1
        heappush(self._sent, (sent_at, self._count, rows))


def generator_url(external_url: str, expr: str) -> str:
    """Return the address of the graph page that shows `expr`, as Prometheus writes it."""
    return f"{external_url.rstrip('/')}/graph?g0.expr={quote_plus(expr)}&g0.tab=1"
