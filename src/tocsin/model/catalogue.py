"""The metric catalogue as values: every metric packs and dashboards rely on, with type and unit.

A catalogue says what a name means, never that it is there. Where its entries are written is
the business of the metric stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from tocsin.model.errors import InvalidInput


class MetricType(StrEnum):
    """The types of the exposition formats."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Unit(StrEnum):
    """What a number is a number of."""

    SECONDS = "seconds"
    TIMESTAMP = "timestamp"  # Unix seconds
    BYTES = "bytes"
    RATIO = "ratio"  # 0 to 1
    BOOLEAN = "boolean"  # 0 or 1
    EVENTS = "events"
    SESSIONS = "sessions"
    PSI = "psi"  # population stability index
    COUNT = "count"  # how many there are
    PER_SECOND = "per second"


_SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class MetricEntry:
    """One metric: `name` is that of a family; a counter's ends in `_total`.

    `labels` are those it has at least, beside the ones its target brings. `source` says who
    chose the name.
    """

    name: str
    type: MetricType
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()
    source: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """Return the names of its series; a histogram has three."""
        if self.type is MetricType.HISTOGRAM:
            return tuple(f"{self.name}{suffix}" for suffix in _SUFFIXES)
        return (self.name,)


class Catalogue:
    """Metrics by the name of their series. Immutable."""

    def __init__(self, entries: Iterable[MetricEntry]) -> None:
        """Index `entries`. Raises InvalidInput when two of them share a series."""
        self._entries = tuple(entries)
        self._by_series: dict[str, MetricEntry] = {}
        for entry in self._entries:
            for series in entry.series:
                if series in self._by_series:
                    raise InvalidInput(f"the catalogue has {series} twice")
                self._by_series[series] = entry

    def __iter__(self) -> Iterator[MetricEntry]:
        """Yield every entry, in the order of the catalogue."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    def find(self, series: str) -> MetricEntry | None:
        """Return the metric that has a series of this name, None when none is known."""
        return self._by_series.get(series)

    def family(self, name: str) -> MetricEntry | None:
        """Return the metric a program declares under `name`: `_total` may be left out."""
        found = self.find(name) or self.find(f"{name}_total") or self.find(f"{name}_count")
        return found if found and found.name.removesuffix("_total") == _stem(name) else None

    def missing(self, series: Iterable[str]) -> list[str]:
        """Return the names that no metric has, sorted, each once."""
        return sorted({name for name in series if name not in self._by_series})


def _stem(name: str) -> str:
    return name.removesuffix("_total")
