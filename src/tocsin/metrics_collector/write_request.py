"""What both versions of remote write come to: a `Request`, and how its parts are read.

A sender repeats the same label sets in every request, so `KnownLabels` finds them by their
bytes as they stand. Counts are limited, so that memory stays in proportion to a request
whatever its bytes say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.protobuf import (
    I64,
    LEAF,
    MOST_FIELDS,
    VARINT,
    double,
    expect,
    fields,
    signed,
)
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import Metadata
from tocsin.model.series import Series, Times, Values

MOST_SERIES = 100_000  # in one request; senders put some thousands
MOST_SAMPLES = 200_000  # in one request
MOST_LABELS = 1_000  # of one series; far beyond what a tenant may have
_LONGEST_KEY = 64 << 10  # bytes of a label set that are worth remembering

# MetricType of the specifications; an unknown number counts as the first.
_TYPES = (
    "unknown",
    "counter",
    "gauge",
    "histogram",
    "gaugehistogram",
    "summary",
    "info",
    "stateset",
)

Key: TypeAlias = bytes | tuple[bytes, ...]
Point: TypeAlias = tuple[int, float]


@dataclass(slots=True)
class Request:
    """What one request held.

    `series` are in the order of the request; one that is not in time order comes in pieces.
    `samples` counts all that came, `fields` what was read one by one; `invalid` counts samples
    whose labels are none, and `fault` says what is wrong with the first.
    """

    series: list[Series] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0
    histograms: int = 0
    invalid: int = 0
    fault: str = ""
    samples: int = 0
    fields: int = field(default=0, repr=False)

    def spend(self, fields: int) -> None:
        """Count what had to be read field by field. Raises InvalidInput when it is too much."""
        self.fields += fields
        check_count(self.fields, MOST_FIELDS, "fields")

    def count(self, samples: int) -> None:
        """Count samples. Raises InvalidInput when they are too many."""
        self.samples += samples
        check_count(self.samples, MOST_SAMPLES, "samples")

    def blame(self, samples: int, fault: str) -> None:
        """Note samples that cannot be stored because their labels are wrong."""
        self.invalid += samples
        self.fault = self.fault or fault


class KnownLabels:
    """Label sets by their bytes on the wire. Forgets everything when it is full."""

    def __init__(self, *, most: int = 200_000, most_bytes: int = 64 << 20) -> None:
        """Keep at most `most` label sets, whose keys have at most `most_bytes`."""
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._sets: dict[Key, Labels] = {}
        self.get: Callable[[Key], Labels | None] = self._sets.get

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._sets)

    def add(self, key: Key, labels: Labels) -> None:
        """Remember a label set, unless its key is very long."""
        size = len(key) if isinstance(key, bytes) else sum(map(len, key))
        if size > _LONGEST_KEY:
            return
        if len(self._sets) >= self._most or self._bytes + size > self._most_bytes:
            self._sets.clear()
            self._bytes = 0
        self._bytes += size
        self._sets[key] = labels


def sample(body: bytes, start: int, end: int) -> Point:
    """Sample: value = 1, timestamp = 2."""
    value, ts_ms = 0.0, 0
    for number, kind, first, _ in fields(body, start, end, most=LEAF):
        if number == 1:
            expect(kind, I64, "a value")
            value = double(body, first)
        elif number == 2:
            expect(kind, VARINT, "a timestamp")
            ts_ms = signed(first)
    return ts_ms, value


def label_set(pairs: Sequence[tuple[bytes, bytes]]) -> Labels | str:
    """Return a label set, or what is wrong with it."""
    try:
        texts = [(name.decode(), value.decode()) for name, value in pairs]
    except UnicodeDecodeError:
        return "a label is not UTF-8"
    names = {name for name, _ in texts}
    if len(names) < len(texts):
        return "a label name stands there twice"
    if "" in names:
        return "a label has no name"
    labels = Labels(texts)
    return labels if labels.value(METRIC_NAME) else "a series has no metric name"


def placed(labels: Labels | str, points: list[Point], request: Request) -> list[Series]:
    """Return the samples of one series, in pieces whose times ascend."""
    request.count(len(points))
    if isinstance(labels, str):
        request.blame(len(points), labels)
        return []
    if not points:
        return []
    times: Times = np.fromiter((ts_ms for ts_ms, _ in points), np.int64, len(points))
    values: Values = np.fromiter((value for _, value in points), np.float64, len(points))
    breaks: npt.NDArray[np.intp] = np.flatnonzero(times[1:] <= times[:-1]) + 1
    if not breaks.size:
        return [Series(labels, times, values)]
    parts = zip(np.split(times, breaks), np.split(values, breaks), strict=True)
    return [Series(labels, *part) for part in parts]


def metadata_of(kind: int, help_text: bytes, unit: bytes) -> Metadata:
    """Return what a request says of a metric."""
    named = _TYPES[kind] if kind < len(_TYPES) else _TYPES[0]
    return Metadata(named, help_text.decode(errors="replace"), unit.decode(errors="replace"))


def check_count(count: int, most: int, what: str) -> None:
    """Refuse what is too many. Raises InvalidInput."""
    if count > most:
        raise InvalidInput(f"the request holds {count} {what}, more than {most}: send less at once")
