"""Times at which something recurs: every interval, at a phase of its own.

The phase is a hash of a name, so that many of them spread over the interval and each keeps
its times over restarts. A slot that passed while the one before was still at work is missed,
never made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import xxhash

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Return `at` as Unix milliseconds; finer parts are cut."""
    return (at - _EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    """Return Unix milliseconds as an aware UTC time."""
    return _EPOCH + timedelta(milliseconds=ms)


@dataclass(frozen=True, slots=True)
class Slots:
    """The times `phase + n * interval` since the epoch; `interval` is at least a millisecond."""

    interval: timedelta
    phase: timedelta

    @classmethod
    def named(cls, name: str, interval: timedelta) -> Slots:
        """Return the slots of what is called `name`; the phase is stable for ever."""
        digest = xxhash.xxh64_intdigest(name.encode(errors="replace"))
        return cls(interval, digest % (interval // _MS) * _MS)

    def after(self, now: datetime) -> datetime:
        """Return the first slot strictly after `now`."""
        step = self.interval // _MS
        now_ms = to_ms(now)
        return from_ms(now_ms + step - (now_ms - self.phase // _MS) % step)

    def following(self, slot: datetime, now: datetime) -> tuple[datetime, int]:
        """Return the slot after `slot`, and how many in between are missed.

        When later slots have passed by `now`, it is the last of them: to be held at once.
        """
        missed = max(0, (now - slot) // self.interval - 1)
        return slot + (missed + 1) * self.interval, missed
