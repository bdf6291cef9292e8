"""What a query can end in other than a result.

InvalidInput
└── ParseError           the text is no PromQL (HTTP 400, bad_data)
TocsinError
└── ExecutionError       the query cannot be answered on this data (HTTP 422, execution)
LimitExceeded
├── TooManySamples       a budget of samples or series is used up (HTTP 422, execution)
├── TooManyQueries       too many queries wait for their turn (HTTP 429)
└── QueryTimeout         the deadline passed (HTTP 503, timeout)
"""

from __future__ import annotations

from tocsin.model.errors import InvalidInput, LimitExceeded, TocsinError

SAME_LABELSET = "vector cannot contain metrics with the same labelset"


class ParseError(InvalidInput):
    """The text is not PromQL; `reason` is the message without its place."""

    def __init__(self, reason: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(f"{line}:{column}: parse error: {reason}")
        self.reason = reason
        self.line = line
        self.column = column


class ExecutionError(TocsinError):
    """The query is well-formed but its data or parameters make it unanswerable."""


class TooManySamples(LimitExceeded):
    """The query would read more than its budget allows."""


class TooManyQueries(LimitExceeded):
    """The query was not begun: as many as may wait do so already."""


class QueryTimeout(LimitExceeded):
    """The query did not end before its deadline."""
