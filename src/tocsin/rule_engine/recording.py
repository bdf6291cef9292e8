"""What a recording rule writes: the elements of its vector under the rule's name and labels."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels, Pairs
from tocsin.model.sample import Sample


class Recorded:
    """Renders results as series of one rule.

    Label sets are kept from one evaluation to the next, so that a steady rule gives the same
    objects again and stores recognise them at once.
    """

    def __init__(self, name: str, labels: Pairs) -> None:
        """Lay `labels` over those of each element; an empty one removes the label."""
        self._over = dict(labels) | {METRIC_NAME: name}
        self._kept: dict[Labels, Labels] = {}

    def render(self, samples: Sequence[Sample]) -> tuple[tuple[Labels, ...], list[float]]:
        """Return the series to write and their values.

        Raises InvalidInput when two elements became the same series.
        """
        kept = {s.labels: self._kept.get(s.labels) or s.labels.merged(self._over) for s in samples}
        self._kept = kept
        labels = tuple(kept[s.labels] for s in samples)
        if len(set(labels)) != len(labels):
            raise InvalidInput(
                "vector contains metrics with the same labelset after applying rule labels"
            )
        return labels, [s.value for s in samples]


def check_series_limit(count: int, limit: int) -> None:
    """Raise InvalidInput when a rule gave more than `limit` series; 0 or less allows any."""
    if 0 < limit < count:
        raise InvalidInput(f"exceeded limit of {limit} with {count} series")
