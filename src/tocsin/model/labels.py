"""Label sets: immutable, sorted by name, cheap to hash and compare.

An empty value means the label is absent (Prometheus data model), so a label set never
holds one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

Pairs = tuple[tuple[str, str], ...]

METRIC_NAME = "__name__"
ALERT_NAME = "alertname"


class Labels(Mapping[str, str]):
    """A label set. `get(name)` follows Mapping; `value(name)` is "" for an absent label."""

    __slots__ = ("_hash", "_map", "pairs")

    pairs: Pairs

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        """Build from (name, value) pairs in any order; empty values are dropped, last name wins."""
        self._map = {name: value for name, value in sorted(pairs) if value}
        self.pairs = tuple(self._map.items())
        self._hash = hash(self.pairs)

    @classmethod
    def of(cls, mapping: Mapping[str, str]) -> Labels:
        """Build from any mapping of names to values."""
        return mapping if isinstance(mapping, Labels) else cls(mapping.items())

    def value(self, name: str) -> str:
        """Return the value of `name`, "" when the label is absent."""
        return self._map.get(name, "")

    def keep(self, names: Iterable[str]) -> Labels:
        """Return only the labels named (PromQL `by`, Alertmanager `group_by`)."""
        wanted = frozenset(names)
        return self._part(tuple([pair for pair in self.pairs if pair[0] in wanted]))

    def drop(self, names: Iterable[str]) -> Labels:
        """Return all labels but those named (PromQL `without`)."""
        unwanted = frozenset(names)
        return self._part(tuple([pair for pair in self.pairs if pair[0] not in unwanted]))

    @staticmethod
    def _part(pairs: Pairs) -> Labels:
        """Build from pairs that are sorted already: 2.3 µs for four labels instead of 5.8."""
        part = Labels.__new__(Labels)
        part.pairs = pairs
        part._map = dict(pairs)  # noqa: SLF001  # our own class
        part._hash = hash(pairs)  # noqa: SLF001  # our own class
        return part

    def merged(self, other: Mapping[str, str]) -> Labels:
        """Return this set with the labels of `other` laid over it; an empty value removes one."""
        return Labels({**self._map, **other}.items()) if other else self

    def __getitem__(self, name: str) -> str:
        return self._map[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self.pairs == other.pairs
        return self._map == other if isinstance(other, Mapping) else NotImplemented

    def __lt__(self, other: Labels) -> bool:
        return self.pairs < other.pairs

    def __str__(self) -> str:
        """Return the set as Prometheus prints it: `{a="b", c="d"}`."""
        inner = ", ".join(f"{n}={json.dumps(v, ensure_ascii=False)}" for n, v in self.pairs)
        return "{" + inner + "}"

    def __repr__(self) -> str:
        return f"Labels({self})"


EMPTY = Labels()
