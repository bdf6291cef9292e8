"""Samples of series found in several places, put together as if they had lain in one.

Blocks and head may overlap: a late sample stands in the head while its time is sealed already,
and a crash may leave samples both in a block and in the log. Of two samples at the same time
the one given first counts. Series whose pieces have the same times get the same object as
times, because readers work on many series at once where they can.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.series import Series, Times, Values

Piece: TypeAlias = tuple[Times, Values]
Places: TypeAlias = npt.NDArray[np.intp]


class Gathered:
    """Pieces of series, by label set."""

    def __init__(self) -> None:
        self._pieces: dict[Labels, list[Piece]] = {}
        self._joints: dict[tuple[int, ...], tuple[Times, Places | None]] = {}

    def add(self, labels: Labels, times: Times, values: Values) -> None:
        """Add samples of one series, at least one, oldest first."""
        pieces = self._pieces.get(labels)
        if pieces is None:
            self._pieces[labels] = [(times, values)]
        else:
            pieces.append((times, values))

    def series(self) -> list[Series]:
        """Return every series, sorted by labels."""
        ordered = sorted(self._pieces.items(), key=lambda item: item[0].pairs)
        return [Series(labels, *self._joined(pieces)) for labels, pieces in ordered]

    def _joined(self, pieces: list[Piece]) -> Piece:
        if len(pieces) == 1:
            return pieces[0]
        times, order = self._joint([piece[0] for piece in pieces])
        values = np.concatenate([piece[1] for piece in pieces])
        if order is not None:
            values = values[order]
        values.flags.writeable = False
        return times, values

    def _joint(self, parts: list[Times]) -> tuple[Times, Places | None]:
        """Return the times of all parts in order, and how to order the values, None: as is."""
        key = tuple(map(id, parts))  # the pieces keep these objects alive
        known = self._joints.get(key)
        if known is None:
            known = self._joints[key] = _join(parts)
        return known


def join(pieces: list[Piece]) -> Piece:
    """Return the pieces of one series as one."""
    if len(pieces) == 1:
        return pieces[0]
    times, order = _join([piece[0] for piece in pieces])
    values = np.concatenate([piece[1] for piece in pieces])
    return times, values if order is None else values[order]


def _join(parts: list[Times]) -> tuple[Times, Places | None]:
    times = np.concatenate(parts)
    order = None
    if not (np.diff(times) > 0).all():
        order = np.argsort(times, kind="stable")
        ordered = times[order]
        order = order[np.diff(ordered, prepend=ordered[0] - 1) > 0]
        times = times[order]
    times.flags.writeable = False
    return times, order
