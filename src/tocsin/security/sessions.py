"""Sessions of the web page: an unguessable cookie stands for a principal for a while.

Held in memory: a restart signs everybody out, which is safe. Bounded, so that signing in
over and over cannot fill the heap.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.security.tokens import Principal

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
MOST = 10_000


@dataclass(slots=True)
class _Session:
    principal: Principal
    began: datetime
    seen: datetime
    csrf: str


class Sessions:
    """All sessions in force."""

    def __init__(self, token: Callable[[], str]) -> None:
        """`token` gives an unguessable string of at least 128 bits at each call."""
        self._token = token
        self._by_id: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, principal: Principal, *, now: datetime) -> str:
        """Open a session and return its id, the value of the cookie."""
        while len(self._by_id) >= MOST:
            self._by_id.popitem(last=False)
        session_id = self._token()
        self._by_id[session_id] = _Session(principal, now, now, self._token())
        return session_id

    def principal(self, session_id: str, *, now: datetime) -> Principal | None:
        """Return who a cookie stands for; None when unknown, idle too long or too old."""
        session = self._live(session_id, now)
        if session is None:
            return None
        session.seen = now
        return session.principal

    def csrf(self, session_id: str, *, now: datetime) -> str:
        """Return the token a form of this session must carry, "" when there is no session."""
        session = self._live(session_id, now)
        return session.csrf if session else ""

    def checks(self, session_id: str, csrf: str, *, now: datetime) -> bool:
        """Tell whether `csrf` belongs to the session, in constant time."""
        expected = self.csrf(session_id, now=now)
        return bool(expected) and hmac.compare_digest(expected.encode(), csrf.encode())

    def end(self, session_id: str) -> None:
        """Close a session; nothing happens when there is none."""
        self._by_id.pop(session_id, None)

    def _live(self, session_id: str, now: datetime) -> _Session | None:
        session = self._by_id.get(session_id)
        if session and now - session.seen < IDLE and now - session.began < ABSOLUTE:
            return session
        self._by_id.pop(session_id, None)
        return None
