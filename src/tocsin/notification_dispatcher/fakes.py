"""In-memory doubles of this room's ports, with behaviour; the conformance suites hold them true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from tocsin.model.alert import Phase
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, NotDurable
from tocsin.model.labels import Labels
from tocsin.model.notification import (
    DeliveryReport,
    Final,
    HttpAnswer,
    Notification,
    NotifiedAlert,
    Reason,
    SmtpAnswer,
    notification_id,
)
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.ports import (
    PENDING,
    Attempt,
    Delivery,
    DeliveryLog,
    Http,
    HttpCall,
    HttpOptions,
    Mail,
    Outbox,
    OutboxRow,
    Smtp,
    SmtpServer,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)  # when a row that was never tried is due


def an_alert(name: str = "HighLoad", **labels: str) -> NotifiedAlert:
    """Return an alert that has fired for a minute."""
    return NotifiedAlert(
        status=Phase.FIRING,
        labels=Labels.of({"alertname": name, "severity": "critical", **labels}),
        annotations=Labels.of({"summary": f"{name} is up"}),
        starts_at=START - timedelta(minutes=1),
        ends_at=None,
        fingerprint="0123456789abcdef",
        generator_url="http://prometheus.test/graph?g0.expr=up&g0.tab=1",
    )


def a_notification(
    tenant: str = "acme",
    *,
    integration: str = "webhook[0]",
    flush_key: str = "flush-1",
    alerts: tuple[NotifiedAlert, ...] = (),
    group_key: str = '{}:{alertname="HighLoad"}',
) -> Notification:
    """Return a notification of one firing alert to the receiver `team`."""
    who = TenantId(tenant)
    return Notification(
        id=notification_id(who, flush_key, integration),
        tenant=who,
        receiver="team",
        integration=integration,
        group_key=group_key,
        group_labels=Labels.of({"alertname": "HighLoad"}),
        alerts=alerts or (an_alert(),),
        reason=Reason.FIRST,
        flushed_at=START,
        incident="incident-1",
    )


class LoopClock(Clock):
    """A clock that follows the event loop's time, which a test may make virtual."""

    def __init__(self, start: datetime = START) -> None:
        """Say `start` at the time of the first call."""
        self._start = start
        self._zero: float | None = None

    def now(self) -> datetime:
        """Return the present."""
        time = asyncio.get_running_loop().time()
        self._zero = time if self._zero is None else self._zero
        return self._start + timedelta(seconds=time - self._zero)

    async def sleep_until(self, when: datetime) -> None:
        """Return once `now() >= when`."""
        await asyncio.sleep(max((when - self.now()).total_seconds(), 0))


@dataclass(slots=True)
class _Row:
    """A notification in the fake outbox."""

    notification: Notification
    next_at: datetime = AT_ONCE
    final: Final | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict)
    leased_until: datetime | None = None

    def due_at(self) -> datetime | None:
        """Return when the row can be claimed, None when it has ended."""
        return None if self.final else max(self.next_at, self.leased_until or self.next_at)

    def claimed(self) -> OutboxRow:
        """Return the row as who claims it gets it."""
        first_at = min((attempt.at for attempt in self.attempts.values()), default=None)
        return OutboxRow(self.notification, max(self.attempts, default=0), first_at)

    def logged(self) -> Delivery:
        """Return the row as a line of the delivery log."""
        waits_until = max(self.next_at, self.notification.flushed_at)
        return Delivery(
            self.notification,
            self.final.value if self.final else PENDING,
            tuple(self.attempts[number] for number in sorted(self.attempts)),
            None if self.final else waits_until,
        )


class MemoryOutbox(Outbox, DeliveryLog):
    """An outbox in memory. `reports` is what the alert log would be told.

    Set `broken` to make every write fail with NotDurable.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.reports: list[DeliveryReport] = []
        self.broken = False
        self._rows: dict[TenantId, dict[str, _Row]] = {}
        self._wakes: dict[TenantId, Callable[[], None]] = {}

    def commit(
        self, tenant: TenantId, notifications: Iterable[Notification], replaced: Iterable[str] = ()
    ) -> None:
        """Add rows, due at once, and end those that are replaced."""
        rows, new = self._rows.setdefault(tenant, {}), tuple(notifications)
        for told in new:
            rows.setdefault(told.id, _Row(told))
        for row in (rows[id_] for id_ in replaced if id_ in rows):
            row.final = row.final or Final.SUPERSEDED
        if new:
            self._wake(tenant)

    async def claim(
        self, tenant: TenantId, *, now: datetime, limit: int, lease: timedelta
    ) -> list[OutboxRow]:
        """Lease due rows, oldest first."""
        self._refuse_when_broken()
        due = [(at, r) for r in self._of(tenant) if (at := r.due_at()) and at <= now]
        chosen = [row for _, row in sorted(due, key=lambda pair: pair[0])][:limit]
        for row in chosen:
            row.leased_until = now + lease
        return [row.claimed() for row in chosen]

    async def settle(self, tenant: TenantId, attempt: Attempt) -> None:
        """Record an attempt."""
        self._refuse_when_broken()
        row = self._rows.get(tenant, {}).get(attempt.notification)
        if row is None:
            raise InvalidInput(f"tenant {tenant} has no notification {attempt.notification!r}")
        row.attempts.setdefault(attempt.number, attempt)
        row.leased_until = None
        if attempt.final is None:
            row.next_at = attempt.next_at or attempt.at
            self._wake(tenant)
        elif row.final is None:
            row.final = attempt.final
            self.reports.append(_report(row.notification, attempt, attempt.final))

    async def next_due(self, tenant: TenantId) -> datetime | None:
        """Return when the next row can be claimed."""
        return min((at for row in self._of(tenant) if (at := row.due_at())), default=None)

    def watch(self, tenant: TenantId, wake: Callable[[], None]) -> None:
        """Call `wake` when rows came, and when one is to be tried again."""
        self._wakes[tenant] = wake

    async def deliveries(
        self, tenant: TenantId, *, before: str | None, limit: int, receiver: str = ""
    ) -> list[Delivery]:
        """Return deliveries, newest first."""
        ids = list(self._rows.get(tenant, {}))
        if before is not None:
            ids = ids[: ids.index(before)] if before in ids else []
        older = (self._rows[tenant][id_] for id_ in reversed(ids))
        wanted = [row for row in older if receiver in ("", row.notification.receiver)]
        return [row.logged() for row in wanted[:limit]]

    def _of(self, tenant: TenantId) -> list[_Row]:
        return list(self._rows.get(tenant, {}).values())

    def _wake(self, tenant: TenantId) -> None:
        wake = self._wakes.get(tenant)
        if wake is not None:
            wake()

    def _refuse_when_broken(self) -> None:
        if self.broken:
            raise NotDurable("the fake outbox was told to fail")


def _report(told: Notification, attempt: Attempt, final: Final) -> DeliveryReport:
    return DeliveryReport(told.id, told.group_key, told.integration, final, attempt.reason)


Answering = Callable[[HttpCall], Awaitable[HttpAnswer]]


class FakeHttp(Http):
    """Answers every call with `answer`, and remembers it."""

    def __init__(self, answer: Answering | HttpAnswer | None = None) -> None:
        """Answer with a value, or with what a coroutine function makes of the call."""
        self.answer = answer or HttpAnswer(200)
        self.calls: list[HttpCall] = []
        self.options: list[HttpOptions] = []

    async def send(self, call: HttpCall, options: HttpOptions) -> HttpAnswer:
        """Return the answer."""
        self.calls.append(call)
        self.options.append(options)
        answer = self.answer
        return answer if isinstance(answer, HttpAnswer) else await answer(call)

    def bodies(self) -> list[object]:
        """Return the JSON bodies that were sent."""
        return [msgspec.json.decode(call.body) for call in self.calls]


Submitting = Callable[[SmtpServer, Mail], Awaitable[SmtpAnswer]]


class FakeSmtp(Smtp):
    """Takes every mail, or answers it with `answer`, and remembers it."""

    def __init__(self, answer: Submitting | SmtpAnswer | None = None) -> None:
        """Answer with a value, or with what a coroutine function makes of the mail."""
        self.answer = answer or SmtpAnswer(250, "OK")
        self.mails: list[Mail] = []
        self.servers: list[SmtpServer] = []

    async def submit(self, server: SmtpServer, mail: Mail) -> SmtpAnswer:
        """Return the answer."""
        self.servers.append(server)
        self.mails.append(mail)
        answer = self.answer
        return answer if isinstance(answer, SmtpAnswer) else await answer(server, mail)
