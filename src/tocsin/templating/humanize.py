"""Numbers for people, as the Prometheus family writes them.

Source: Prometheus documentation, "Template reference", "Numbers".
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from tocsin.model.errors import InvalidInput
from tocsin.templating.gotime import time_text
from tocsin.templating.values import Kind, kind, type_name

_BIG = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_float(value: object) -> float:
    """Return a number, or text or duration that stands for one, as a float. Raises InvalidInput."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError as error:
            raise InvalidInput(f"{value[:80]!r} is not a number") from error
    if isinstance(value, timedelta):
        return value.total_seconds()
    if kind(value) in (Kind.INT, Kind.FLOAT) and isinstance(value, (int, float)):
        return float(value)
    raise InvalidInput(f"can't convert {type_name(value)} to float")


def significant(value: float) -> str:
    """Return `value` with four significant digits, as `%.4g` prints it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.4g}"


def humanize(value: object) -> str:
    """Return the number with a metric prefix: `1.234M`, `12m`."""
    number = to_float(value)
    if number == 0 or not math.isfinite(number):
        return significant(number)
    if abs(number) >= 1:
        return _scaled_down(number, 1000, _BIG)
    return _scaled_up(number)


def humanize_1024(value: object) -> str:
    """Return the number with a binary prefix: `1.5Mi`."""
    number = to_float(value)
    if abs(number) <= 1 or not math.isfinite(number):
        return significant(number)
    return _scaled_down(number, 1024, _BINARY)


def humanize_duration(value: object) -> str:
    """Return seconds as days, hours, minutes and seconds: `1h 30m 0s`, `12ms`."""
    number = to_float(value)
    if number == 0 or not math.isfinite(number):
        return significant(number) + ("s" if number == 0 else "")
    if abs(number) < 1:
        return _scaled_up(number) + "s"
    sign = "-" if number < 0 else ""
    whole = int(abs(number))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{significant(abs(number))}s"


def humanize_percentage(value: object) -> str:
    """Return a ratio as a percentage: `12.5%`."""
    return significant(to_float(value) * 100) + "%"


def humanize_timestamp(value: object) -> str:
    """Return seconds since 1970 as a UTC time; NaN and Inf as they are."""
    number = to_float(value)
    return time_text(to_time(number)) if math.isfinite(number) else significant(number)


def to_time(value: object) -> datetime:
    """Return seconds since 1970 as a UTC time, cut to milliseconds. Raises InvalidInput."""
    number = to_float(value)
    if not math.isfinite(number) or abs(number) >= 2**63 / 1e9:
        raise InvalidInput(
            f"{significant(number)} cannot be represented as a nanoseconds timestamp"
        )
    return _EPOCH + timedelta(milliseconds=math.floor(number * 1000))


def _scaled_down(number: float, base: int, prefixes: tuple[str, ...]) -> str:
    prefix = ""
    for larger in prefixes:
        if abs(number) < base:
            break
        prefix, number = larger, number / base
    return significant(number) + prefix


def _scaled_up(number: float) -> str:
    prefix = ""
    for smaller in _SMALL:
        if abs(number) >= 1:
            break
        prefix, number = smaller, number * 1000
    return significant(number) + prefix
