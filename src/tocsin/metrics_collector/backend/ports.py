"""What a backend needs of the world: one HTTP exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tocsin.metrics_collector.ports import PLAIN, FetchOptions, Page


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP request; an empty body is none."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Exchange(Protocol):
    """HTTP with a method and a body. Follows no redirect: it would carry the credential away."""

    async def exchange(
        self, call: Outgoing, *, timeout_s: float, limit: int, options: FetchOptions = PLAIN
    ) -> Page:
        """Return the answer, whatever its status.

        Raises Unreachable when there is none in time, LimitExceeded when it has more than
        `limit` bytes.
        """
        ...
