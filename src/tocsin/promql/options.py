"""What a deployment may set about queries."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.promql.parser import Grammar, Mode


@dataclass(frozen=True, slots=True)
class Options:
    """Semantics and budgets of an engine. Durations are milliseconds.

    `mode` is the version of Prometheus to agree with. `delayed_name_removal` keeps metric names to
    the end of a query, so that label_replace may still see them. `experimental` admits
    experimental functions. `max_samples` bounds what one query may read, `max_series` the series
    it may read them from, `max_cells` the values (series times steps) of one operand,
    `max_points` how many steps a range query may go.
    """

    mode: Mode = "3"
    lookback_ms: int = 300_000
    default_step_ms: int = 60_000
    max_samples: int = 50_000_000
    max_series: int = 100_000
    max_cells: int = 100_000_000
    max_points: int = 11_000
    delayed_name_removal: bool = False
    experimental: bool = False

    @property
    def grammar(self) -> Grammar:
        """Return which PromQL is accepted."""
        return Grammar(self.mode, self.experimental)
