"""What one origin wrote last, so that a series it no longer gives is ended with a marker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.sample import STALE
from tocsin.model.series import Layout, Values


@dataclass(frozen=True, slots=True)
class Batch:
    """One write: a layout and one value per series of it."""

    layout: Layout
    values: Values


class Output:
    """The series of one rule, target or process from write to write.

    `group` names it and is unique within the tenant (see `Layout`).
    """

    def __init__(self, group: str) -> None:
        self._layout = Layout(group, ())

    def write(self, labels: tuple[Labels, ...], values: Sequence[float] | Values) -> Batch | None:
        """Return the next write, None when there is nothing to say.

        The same label sets as before give the same layout object, at once when they come in the
        same tuple. An array is passed on as it is: nobody may change it afterwards. Series that
        are gone since the last write follow with a staleness marker, once.
        """
        before = self._layout.labels
        if labels is before or labels == before:
            return Batch(self._layout, np.asarray(values, dtype=np.float64)) if labels else None
        return self.replace(labels, values, gone=_missing(before, labels))

    def replace(
        self,
        labels: tuple[Labels, ...],
        values: Sequence[float] | Values,
        *,
        gone: tuple[Labels, ...],
    ) -> Batch | None:
        """Do as `write` for a caller that knows which series of the last write are `gone`."""
        group = self._layout.group
        self._layout = Layout(group, labels)
        present = np.asarray(values, dtype=np.float64)
        if not gone:
            return Batch(self._layout, present) if labels else None
        both = np.concatenate((present, np.full(len(gone), STALE)))
        return Batch(Layout(group, labels + gone), both)

    def end(self) -> Batch | None:
        """Return the write that ends every series, None when there is none."""
        return self.write((), ())


def _missing(before: tuple[Labels, ...], after: tuple[Labels, ...]) -> tuple[Labels, ...]:
    present = set(after)
    return tuple(labels for labels in before if labels not in present)
