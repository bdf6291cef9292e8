"""Every exception Tocsin raises on purpose, in one tree.

    TocsinError
    ├── ConfigError          a configuration file is wrong; carries every problem with its place
    ├── InvalidInput         a request, matcher, label or duration is malformed
    │   └── InvalidTenant    a tenant id that is no tenant id
    ├── LimitExceeded        a budget of a tenant is used up (try later, or raise the limit)
    ├── NotDurable           the store could not make a write durable; nothing was acknowledged
    ├── StoreUnusable        a data directory cannot be opened or read: in use, too new, broken
    └── Unreachable          a peer did not answer in time or at all

Expected outcomes are values (`Delivered | Retry | Rejected`), not exceptions. A message
says what is wrong, where (tenant, file:line:column) and what to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass


class TocsinError(Exception):
    """Base of all errors Tocsin raises on purpose."""


class InvalidInput(TocsinError, ValueError):
    """The caller sent something malformed; the message is fit to show to the caller."""


class InvalidTenant(InvalidInput):
    """A tenant id that does not match the allowed form."""


class LimitExceeded(TocsinError):
    """A budget is used up; `retry_after_s` (seconds) says when to come back, None if never."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotDurable(TocsinError):
    """A write did not reach the disk; the caller must not be told it did."""


class StoreUnusable(TocsinError):
    """A store cannot be opened or read; the message says why and what the operator can do."""


class Unreachable(TocsinError):
    """A peer did not answer; trying again later may help."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration file; `line` and `column` count from 1, 0 means unknown."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p)
        return f"{place}: {self.message}" if place else self.message


class ConfigError(TocsinError):
    """A configuration was refused; `problems` holds every fault found, in file order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems
