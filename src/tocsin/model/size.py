"""Sizes in bytes as Prometheus writes them: `512MB`, `1GB512MB`, `0`.

Source: the flag `--storage.tsdb.retention.size` and alecthomas/units.ParseBase2Bytes: a unit is
1024 times the one before it, with or without an `i`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tocsin.model.errors import InvalidInput

_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB", "EB"))}
_PART = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)(i?)B", re.ASCII)
_LARGEST = 2**63 - 1


def parse_size(text: str) -> int:
    """Return the bytes written in `text`. Raises InvalidInput when it is no size.

    >>> parse_size("1.5KB")
    1536
    """
    if text == "0":
        return 0
    total, at = Fraction(), 0
    for found in _PART.finditer(text):
        if found.start() != at or (found[3] and not found[2]):
            break
        total += Fraction(found[1]) * _UNITS[f"{found[2]}B"]
        at = found.end()
    if not text or at != len(text):
        raise InvalidInput(f"not a valid size: {text!r} (write for example 512MB or 10GB)")
    if total > _LARGEST:
        raise InvalidInput(f"size out of range: {text!r}")
    return int(total)


def format_size(size: int) -> str:
    """Return a size that `parse_size` reads back.

    >>> format_size(512 << 20), format_size(1000)
    ('512MB', '1000B')
    """
    for unit, factor in reversed(_UNITS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return "0"
