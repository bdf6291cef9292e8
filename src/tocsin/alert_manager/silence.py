"""Silences: what one is, when one is valid, and what changing or expiring one does.

Ids come from outside. Source: Alertmanager `silence/silence.go`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tocsin.model.matchers import Matcher, MatchOp, matcher

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
