"""Types of configuration fields, and how YAML scalars become them.

Every stage and plugin owns the struct of its own section; these are the leaves they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import msgspec

from tocsin.model.duration import format_duration, parse_duration
from tocsin.model.errors import InvalidInput
from tocsin.model.secret import Secret
from tocsin.model.size import format_size, parse_size


class Duration(timedelta):
    """A duration of a configuration file, written `30s` or `1h30m`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the duration written in `text`. Raises InvalidInput when it is not one."""
        return cls(seconds=parse_duration(text).total_seconds())

    def __str__(self) -> str:
        """Return the duration as a configuration file writes it."""
        return format_duration(self)


def duration(text: str) -> Any:
    """Return a struct field of type Duration whose default is `text`."""
    default = Duration.parse(text)
    return msgspec.field(default_factory=lambda: default)


class ByteSize(int):
    """A size of a configuration file, written `512MB` or `10GB`."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the size written in `text`. Raises InvalidInput when it is not one."""
        return cls(parse_size(text))

    def __str__(self) -> str:
        """Return the size as a configuration file writes it."""
        return format_size(int(self))


def from_scalar(kind: type[Any], value: Any) -> Any:
    """Build a leaf of our own from a YAML scalar (msgspec `dec_hook`). Raises InvalidInput."""
    if kind is Duration:
        if value == 0:
            return Duration(0)
        if not isinstance(value, str):
            raise InvalidInput(f"expected a duration such as 30s, got {value!r}")
        return Duration.parse(value)
    if kind is ByteSize:
        if not isinstance(value, str):
            raise InvalidInput(f"expected a size such as 512MB, got {value!r}")
        return ByteSize.parse(value)
    if kind is Secret:
        if not isinstance(value, str):
            raise InvalidInput("expected a string for a secret")
        return Secret(value)
    raise NotImplementedError(f"{kind.__name__} is no configuration type")


PathPart = str | int


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault a stage found in its own section; the loader turns `path` into file:line:column.

    `path` leads from the section's root through keys and list indices; an empty path is
    the section itself.
    """

    path: tuple[PathPart, ...]
    message: str

    def under(self, *prefix: PathPart) -> Finding:
        """Return the same finding seen from further up."""
        return Finding((*prefix, *self.path), self.message)
