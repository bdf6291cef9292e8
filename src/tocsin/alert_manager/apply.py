"""The pure engine: log entries in, state changed, flushed groups out.

`now` is each entry's `at`. The same entries give the same state and the same flushes, live, in
recovery, and in a replay of history. After every entry the groups due by then are flushed; a
TICK is an entry that does nothing else. A flush that tells the next stage nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.alert_manager.answers import Malformed
from tocsin.alert_manager.config import decode_source, from_source
from tocsin.alert_manager.flush import farewell, flush_group
from tocsin.alert_manager.grouping import Groups
from tocsin.alert_manager.ingest import decode_alerts
from tocsin.alert_manager.silence import PutSilence
from tocsin.alert_manager.state import NotifyKey, TenantState
from tocsin.model.codec import decode
from tocsin.model.errors import InvalidInput
from tocsin.model.events import EntryKind, GroupFlush, LogEntry, LoggedEntry
from tocsin.model.notification import DeliveryReport, Final

_ALERT_BYTES = 500  # of a posted alert, about: contract "pipeline-durability"


@dataclass(frozen=True, slots=True)
class Changes:
    """What entries caused outside the state; `skipped` are entries that could not be read.

    `work` tells what replaying them costs: one for an entry, for each alert in it, and for each
    group that was looked at, about 30 µs apiece.
    """

    flushes: tuple[GroupFlush, ...] = ()
    skipped: tuple[str, ...] = ()
    work: int = 0


def apply(state: TenantState, entries: Sequence[LoggedEntry]) -> Changes:
    """Apply `entries` in order to `state` and return what they caused.

    An entry that cannot be read changes nothing: everything is validated before it is logged,
    so one is a fault of the store or of a newer version, and must not stop the others.
    """
    flushes: list[GroupFlush] = []
    skipped: list[str] = []
    work = 0
    for logged in entries:
        entry = logged.entry
        work += 1 + len(entry.body) // _ALERT_BYTES
        state.move_to(entry.at)
        groups = state.groups
        try:
            _MOVES[entry.kind](state, entry)
        except InvalidInput as error:
            skipped.append(f"entry {logged.seq} ({entry.kind}): {error}")
        if state.groups is not groups:
            flushes += _farewells(groups, state.groups, logged)
        looked_at = list(_flushed(state, logged))
        flushes += filter(None, looked_at)
        work += len(looked_at)
        state.collect_garbage(entry.at)
    return Changes(tuple(flushes), tuple(skipped), work)


def _flushed(state: TenantState, logged: LoggedEntry) -> Iterator[GroupFlush | None]:
    """Flush the groups that are due; None for one that has nothing to tell."""
    at = logged.entry.at
    for group in state.groups.take_due(at):
        yield flush_group(state, group, at=at, seq=logged.seq)


def _farewells(old: Groups, new: Groups, logged: LoggedEntry) -> Iterator[GroupFlush]:
    """Yield the end of every group key that a new configuration no longer makes, once each."""
    kept = new.keys()
    gone = {group.key: group for group in old if group.key not in kept}
    for group in gone.values():
        yield farewell(group, at=logged.entry.at, seq=logged.seq)


def _alerts(state: TenantState, entry: LogEntry) -> None:
    config = state.config
    found = decode_alerts(
        entry.body,
        now=entry.at,
        resolve_timeout=config.resolve_timeout,
        mode=config.matcher_mode,
    )
    if isinstance(found, Malformed):
        raise InvalidInput(found.message)
    for alert in found.alerts:
        state.take(alert, entry.at)


def _silence(state: TenantState, entry: LogEntry) -> None:
    put = decode(entry.body, PutSilence)
    state.silences.put(put.silence, new_id=put.new_id, now=entry.at)


def _expire(state: TenantState, entry: LogEntry) -> None:
    state.silences.expire(entry.body.decode("utf-8", "replace"), entry.at)


def _report(state: TenantState, entry: LogEntry) -> None:
    report = decode(entry.body, DeliveryReport)
    key = state.in_flight.key_of(report.notification)
    if key is None or report.final is Final.SUPERSEDED:
        return
    flight = state.in_flight.land(key)
    if report.final is Final.DELIVERED:
        state.log[key] = flight.delivered()
        _let_go(state, key)
    else:
        _keep(state, key)


def _let_go(state: TenantState, key: NotifyKey) -> None:
    """Let announced alerts leave the groups whose integrations have all been told."""
    group_key, receiver, _ = key
    integrations = state.config.receivers.get(receiver, ())
    if any(state.in_flight.get((group_key, receiver, i.name)) for i in integrations):
        return
    for group in state.groups.named(group_key, receiver):
        state.leave(group, tuple(group.announced))


def _keep(state: TenantState, key: NotifyKey) -> None:
    """Somebody was not told: announced alerts stay until the next flush says them again."""
    group_key, receiver, _ = key
    for group in state.groups.named(group_key, receiver):
        group.announced.clear()


def _tick(state: TenantState, entry: LogEntry) -> None:
    """Do nothing: time passes by the entry alone."""


def _config(state: TenantState, entry: LogEntry) -> None:
    state.reconfigure(from_source(decode_source(entry.body)), entry.at)


_MOVES: dict[EntryKind, Callable[[TenantState, LogEntry], None]] = {
    EntryKind.ALERTS: _alerts,
    EntryKind.SILENCE: _silence,
    EntryKind.EXPIRE: _expire,
    EntryKind.REPORT: _report,
    EntryKind.TICK: _tick,
    EntryKind.CONFIG: _config,
}
