"""How a function of a range vector is applied: chunk by chunk, to a value and a mask per window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tocsin.promql.grid import Bools, Floats
from tocsin.promql.selectors import Windows

Windowed: TypeAlias = tuple[Floats, Bools]
Kernel: TypeAlias = Callable[[Windows], Windowed]


def by_chunks(windows: Windows, kernel: Kernel) -> Windowed:
    """Return `kernel`'s values and mask for all windows, computed some series at a time."""
    parts = [kernel(chunk) for chunk in windows.chunks()]
    if not parts:
        return np.zeros(windows.lo.shape), np.zeros(windows.lo.shape, dtype=np.bool_)
    values, present = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(present)


def per_step(windows: Windows, steps: int) -> Windows:
    """Return the same windows with one column per step, for functions that look at the step."""
    shape = (windows.lo.shape[0], steps)
    span = replace(windows.span, end=np.broadcast_to(windows.span.end, (steps,)))
    return replace(
        windows,
        span=span,
        lo=np.broadcast_to(windows.lo, shape),
        hi=np.broadcast_to(windows.hi, shape),
    )
