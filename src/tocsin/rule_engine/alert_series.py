"""The series `ALERTS` and `ALERTS_FOR_STATE` of a rule, written anew only where alerts changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.output import Batch, Output
from tocsin.model.series import Values
from tocsin.rule_engine.active import ActiveAlerts
from tocsin.rule_engine.alerting import series_of, since_seconds
from tocsin.rule_engine.rows import Row

_written = attrgetter("written")


class AlertSeries:
    """What a rule writes of its alerts. Not for concurrent use."""

    def __init__(self) -> None:
        """Know nothing of what was written before."""
        self._begun = False
        self._labels: tuple[Labels, ...] = ()
        self._values: Values = np.empty(0)

    @property
    def count(self) -> int:
        """Return how many series there are."""
        return len(self._labels)

    def batch(self, alerts: ActiveAlerts, changed: Sequence[Row], output: Output) -> Batch | None:
        """Return the next write of `alerts`, of which `changed` are not as they were.

        A resolved alert has no series. O(1) when nothing changed.
        """
        if self._begun and not changed:
            return output.write(self._labels, self._values)
        begun, self._begun = self._begun, True
        gone = _rewritten(alerts, changed if begun else list(alerts.rows()))
        self._collect(alerts)
        if begun:
            return output.replace(self._labels, self._values, gone=gone)
        return output.write(self._labels, self._values)

    def _collect(self, alerts: ActiveAlerts) -> None:
        """Gather series and values of all alerts."""
        self._labels = tuple(chain.from_iterable(map(_written, alerts.rows())))
        self._values = np.ones(len(self._labels))
        self._values[1::2] = [row.since_s for row in alerts.rows() if row.written]
        self._values.flags.writeable = False


def _rewritten(alerts: ActiveAlerts, changed: Sequence[Row]) -> tuple[Labels, ...]:
    """Let each row `changed` know its series of now; return those that are written no more."""
    before = [labels for row in changed for labels in row.written]
    for row in changed:
        row.written = _series(row) if alerts.holds(row) else ()
        row.since_s = since_seconds(row.alert)
    now = {labels for row in changed for labels in row.written}
    return tuple(dict.fromkeys(labels for labels in before if labels not in now))


def _series(row: Row) -> tuple[Labels, ...]:
    """Return the series of an alert; one that was written before is the same object again."""
    kept = {labels: labels for labels in row.written}
    return tuple([kept.get(labels, labels) for labels in series_of(row.alert)])
