"""Anchored RE2 patterns from users, with the cheap forms kept away from the engine.

A pattern always matches the whole value and `.` matches a newline (`^(?s:…)$`, Prometheus 3).
A match in google-re2 costs about 10 µs from Python, so literals and plain alternations of
literals become a set look-up.
"""

from __future__ import annotations

import functools
import re as _stdlib  # only for our own constant patterns, never for a user's
from typing import Any

import re2

from tocsin.model.errors import InvalidInput

_LITERALS = _stdlib.compile(r"[\w\-/:@ ,=<>!~%&;#'\"]*(?:\|[\w\-/:@ ,=<>!~%&;#'\"]*)*")
_LONGEST = 10_000  # characters; a longer pattern is refused before RE2 sees it
_MAX_MEM = 8 << 20  # bytes RE2 may use for one program


class Pattern:
    """A compiled, fully anchored pattern. Immutable, hashable by its text."""

    __slots__ = ("_literals", "_program", "text")

    def __init__(self, text: str) -> None:
        """Compile `text`. Raises InvalidInput when RE2 does not accept it."""
        self.text = text
        plain = _LITERALS.fullmatch(text) is not None
        self._literals = frozenset(text.split("|")) if plain else None
        self._program = None if plain else compiled(f"^(?s:{text})$", shown=text)

    @property
    def literals(self) -> frozenset[str] | None:
        """Return the exact values this pattern accepts, None when it is a real expression."""
        return self._literals

    def matches(self, value: str) -> bool:
        """Tell whether the whole of `value` matches."""
        if self._program is None:
            return self._literals is not None and value in self._literals
        return self._program.fullmatch(value) is not None

    def groups(self, value: str) -> dict[str, str] | None:
        """Return what the groups captured, by number ("0" is all) and by name; None: no match."""
        if self._program is None:
            return {"0": value} if self.matches(value) else None
        found = self._program.fullmatch(value)
        if found is None:
            return None
        captured = {str(i): text or "" for i, text in enumerate((value, *found.groups()))}
        return captured | {name: text or "" for name, text in found.groupdict().items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


@functools.lru_cache(maxsize=4096)
def pattern(text: str) -> Pattern:
    """Return the compiled pattern for `text`, shared between callers."""
    return Pattern(text)


def compiled(
    expression: str, *, shown: str, longest: int = _LONGEST, max_mem: int = _MAX_MEM
) -> Any:  # re2 has no types
    """Return the RE2 program of `expression`, which people wrote as `shown`.

    `longest` is in characters, `max_mem` in bytes. Raises InvalidInput when RE2 refuses it.
    """
    if len(expression) > longest:
        raise InvalidInput(f"regular expression is longer than {longest} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = max_mem
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise InvalidInput(f"bad regular expression {shown!r}: {reason}") from error
