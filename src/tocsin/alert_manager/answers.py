"""What the stage answers to a request, as values; the HTTP dialect only spells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Malformed:
    """A body of the wrong form: `{"code": code, "message": message}` with HTTP `status`."""

    status: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A body that makes no sense: 400 with `message` as a bare JSON string."""

    message: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such thing: 404 with `message` as a bare JSON string."""

    message: str


@dataclass(frozen=True, slots=True)
class Posted:
    """The good alerts of a batch are durable; `problems` tells of the others, in order.

    200 with an empty body when there are none, else 400 with `message`.
    """

    accepted: int
    problems: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """Return the problems joined as Alertmanager joins them."""
        return "; ".join(self.problems)


@dataclass(frozen=True, slots=True)
class SilencePut:
    """The silence is durable under `id`, which differs from the one sent when it was replaced."""

    id: str


@dataclass(frozen=True, slots=True)
class Expired:
    """The silence has ended (or had before)."""


PostAnswer: TypeAlias = Posted | Malformed
PutAnswer: TypeAlias = SilencePut | Malformed | Refused | NotFound
ExpireAnswer: TypeAlias = Expired | NotFound
