"""A bounded memory of answers: when it is full it starts afresh.

A label of high cardinality in a matcher must not eat the heap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST = 200_000  # about 30 MB of label values and short tuples


class Memo(Generic[K, V]):
    """Remembers at most `most` answers."""

    def __init__(self, most: int = MOST) -> None:
        self._known: dict[K, V] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, key: K, make: Callable[[], V]) -> V:
        """Return the answer for `key`, made by `make` when it is not known."""
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= self._most:
                self._known.clear()
            known = self._known[key] = make()
        return known
