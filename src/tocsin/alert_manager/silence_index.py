"""Which silences match a label set, found without trying them all.

Every silence is filed under one of its matchers: an equality (or an alternation of literals)
is a look-up by value, on the label with the most distinct values; a real pattern joins the
others on its label in one RE2 set. What cannot be filed (negative matchers, patterns that
match the empty string) is tried in full. A filed silence is a candidate: its other matchers
are still tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import re2

from tocsin.alert_manager.memo import Memo
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, Matchers, MatchOp, all_match

# RE2 gives no sign when a set runs out of memory while matching. Sets are kept so small, and
# given so much, that it cannot: no counted repetitions, no Unicode classes, bounded text.
SET_MEMORY = 256 << 20  # bytes RE2 may use for one set; touched only when needed
_SET_TEXT = 50_000  # characters of all patterns of a set together
_COSTLY = ("{", r"\p", r"\P", r"\C")


class SilenceIndex:
    """An index over the matchers of silences by id. Immutable but for its memory of answers."""

    def __init__(self, silences: Mapping[str, Matchers], *, set_memory: int = SET_MEMORY) -> None:
        self._silences = silences
        self._set_memory = set_memory
        self._by_value: dict[str, dict[str, list[str]]] = {}
        self._by_pattern: dict[str, list[_PatternSet]] = {}
        self._unfiled: list[str] = []
        self._memo: Memo[Labels, tuple[str, ...]] = Memo()
        spread = _spread(silences.values())
        for silence_id, matchers in silences.items():
            self._file(silence_id, matchers, spread)

    def matching(self, labels: Labels) -> tuple[str, ...]:
        """Return the ids of the silences whose matchers all match, sorted."""
        return self._memo.recall(labels, lambda: tuple(sorted(self._test(labels))))

    def _test(self, labels: Labels) -> Iterator[str]:
        for silence_id in self._candidates(labels):
            if all_match(self._silences[silence_id], labels):
                yield silence_id

    def _candidates(self, labels: Labels) -> Iterator[str]:
        yield from self._unfiled
        for name, by_value in self._by_value.items():
            yield from by_value.get(labels.value(name), ())
        for name, sets in self._by_pattern.items():
            value = labels.value(name)
            if value:
                for patterns in sets:
                    yield from patterns.accepting(value)

    def _file(self, silence_id: str, matchers: Matchers, spread: Mapping[str, int]) -> None:
        fixed = [m for m in matchers if _values(m)]
        if fixed:
            best = max(fixed, key=lambda m: (spread[m.name], m.name))
            by_value = self._by_value.setdefault(best.name, {})
            for value in _values(best):
                by_value.setdefault(value, []).append(silence_id)
        elif not any(_joins_set(m) and self._join_set(silence_id, m) for m in matchers):
            self._unfiled.append(silence_id)

    def _join_set(self, silence_id: str, m: Matcher) -> bool:
        sets = self._by_pattern.setdefault(m.name, [])
        if not sets or not sets[-1].has_room(m.value):
            sets.append(_PatternSet(self._set_memory))
        sets[-1].add(silence_id, m.value)
        return True


class _PatternSet:
    """Patterns of one label, matched together; compiled at the first question."""

    def __init__(self, memory: int) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = memory
        self._set: Any = re2.Set.SearchSet(options)  # re2 has no types
        self._ids: list[str] = []
        self._text = 0
        self._compiled = False

    def has_room(self, text: str) -> bool:
        """Tell whether one more pattern fits."""
        return self._text + len(text) <= _SET_TEXT

    def add(self, silence_id: str, text: str) -> None:
        """Add a pattern, anchored as `Pattern` anchors it."""
        self._set.Add(f"^(?s:{text})$")
        self._ids.append(silence_id)
        self._text += len(text)

    def accepting(self, value: str) -> Iterator[str]:
        """Yield the ids whose pattern matches the whole of `value`."""
        if not self._compiled:
            self._compile()
        found = range(len(self._ids)) if self._set is None else self._set.Match(value)
        return (self._ids[at] for at in found or ())

    def _compile(self) -> None:
        """Compile the set; when RE2 refuses, every member stays a candidate for every value."""
        self._compiled = True
        try:
            self._set.Compile()
        except re2.error:
            self._set = None


def _values(m: Matcher) -> frozenset[str]:
    """Return the only values a matcher accepts; empty when they are not known or absence counts."""
    if m.op is MatchOp.EQUAL:
        values = frozenset((m.value,))
    elif m.op is MatchOp.REGEX and m.pattern is not None and m.pattern.literals is not None:
        values = m.pattern.literals
    else:
        return frozenset()
    return frozenset() if "" in values else values


def _joins_set(m: Matcher) -> bool:
    plain = not any(sign in m.value for sign in _COSTLY)
    return m.op is MatchOp.REGEX and plain and len(m.value) <= _SET_TEXT and not m.matches("")


def _spread(all_matchers: Iterable[Matchers]) -> dict[str, int]:
    """Count the distinct values silences ask of each label."""
    values: dict[str, set[str]] = {}
    for matchers in all_matchers:
        for m in matchers:
            values.setdefault(m.name, set()).update(_values(m))
    return {name: len(seen) for name, seen in values.items()}
