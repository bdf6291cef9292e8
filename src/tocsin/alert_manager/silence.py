"""Silences: what one is, when one is valid, and what changing or expiring one does.

Ids come from outside. Source: Alertmanager `silence/silence.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tocsin.alert_manager.silence_index import SilenceIndex
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, Matchers, MatchOp, matcher

RETENTION = timedelta(hours=120)  # as long as Alertmanager keeps an ended silence
NOT_FOUND = "silence not found"


class SilenceState(StrEnum):
    """Where a silence stands, in the order the API lists them."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


class SilenceMatcher(msgspec.Struct, frozen=True, rename="camel"):
    """One matcher as the API spells it."""

    name: str
    value: str
    is_regex: bool
    is_equal: bool = True

    @property
    def op(self) -> MatchOp:
        """Return the operator the two flags stand for."""
        if self.is_regex:
            return MatchOp.REGEX if self.is_equal else MatchOp.NOT_REGEX
        return MatchOp.EQUAL if self.is_equal else MatchOp.NOT_EQUAL

    def compiled(self) -> Matcher:
        """Return the matcher to test labels with. Raises InvalidInput on a bad pattern."""
        return matcher(self.name, self.op, self.value)


class Silence(msgspec.Struct, frozen=True):
    """One silence. `updated_at` is when it was last accepted."""

    id: str
    matchers: tuple[SilenceMatcher, ...]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    created_by: str = ""
    comment: str = ""
    annotations: dict[str, str] = {}

    def state(self, now: datetime) -> SilenceState:
        """Return where the silence stands at `now`; its end is no longer part of it."""
        if now >= self.ends_at:
            return SilenceState.EXPIRED
        return SilenceState.PENDING if now < self.starts_at else SilenceState.ACTIVE


class PutSilence(msgspec.Struct, frozen=True):
    """The body of a SILENCE entry: what was posted, and the id to use if it becomes a new one."""

    silence: Silence
    new_id: str


def may_update(old: Silence, new: Silence, now: datetime) -> bool:
    """Tell whether `new` may take the place of `old` without rewriting what was silenced when."""
    if old.matchers != new.matchers:
        return False
    state = old.state(now)
    if state is SilenceState.ACTIVE:
        same_second = int(old.starts_at.timestamp()) == int(new.starts_at.timestamp())
        return same_second and new.ends_at >= now
    return state is SilenceState.PENDING and new.starts_at >= now


def expired(silence: Silence, now: datetime) -> Silence:
    """Return the silence ended at `now`; one that has ended before stays as it is."""
    state = silence.state(now)
    if state is SilenceState.EXPIRED:
        return silence
    starts = now if state is SilenceState.PENDING else silence.starts_at
    return msgspec.structs.replace(silence, starts_at=starts, ends_at=now, updated_at=now)


class Silences:
    """All silences of one tenant, and which of them match a label set.

    The index over matchers is made anew at the first question after a silence was added or
    removed; whether a silence is active depends on the time in question alone.
    """

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        """Take silences as stored. Raises InvalidInput on a bad pattern."""
        self._all: dict[str, Silence] = {}
        self._matchers: dict[str, Matchers] = {}
        self._index: SilenceIndex | None = None
        for silence in silences:
            self._keep(silence)

    def __iter__(self) -> Iterator[Silence]:
        return iter(self._all.values())

    def get(self, silence_id: str) -> Silence | None:
        """Return one silence, None when there is none of that id."""
        return self._all.get(silence_id)

    def put(self, posted: Silence, *, new_id: str, now: datetime) -> str:
        """Update the silence of that id, or end it and open a new one; return the id in force.

        Raises InvalidInput on a bad pattern.
        """
        old = self._all.get(posted.id)
        if old is not None and may_update(old, posted, now):
            self._keep(msgspec.structs.replace(posted, updated_at=now))
            return posted.id
        starts = max(posted.starts_at, now)
        self._keep(msgspec.structs.replace(posted, id=new_id, starts_at=starts, updated_at=now))
        if old is not None:
            self._all[old.id] = expired(old, now)
        return new_id

    def expire(self, silence_id: str, now: datetime) -> None:
        """End a silence; one that is unknown or has ended is left alone."""
        old = self._all.get(silence_id)
        if old is not None:
            self._all[silence_id] = expired(old, now)

    def forget_ended(self, before: datetime) -> None:
        """Drop the silences that ended before that time."""
        gone = [s.id for s in self if s.ends_at < before]
        for silence_id in gone:
            del self._all[silence_id], self._matchers[silence_id]
        if gone:
            self._index = None

    def silencing(self, labels: Labels, now: datetime) -> tuple[str, ...]:
        """Return the ids of the active silences that match, sorted."""
        if not self._all:
            return ()
        if self._index is None:
            self._index = SilenceIndex(dict(self._matchers))
        matching = self._index.matching(labels)
        return tuple(i for i in matching if self._all[i].state(now) is SilenceState.ACTIVE)

    def _keep(self, silence: Silence) -> None:
        self._matchers[silence.id] = tuple(m.compiled() for m in silence.matchers)
        self._all[silence.id] = silence
        self._index = None
