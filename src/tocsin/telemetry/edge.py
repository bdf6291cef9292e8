"""The edge of a task loop: the one place where an exception nobody expected ends.

A bug in one round, row or request must not end the loop that serves all the others. It is
logged with its place, the loop goes on, and the caller counts it from what the edge tells.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tocsin.telemetry.logs import Logger


class Edge:
    """Log and swallow any exception of a `with` block; cancellation and exits pass.

    >>> from tocsin.telemetry.logs import get_logger
    >>> with Edge(get_logger("doc"), "round failed") as edge:
    ...     raise KeyError("x")
    >>> edge.error
    KeyError('x')
    """

    def __init__(self, log: Logger, event: str, **fields: object) -> None:
        """Log `event` with `fields` when the block ends in an exception."""
        self.error: Exception | None = None
        """What the block ended with; None when it ended well."""
        self._log = log
        self._event = event
        self._fields = fields

    def __enter__(self) -> Self:
        """Enter the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow an Exception, let anything else through."""
        del kind, trace
        if not isinstance(error, Exception):
            return False
        self.error = error
        self._log.bug(self._event, error, **self._fields)
        return True
