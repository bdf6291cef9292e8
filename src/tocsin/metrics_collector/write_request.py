"""What both versions of remote write come to: a `Request`, and how its parts are read.

Counts are limited, so that memory stays in proportion to a request whatever its bytes say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tocsin.metrics_collector.known_series import NO_SAMPLES, Samples
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

MOST_SERIES = 100_000  # in one request; senders put some thousands
MOST_SAMPLES = 200_000  # in one request
MOST_LABELS = 1_000  # of one series; far beyond what a tenant may have

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

Point: TypeAlias = tuple[int, float]


@dataclass(slots=True, eq=False)
class Request:
    """What one request held.

    `samples` are in the order of the request, and `labels` tells what their numbers stand for.
    `received` counts all that came, `fields` what was read one by one; `invalid` counts samples
    whose labels are none, and `fault` says what is wrong with the first.
    """

    labels: Sequence[Labels]
    samples: Samples = NO_SAMPLES
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0
    histograms: int = 0
    invalid: int = 0
    fault: str = ""
    received: int = 0
    fields: int = 0

    def spend(self, fields: int) -> None:
        """Count what had to be read field by field. Raises InvalidInput when it is too much."""
        self.fields += fields
        check_count(self.fields, MOST_FIELDS, "fields")

    def count(self, samples: int) -> None:
        """Count samples. Raises InvalidInput when they are too many."""
        self.received += samples
        check_count(self.received, MOST_SAMPLES, "samples")

    def blame(self, samples: int, fault: str) -> None:
        """Note samples that cannot be stored because their labels are wrong."""
        self.invalid += samples
        self.fault = self.fault or fault


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


def metadata_of(kind: int, help_text: bytes, unit: bytes) -> Metadata:
    """Return what a request says of a metric."""
    named = _TYPES[kind] if kind < len(_TYPES) else _TYPES[0]
    return Metadata(named, help_text.decode(errors="replace"), unit.decode(errors="replace"))


def check_count(count: int, most: int, what: str) -> None:
    """Refuse what is too many. Raises InvalidInput."""
    if count > most:
        raise InvalidInput(f"the request holds {count} {what}, more than {most}: send less at once")
