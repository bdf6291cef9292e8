"""Samples: a float at a time in milliseconds, and the bit pattern that ends a series."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tocsin.model.labels import Labels

# Prometheus model/value: staleness is a NaN told apart by its bits, never by isnan().
STALE_BITS = 0x7FF0000000000002
NORMAL_NAN_BITS = 0x7FF8000000000001

STALE: float = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]


def is_stale(value: float) -> bool:
    """Tell a staleness marker from any other float, NaN included."""
    return value != value and struct.unpack("<Q", struct.pack("<d", value))[0] == STALE_BITS  # noqa: PLR0124


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series; `ts_ms` is Unix time in milliseconds, and may be negative."""

    labels: Labels
    ts_ms: int
    value: float


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an exposition says of a metric family: type (counter, gauge, …), help and unit."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""
