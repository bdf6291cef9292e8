"""What a rule knows of each element of its vector, kept from one round to the next.

A vector that has the elements of the last round, in their order, is recognised as a whole: at
once when its label sets come in the same tuple. Otherwise each known element is found by its
labels (0.2 µs), and only the others are work for the rule.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from tocsin.model.labels import Labels

T = TypeVar("T")


class Elements(Generic[T]):
    """The elements of the newest vector, each with what the rule made of it."""

    def __init__(self) -> None:
        """Know none."""
        self.labels: tuple[Labels, ...] = ()
        self.items: list[T] = []
        self._known: dict[Labels, T] = {}

    def same(self, labels: tuple[Labels, ...]) -> bool:
        """Tell whether these are the elements kept, in their order."""
        if labels is self.labels:
            return True
        if labels != self.labels:
            return False
        self.labels = labels  # rather this tuple comes again than the one before
        return True

    def find(self, labels: tuple[Labels, ...]) -> list[T | None]:
        """Return what is known of each element, None for one that is new."""
        return list(map(self._known.get, labels))

    def keep(self, labels: tuple[Labels, ...], items: list[T]) -> None:
        """Put these elements in the place of those before."""
        self.labels = labels
        self.items = items
        self._known = dict(zip(labels, items, strict=True))

    def put(self, place: int, item: T) -> None:
        """Say something else of the element at `place`."""
        self.items[place] = item
        self._known[self.labels[place]] = item
