"""Sums that lose nothing to rounding: Neumaier's variant of Kahan summation on arrays.

A running sum is two arrays, `total` and `carry`, whose sum is the result; they are changed in
place, so that a caller may pass views. Source: A. Neumaier, ZAMM 54 (1974); Prometheus uses the
same steps in the same order, so sequential results agree bit by bit.
"""

from __future__ import annotations

import numpy as np

from tocsin.promql.grid import Bools, Floats


def add(total: Floats, carry: Floats, term: Floats) -> None:
    """Add `term` to the running sum."""
    new = total + term
    swapped = np.abs(total) < np.abs(term)
    large, small = np.where(swapped, term, total), np.where(swapped, total, term)
    carry += (large - new) + small
    carry[np.isinf(new)] = 0.0
    total[...] = new


def tree_sum(block: Floats, *, axis: int) -> tuple[Floats, Floats]:
    """Return total and carry of a sum along `axis`, not empty, by halves; O(log n) NumPy calls.

    As exact as the sequential form, but not bit-identical to it. An infinite total has no carry.
    """
    total = np.moveaxis(block, axis, 0)
    carry = np.zeros_like(total)
    while len(total) > 1:
        half = len(total) // 2
        rest_total, rest_carry = total[2 * half :], carry[2 * half :]
        total, carry = _paired(total[: 2 * half], carry[: 2 * half])
        total = np.concatenate([total, rest_total])
        carry = np.concatenate([carry, rest_carry])
    return total[0].copy(), carry[0].copy()


def _paired(total: Floats, carry: Floats) -> tuple[Floats, Floats]:
    left = total[::2].copy()
    lost = carry[::2] + carry[1::2]
    add(left, lost, total[1::2])
    return left, lost


class Means:
    """Running means that survive a sum too large for a float.

    A mean is the compensated sum divided by the count until that sum overflows, then an
    incremental mean. State arrays have shape `shape`; a value pushed may cover a prefix of them.
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self._total = np.zeros(shape)
        self._carry = np.zeros(shape)
        self._count = np.zeros(shape)
        self._running = np.zeros(shape, dtype=np.bool_)

    def push(self, value: Floats, held: Bools | None = None) -> None:
        """Add one value to each mean of the prefix; `held` masks those that get none."""
        part = slice(len(value))
        on = np.ones(value.shape, dtype=np.bool_) if held is None else held
        count = self._count[part] + on
        total, carry = self._total[part].copy(), self._carry[part].copy()
        add(total, carry, value)
        overflows = on & ~self._running[part] & np.isinf(total) & (count > 1)
        before = np.where(overflows, np.maximum(count - 1, 1), 1.0)
        mean, mean_carry = self._total[part] / before, self._carry[part] / before
        running = self._running[part] | overflows
        shrink = np.where(on, (count - 1) / np.maximum(count, 1), 1.0)
        mean, mean_carry = shrink * mean, shrink * mean_carry
        add(mean, mean_carry, value / np.maximum(count, 1))
        self._count[part], self._running[part] = count, running
        self._total[part] = np.where(on, np.where(running, mean, total), self._total[part])
        self._carry[part] = np.where(on, np.where(running, mean_carry, carry), self._carry[part])

    def result(self) -> Floats:
        """Return the means; 0 where nothing was pushed."""
        number = np.where(self._running, 1.0, np.maximum(self._count, 1))
        return self._total / number + self._carry / number
