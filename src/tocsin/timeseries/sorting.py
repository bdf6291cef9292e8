"""Sorting in a thread without holding up the others.

`sorted` does not let go of the interpreter until it is done: 100,000 label sets are a tenth of
a second in which the event loop stands still. In runs, each of which takes a millisecond or
two, and merged by Python code, it is a little slower and nobody waits.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

_RUN = 2000  # items sorted at a time


def in_order(items: Iterable[T], key: Callable[[T], Any] | None = None) -> list[T]:
    """Return what `sorted` would."""
    left, runs = iter(items), []
    while run := list(islice(left, _RUN)):
        run.sort(key=key)
        runs.append(run)
    if len(runs) < 2:
        return runs[0] if runs else []
    return list(heapq.merge(*runs, key=key))  # type: ignore[arg-type]  # the same
