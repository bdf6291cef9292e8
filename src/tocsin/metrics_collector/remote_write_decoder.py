"""How a remote write request is read, whichever its version.

A sender repeats the same series in every request, with one sample each. Those are found by
their bytes as they stand (`KnownSeries`), and their samples are taken all at once
(`remote_write_frames`). A series that is new or looks otherwise is read field by field; what
comes out is the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from tocsin.metrics_collector.known_series import UNKNOWN, KnownSeries, Numbers, Samples
from tocsin.metrics_collector.remote_write_frames import NOWHERE, Chosen, Frames, taken
from tocsin.metrics_collector.write_request import Point, Request


class Decoder(ABC):
    """Reads one request; make another for the next."""

    def __init__(self, body: bytes, known: KnownSeries) -> None:
        """Read `body`. Series are looked up in `known`, and new ones are added to it."""
        known.make_room()
        self.body = body
        self.known = known
        self.request = Request(known.labels)

    def decode(self) -> Request:
        """Return what the request holds. Raises InvalidInput."""
        if self._repeats():
            return self.request
        frames = self.guessed()
        if frames is None:
            frames = self.walked()
        return self._read(frames, self._numbers(frames))

    def decode_known(self, *, most_new: int) -> Request | None:
        """Return what the request holds if that is soon done. Raises InvalidInput.

        None when more than `most_new` of its series are new or look unusual: those take some
        15 µs each, all others a thirtieth of that.
        """
        if self._repeats():
            return self.request
        frames = self.guessed()
        if frames is None:
            return None
        numbers = self._numbers(frames)
        if np.count_nonzero(numbers == UNKNOWN) > most_new:
            return None
        return self._read(frames, numbers)

    @abstractmethod
    def guessed(self) -> Frames | None:
        """Return where the series lie if all have the usual form. No Python work for each."""

    @abstractmethod
    def walked(self) -> Frames:
        """Return where the series lie, found one by one. Raises InvalidInput."""

    @abstractmethod
    def keys(self, frames: Frames) -> list[bytes]:
        """Return the keys of series of the usual form, b"" for one that has none."""

    @abstractmethod
    def series(self, start: int, end: int) -> tuple[int | str, list[Point]]:
        """Read a series field by field: its number or what is wrong with its labels; its samples.

        Raises InvalidInput.
        """

    @abstractmethod
    def describe(self, usual: Frames, numbers: Numbers) -> None:
        """Note what series say of their metrics; those read one by one too. Raises InvalidInput."""

    def _repeats(self) -> bool:
        """Tell whether the request came before, with other values and times; then it is read."""
        template = self.known.templates.find(type(self), self.body)
        if template is None:
            return False
        self.request.count(len(template.numbers))
        self.request.samples = Samples(template.numbers, *taken(self.body, template.samples))
        self.request.metadata = dict(template.metadata)
        return True

    def _read(self, frames: Frames, numbers: Numbers) -> Request:
        known = numbers != UNKNOWN
        usual, found = frames[known], numbers[known]
        self.request.count(len(usual))
        self.request.samples = Samples(found, *taken(self.body, usual.samples))
        self._read_others(frames, np.flatnonzero(known), np.flatnonzero(~known))
        self.describe(usual, found)
        if len(found) == len(frames):
            kind, told = type(self), dict(self.request.metadata)
            known_before = self.known.templates
            known_before.learn(kind, self.body, samples=usual.samples, numbers=found, metadata=told)
        return self.request

    def _numbers(self, frames: Frames) -> Numbers:
        """Return the numbers of the series that are known and have the usual form."""
        formed = frames.samples != NOWHERE
        if formed.all():
            return self.known.find(self.keys(frames))
        numbers = np.full(len(frames), UNKNOWN, np.int32)
        numbers[formed] = self.known.find(self.keys(frames[formed]))
        return numbers

    def _read_others(self, frames: Frames, usual: Chosen, others: Chosen) -> None:
        """Read some series one by one, and put their samples where they belong."""
        places: list[int] = []
        rows: list[tuple[int, int, float]] = []
        for at in others.tolist():
            number, points = self.series(int(frames.starts[at]), int(frames.ends[at]))
            self.request.count(len(points))
            if isinstance(number, str):
                self.request.blame(len(points), number)
                continue
            rows += [(number, ts_ms, value) for ts_ms, value in points]
            places += [at] * len(points)
        if rows:
            order = np.argsort(np.append(usual, places), kind="stable")
            self.request.samples = _joined(self.request.samples, rows)[order]


def _joined(samples: Samples, rows: list[tuple[int, int, float]]) -> Samples:
    numbers, times, values = zip(*rows, strict=True)
    return Samples(
        np.append(samples.numbers, np.array(numbers, np.int32)),
        np.append(samples.times, np.array(times, np.int64)),
        np.append(samples.values, np.array(values, np.float64)),
    )
