"""Label matchers: one comparison of one label with a value or a pattern."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.labels import Labels
from tocsin.model.pattern import Pattern, pattern


class MatchOp(StrEnum):
    """How a matcher compares."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"

    @property
    def is_regex(self) -> bool:
        """Tell whether the value is a pattern."""
        return self in (MatchOp.REGEX, MatchOp.NOT_REGEX)

    @property
    def is_equal(self) -> bool:
        """Tell whether the matcher is positive."""
        return self in (MatchOp.EQUAL, MatchOp.REGEX)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One comparison. An absent label counts as the empty string.

    Build with `matcher()`, which compiles and checks the pattern.
    """

    name: str
    op: MatchOp
    value: str
    pattern: Pattern | None = None

    def matches(self, value: str) -> bool:
        """Tell whether a label value satisfies this matcher; pass "" for an absent label."""
        hit = value == self.value if self.pattern is None else self.pattern.matches(value)
        return hit is self.op.is_equal

    def matches_set(self, labels: Labels) -> bool:
        """Tell whether a label set satisfies this matcher."""
        return self.matches(labels.value(self.name))

    def __str__(self) -> str:
        """Return the matcher as Alertmanager prints it: `name="value"`."""
        return f"{self.name}{self.op}{json.dumps(self.value, ensure_ascii=False)}"


Matchers = tuple[Matcher, ...]


def matcher(name: str, op: MatchOp | str, value: str) -> Matcher:
    """Return a checked matcher. Raises InvalidInput on a bad pattern."""
    op = MatchOp(op)
    return Matcher(name, op, value, pattern(value) if op.is_regex else None)


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Tell whether every matcher is satisfied; true for no matchers at all."""
    return all(m.matches_set(labels) for m in matchers)
