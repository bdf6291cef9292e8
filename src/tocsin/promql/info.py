"""info(): adds labels of info series, such as `target_info`, to the elements of a vector.

Elements and info series meet on `instance` and `job`. Experimental in Prometheus 3; source: its
documentation of `info()`. Works row by row: it is meant for results, not for raw series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher, Matchers, all_match, matcher
from tocsin.promql.ast import Call, VectorSelector
from tocsin.promql.errors import ExecutionError
from tocsin.promql.grid import Bools, Grid, Ints, stacked
from tocsin.promql.scope import Scope

_IDENTIFYING = ("instance", "job")
_DEFAULT: Matchers = (matcher(METRIC_NAME, "=", "target_info"),)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which info metrics are asked for, and which of their labels (none: all)."""

    names: Matchers
    data: Matchers

    @classmethod
    def of(cls, call: Call) -> _Wanted:
        """Read the second operand, a selector that stands for label matchers."""
        selector = call.args[1] if len(call.args) > 1 else None
        given = selector.matchers if isinstance(selector, VectorSelector) else ()
        return cls(_on(given, name=True) or _DEFAULT, _on(given, name=False))

    def takes(self, label: str) -> bool:
        """Tell whether a label of an info series is to be copied."""
        if self.data:
            return any(m.name == label for m in self.data)
        return label not in (*_IDENTIFYING, METRIC_NAME)

    def optional(self) -> bool:
        """Tell whether an element without info series stays."""
        return all(m.matches("") for m in self.data)


def _on(given: Matchers, *, name: bool) -> tuple[Matcher, ...]:
    return tuple(m for m in given if (m.name == METRIC_NAME) is name)


def info(scope: Scope, call: Call) -> Grid:
    """Return the vector with the labels of its info series. Raises ExecutionError."""
    wanted = _Wanted.of(call)
    base = scope.vector(call.args[0]).compact()
    found, times = scope.sampled(VectorSelector((*wanted.names, *wanted.data)))
    newest = np.where(found.present, times, np.iinfo(np.int64).min)
    by_identity: dict[tuple[str, ...], list[int]] = {}
    for row, labels in enumerate(found.labels):
        by_identity.setdefault(_identity(labels), []).append(row)
    parts = [Grid.empty(scope.steps.count)]
    for row, labels in enumerate(base.labels):
        one = base.rows(np.array([row]))
        if all_match(wanted.names, labels):
            parts.append(one)
            continue
        mine = by_identity.get(_identity(labels), [])
        for chosen, steps in _choices(found, newest, mine):
            enriched = _enriched(labels, [found.labels[i] for i in chosen], wanted)
            if enriched is not None:
                parts.append(one.relabelled([enriched]).where(steps[None, :]))
    return stacked(parts).merged().compact()


def _identity(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.value(name) for name in _IDENTIFYING)


def _choices(found: Grid, newest: Ints, rows: list[int]) -> Iterator[tuple[list[int], Bools]]:
    """Yield each set of info series that applies together, and the steps at which it does."""
    names = dict.fromkeys(found.labels[row].value(METRIC_NAME) for row in rows)
    picks = [
        _newest(found, newest, [r for r in rows if found.labels[r].value(METRIC_NAME) == name])
        for name in names
    ]
    table = np.array(picks, dtype=np.int64).reshape(len(picks), newest.shape[1])
    for column in np.unique(table, axis=1).T:
        steps: Bools = np.all(table == column[:, None], axis=0)
        yield [row for row in column.tolist() if row >= 0], steps


def _newest(found: Grid, newest: Ints, rows: list[int]) -> Ints:
    """Return for each step the row sampled last, -1 where none is present."""
    taken, index = newest[rows], np.array(rows)
    best = taken.max(axis=0)
    present = found.present[rows]
    if ((taken == best) & present).sum(axis=0).max(initial=0) > 1:
        name = found.labels[rows[0]].value(METRIC_NAME)
        raise ExecutionError(f"found duplicate series for info metric {name}")
    return np.where(present.any(axis=0), index[taken.argmax(axis=0)], -1)


def _enriched(labels: Labels, infos: list[Labels], wanted: _Wanted) -> Labels | None:
    added: dict[str, str] = {}
    for series in infos:
        for name, value in series.pairs:
            if not wanted.takes(name) or name in labels:
                continue
            if added.setdefault(name, value) != value:
                raise ExecutionError(f"conflicting label: {name}")
    if not added and not wanted.optional():
        return None
    return labels.merged(added)
