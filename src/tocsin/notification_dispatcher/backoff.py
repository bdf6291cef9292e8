"""When to try again, and when to stop. Pure: the draw is an argument.

    0.2-0.4 s, 0.3-0.6 s, 0.45-0.9 s, … up to 30-60 s for some ten minutes, then 2.5-5 min

The first steps are short, because a receiver that restarts is back within seconds; the last
are long, because a dead one must not be hammered for a day. Half of each wait is drawn, so
that many notifications do not come back in step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

Rng = Callable[[], float]
"""Draws from [0, 1)."""

FIRST_S = 0.4
GROWTH = 1.5
CAP_S = 60.0  # reached after 13 attempts, three minutes
PATIENT_AFTER = 24  # attempts, about ten minutes
PATIENT_CAP_S = 300.0

MAX_AGE = timedelta(hours=24)  # then a notification is a dead letter


def delay(attempt: int, rng: Rng) -> timedelta:
    """Return the wait after the failed attempt number `attempt`, which counts from 1.

    >>> delay(1, lambda: 0.0), delay(1, lambda: 1.0)
    (datetime.timedelta(microseconds=200000), datetime.timedelta(microseconds=400000))
    """
    cap = CAP_S if attempt < PATIENT_AFTER else PATIENT_CAP_S
    # The exponent is bounded, or a million attempts would overflow a float.
    full = min(FIRST_S * GROWTH ** min(attempt - 1, 32), cap)
    return timedelta(seconds=full * (0.5 + 0.5 * rng()))
