"""Long work in small steps: what the store hands out to be done beside its own thread.

Sealing, merging and the like are generators of `Work`. What happens between two items is the
store's own and short; an item itself touches nothing that can change and may run in any
thread. `for work in steps: work.run()` does everything at once; a server awaits each item in
a thread. Whoever drops the generator half-way leaves the store as it was, or as it will be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.errors import TocsinError


class Kind(StrEnum):
    """What an item of work is part of."""

    REST = "rest"
    READ = "read"
    SEAL = "seal"
    MERGE = "merge"
    DELETE = "delete"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Work:
    """One item: may run in any thread, one at a time and in order."""

    kind: Kind
    run: Callable[[], None]


REST = Work(Kind.REST, lambda: None)
"""Nothing to do: an item that only lets the store's thread see to other things."""


class Stopped(TocsinError):
    """Work was given up because the store is being closed; it is done again after a restart."""


class Workshop:
    """Where items of work run: it can be closed, and then waits for the item under way."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._under_way = threading.Lock()

    def item(self, kind: Kind, work: Callable[[], None]) -> Work:
        """Return an item that does not begin once this is closed."""

        def run() -> None:
            with self._under_way:
                self.check()
                work()

        return Work(kind, run)

    def check(self) -> None:
        """Raise Stopped when the work under way should end; to be called now and then."""
        if self._closed.is_set():
            raise Stopped("the metric store is being closed")

    def close(self) -> None:
        """Let no item begin, and wait for the one that runs. Idempotent."""
        self._closed.set()
        with self._under_way:
            pass
