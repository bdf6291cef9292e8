"""Annotations of a query: warnings and infos, each text once, in order of appearance."""

from __future__ import annotations

from typing import TypeAlias

Noted: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]  # warnings and infos


class Notes:
    """Collects what a query has to say beside its result."""

    def __init__(self) -> None:
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    def warn(self, text: str, *, place: str) -> None:
        """Add a warning about the expression at `place` (`line:column`)."""
        self._warnings[f"PromQL warning: {text} ({place})"] = None

    def inform(self, text: str, *, place: str) -> None:
        """Add an info about the expression at `place` (`line:column`)."""
        self._infos[f"PromQL info: {text} ({place})"] = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings so far."""
        return tuple(self._warnings)

    @property
    def infos(self) -> tuple[str, ...]:
        """Return the infos so far."""
        return tuple(self._infos)

    def mark(self) -> tuple[int, int]:
        """Return where the notes are now, for `since`."""
        return len(self._warnings), len(self._infos)

    def since(self, mark: tuple[int, int]) -> Noted:
        """Return what was added since a mark."""
        return self.warnings[mark[0] :], self.infos[mark[1] :]

    def replay(self, noted: Noted) -> None:
        """Add what was noted before."""
        self._warnings.update(dict.fromkeys(noted[0]))
        self._infos.update(dict.fromkeys(noted[1]))
