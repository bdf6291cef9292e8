"""A value that never prints itself."""

from __future__ import annotations

from dataclasses import dataclass

MASK = "<secret>"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A password, token or URL that holds one; `reveal()` is easy to search for."""

    _value: str

    def reveal(self) -> str:
        """Return the plain text, at the wire and nowhere else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__
