"""The routing tree: which routes an alert takes, and what the groups of a route are called.

A route matches when all its matchers do. Children are tried in order, depth first; the first
match ends the search on its level unless it has `continue`. A route whose children all
refuse takes the alert itself. Source: Alertmanager `dispatch/route.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.alert_manager.memo import Memo
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.matchers import Matchers, all_match


@dataclass(frozen=True, slots=True)
class Route:
    """One node, with every option inherited; `index` is its place in a depth-first walk.

    `key` is Alertmanager's route key: the matchers of the path, joined by `/`. Siblings may
    share it. `group_by` None means every label.
    """

    index: int
    key: str
    receiver: str
    group_by: frozenset[str] | None
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    matchers: Matchers = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    labels: Labels = EMPTY
    proceed: bool = False
    routes: tuple[Route, ...] = field(default=())

    def group_labels(self, labels: Labels) -> Labels:
        """Return the labels that name the group an alert of this route falls into."""
        return labels if self.group_by is None else labels.keep(self.group_by)

    def group_key(self, group_labels: Labels) -> str:
        """Return Alertmanager's group key, for example `{}/{team="db"}:{alertname="CPU"}`."""
        return f"{self.key}:{group_labels}"

    def walk(self) -> Iterator[Route]:
        """Yield this route and all below it, depth first."""
        yield self
        for child in self.routes:
            yield from child.walk()


def match(route: Route, labels: Labels) -> tuple[Route, ...]:
    """Return the routes that take an alert with these labels, in tree order; () when none does."""
    if not all_match(route.matchers, labels):
        return ()
    found: list[Route] = []
    for child in route.routes:
        taken = match(child, labels)
        found.extend(taken)
        if taken and not child.proceed:
            break
    return tuple(found) or (route,)


class Router:
    """Finds the routes of alerts; remembers them by the values of the labels routes ask about.

    The cost of a known combination does not grow with the number of routes.
    """

    def __init__(self, root: Route) -> None:
        self._root = root
        self._names = tuple(sorted({m.name for r in root.walk() for m in r.matchers}))
        self._memo: Memo[tuple[str, ...], tuple[Route, ...]] = Memo()

    def match(self, labels: Labels) -> tuple[Route, ...]:
        """Return the routes that take an alert with these labels, in tree order."""
        values = tuple(labels.value(name) for name in self._names)
        return self._memo.recall(values, lambda: match(self._root, labels))
