"""Remembers the shapes of whole requests, for senders that send the same series each time.

Two requests have one shape when they are equal but for values and times. Such a request need
not be taken apart: its numbers are gathered from where they stood in the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tocsin.metrics_collector.otlp.points import Block, Request
from tocsin.metrics_collector.otlp.tables import At, Bytes, Laid, words
from tocsin.metrics_collector.protobuf import varint
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata

_ROOM_BYTES = 32 << 20  # of one tenant
_MOST_SEEN = 1_000
_LONGEST_MARK = 4 << 10  # bytes

Mark = tuple[int, bytes]
"""By what shapes are looked up: the length of a request and its first resource."""


@dataclass(frozen=True, slots=True, eq=False)
class Informed:
    """Resources that have a `target_info`: its slot, and where times of their points stand.

    The times of resource i are `times[bounds[i]:bounds[i + 1]]`.
    """

    slots: Sequence[int]
    times: At
    bounds: Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One request without its values: everything that is needed to read one like it."""

    fixed: Bytes
    changing: At
    laid: Sequence[Laid]
    informed: Informed
    metadata: dict[str, Metadata]
    samples: int

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return self.fixed.nbytes + 3 * self.changing.nbytes

    def fits(self, raw: Bytes) -> bool:
        """Tell whether a request of this length differs in values and times only."""
        rest = raw.copy()
        words(rest)[self.changing] = 0
        return bool(np.array_equal(rest, self.fixed))

    def read(self, body: bytes) -> Request:
        """Return what a request that fits holds."""
        at = words(body)
        request = Request([each.block(at) for each in self.laid], metadata=dict(self.metadata))
        request.count(self.samples)
        request.info = info_block(self.informed, at)
        return request


class Shapes:
    """The shapes one tenant's senders repeat. One thread at a time."""

    def __init__(self, *, most_bytes: int = _ROOM_BYTES) -> None:
        """Remember shapes of about `most_bytes`; the oldest go first."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._shapes: dict[Mark, Shape] = {}
        self._seen: dict[Mark, None] = {}

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._shapes)

    def read(self, body: bytes) -> Request | None:
        """Return what a request holds if it has a shape that is known."""
        mark = mark_of(body)
        shape = self._shapes.get(mark) if mark else None
        if shape is None or not shape.fits(np.frombuffer(body, np.uint8)):
            return None
        return shape.read(body)

    def wants(self, body: bytes) -> bool:
        """Tell whether a request like this came before, so that its shape is worth keeping."""
        mark = mark_of(body)
        if mark is None or len(body) > self._most_bytes // 4:
            return False
        if mark in self._seen:
            return True
        self._seen[mark] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return False

    def keep(self, body: bytes, shape: Shape) -> None:
        """Remember a shape, in place of one with the same mark."""
        mark = mark_of(body)
        if mark is None:
            return
        before = self._shapes.pop(mark, None)
        self._bytes += shape.size - (before.size if before else 0)
        self._shapes[mark] = shape
        while self._bytes > self._most_bytes and len(self._shapes) > 1:
            oldest = self._shapes.pop(next(iter(self._shapes)))
            self._bytes -= oldest.size


def shape_of(body: bytes, laid: Sequence[Laid], informed: Informed, request: Request) -> Shape:
    """Return the shape of a request that was read, all of whose points are laid."""
    changing = [place for each in laid for place in each.places()]
    places = np.concatenate(changing) if changing else np.empty(0, np.intp)
    fixed = np.frombuffer(body, np.uint8).copy()
    words(fixed)[places] = 0
    return Shape(fixed, places, laid, informed, request.metadata, request.samples)


def info_block(informed: Informed, at: np.ndarray) -> Block | None:
    """Return the samples of `target_info` of a request with these words, None for none."""
    slots: list[int] = []
    nanos: list[int] = []
    for slot, (first, last) in zip(informed.slots, pairwise(informed.bounds), strict=True):
        times = at[informed.times[first:last]]
        told = info_times(int(times.min()), int(times.max()))
        nanos += told
        slots += [slot] * len(told)
    if not slots:
        return None
    return Block(
        np.array(slots, np.int32)[:, None], np.array(nanos, np.uint64), np.ones((len(slots), 1))
    )


def info_times(earliest: int, latest: int) -> list[int]:
    """Return when a resource is told of, in nanoseconds: so often that no query misses it.

    What is older than the store takes is left out.

    >>> [t // 10**9 for t in info_times(0, 1000 * 10**9)]
    [700, 850, 1000]
    """
    every = 150 * 10**9  # half of what an instant query looks back
    return [*range(max(earliest, latest - 2 * every), latest, every), latest]


def mark_of(body: bytes) -> Mark | None:
    """Return by what the shape of a request is looked up, None when it has no usual form."""
    try:
        if body[:1] != b"\x0a":
            return None
        _, at = varint(body, 1, len(body))
        if body[at : at + 1] != b"\x0a":
            return None
        size, first = varint(body, at + 1, len(body))
    except InvalidInput:
        return None
    return (len(body), body[first : first + size]) if size <= _LONGEST_MARK else None
