"""The groups of one head, by name and by index.

An index is small and given out again once its group is gone, so whoever keeps one over a
removal must be told (`Head` sees to that).
"""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.timeseries.chunk import Packing
from tocsin.timeseries.group import KEEP, Group


class Groups:
    """Groups that have samples, or are about to. Not thread-safe."""

    def __init__(self, packing: Packing) -> None:
        """Have the rows of all groups packed by `packing`."""
        self._packing = packing
        self._names: dict[str, int] = {}
        self._groups: list[Group | None] = []
        self._vacant: list[int] = []

    def __iter__(self) -> Iterator[Group]:
        """Yield every group."""
        return (group for group in self._groups if group is not None)

    def of(self, name: str) -> Group:
        """Return the group called `name`, making it when there is none: for whole rows."""
        return self._of(name, keep=0)

    def of_pushed(self, name: str) -> Group:
        """Return the group called `name`, making it when there is none: for rows in parts."""
        return self._of(name, keep=KEEP)

    def at(self, index: int) -> Group:
        """Return a group by its index. Raises KeyError when there is none."""
        group = self._groups[index]
        if group is None:
            raise KeyError(index)
        return group

    def holds(self, group: Group) -> bool:
        """Tell whether a group has not been removed."""
        return self._groups[group.index] is group

    def remove(self, group: Group) -> None:
        """Take a group out and make its index free."""
        del self._names[group.name]
        self._groups[group.index] = None
        self._vacant.append(group.index)

    def _of(self, name: str, *, keep: int) -> Group:
        known = self._names.get(name)
        if known is not None:
            return self.at(known)
        index = self._vacant.pop() if self._vacant else len(self._groups)
        group = Group(name, index, keep=keep, packing=self._packing)
        self._groups[index : index + 1] = [group]
        self._names[name] = index
        return group
