"""Numbers as Prometheus writes them in answers and labels."""

from __future__ import annotations

import math
from decimal import Decimal

_SMALLEST_PLAIN = 1e-6
_LARGEST_PLAIN = 1e21


def format_value(value: float) -> str:
    """Return `value` as the HTTP API writes it: the shortest decimal that reads back the same.

    Plain notation from 1e-06 up to 1e+21, exponent form outside.

    >>> format_value(0.1), format_value(1e21), format_value(3.0)
    ('0.1', '1e+21', '3')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    size = abs(value)
    if size and (size < _SMALLEST_PLAIN or size >= _LARGEST_PLAIN):
        return _exponent_form(value)
    text = repr(float(value))
    if "e" in text:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def format_plain(value: float) -> str:
    """Return `value` in plain notation, however many digits that takes, as queries print it.

    >>> format_plain(1e21), format_plain(2.0)
    ('1000000000000000000000', '2')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    return format(Decimal(repr(float(value))), "f").removesuffix(".0")


def format_exponent(value: float) -> str:
    """Return `value` in exponent form, as Prometheus writes the value of an alert.

    >>> format_exponent(1.0), format_exponent(0.0), format_exponent(-1250.0)
    ('1e+00', '0e+00', '-1.25e+03')
    """
    return _exponent_form(value) if math.isfinite(value) else _not_finite(value)


def format_bound(value: float) -> str:
    """Return `value` in OpenMetrics float form, as Prometheus writes `le` and `quantile` labels.

    >>> format_bound(1.0), format_bound(0.25)
    ('1.0', '0.25')
    """
    text = general(value)
    return text if not math.isfinite(value) or "e" in text or "." in text else text + ".0"


def general(value: float) -> str:
    """Return `value` as Go's `%g` does: the exponent form below 1e-04 and from 1e+21."""
    if not math.isfinite(value):
        return _not_finite(value)
    size = abs(value)
    if size and (size < 1e-4 or size >= _LARGEST_PLAIN):
        return _exponent_form(value)
    text = repr(float(value))
    return format(Decimal(text), "f").removesuffix(".0") if "e" in text else text.removesuffix(".0")


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _exponent_form(value: float) -> str:
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    whole = "".join(map(str, digits))
    power = int(exponent) + len(whole) - 1
    fraction = f".{whole[1:]}" if len(whole) > 1 else ""
    return f"{'-' if sign else ''}{whole[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
