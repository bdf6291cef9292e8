"""Annotations of a query: warnings and infos, each text once, in order of appearance."""

from __future__ import annotations


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
