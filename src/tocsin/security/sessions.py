"""Sessions of the web page: an unguessable cookie stands for a token for a while.

A session keeps the digest of the token it began with, never who that proves: whoever asks looks
the digest up anew, so a token that is taken away ends its sessions. Held in memory: a
restart signs everybody out, which is safe. Bounded, so that signing in over and over cannot
fill the heap.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
MOST = 10_000


@dataclass(slots=True)
class _Session:
    proof: str
    began: datetime
    seen: datetime


class Sessions:
    """All sessions in force."""

    def __init__(self, token: Callable[[], str]) -> None:
        """`token` gives an unguessable string of at least 128 bits at each call."""
        self._token = token
        self._by_id: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, proof: str, *, now: datetime) -> str:
        """Open a session for the token of digest `proof`; return its id, for the cookie."""
        while len(self._by_id) >= MOST:
            self._by_id.popitem(last=False)
        session_id = self._token()
        self._by_id[session_id] = _Session(proof, now, now)
        return session_id

    def proof(self, session_id: str, *, now: datetime) -> str | None:
        """Return the digest a cookie stands for; None when unknown, idle too long or too old."""
        session = self._by_id.get(session_id)
        if session and now - session.seen < IDLE and now - session.began < ABSOLUTE:
            session.seen = now
            return session.proof
        self._by_id.pop(session_id, None)
        return None

    def end(self, session_id: str) -> None:
        """Close a session; nothing happens when there is none."""
        self._by_id.pop(session_id, None)
