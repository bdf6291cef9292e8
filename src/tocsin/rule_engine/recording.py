"""What a recording rule writes: the elements of its vector under the rule's name and labels."""

from __future__ import annotations

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels, Pairs
from tocsin.model.series import Values
from tocsin.rule_engine.elements import Elements
from tocsin.rule_engine.ports import Answer


class Recorded:
    """Renders results as series of one rule.

    Label sets are kept from one evaluation to the next, so that a steady rule gives the same
    tuple again and stores recognise it at once.
    """

    def __init__(self, name: str, labels: Pairs) -> None:
        """Lay `labels` over those of each element; an empty one removes the label."""
        self._over = dict(labels) | {METRIC_NAME: name}
        self._elements: Elements[Labels] = Elements()
        self._series: tuple[Labels, ...] = ()

    def render(self, answer: Answer) -> tuple[tuple[Labels, ...], Values]:
        """Return the series to write and their values. O(1) when the elements are those of before.

        Raises InvalidInput when two elements became the same series.
        """
        if not self._elements.same(answer.labels):
            known = zip(answer.labels, self._elements.find(answer.labels), strict=True)
            series = [each or labels.merged(self._over) for labels, each in known]
            if len(set(series)) != len(series):
                raise InvalidInput(
                    "vector contains metrics with the same labelset after applying rule labels"
                )
            self._elements.keep(answer.labels, series)
            self._series = tuple(series)
        return self._series, answer.values


def check_series_limit(count: int, limit: int) -> None:
    """Raise InvalidInput when a rule gave more than `limit` series; 0 or less allows any."""
    if 0 < limit < count:
        raise InvalidInput(f"exceeded limit of {limit} with {count} series")
