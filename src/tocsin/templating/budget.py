"""How much a template may cost, and the meter that runs while it is rendered.

Every node costs a step, every character shown counts as output, every string or list made on
the way counts as work, so that no single call can make more than a budget allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tocsin.templating.errors import Overrun

_TICK = 64  # steps between two looks at the clock


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one rendering; `depth` counts nested blocks, templates, parentheses and values.

    `work_bytes` bounds the strings and lists made on the way, all together. `source_chars` bounds
    the text of one template file.
    """

    steps: int = 100_000
    output_bytes: int = 64 << 10
    work_bytes: int = 8 << 20
    depth: int = 60
    wall: timedelta = timedelta(seconds=1)
    source_chars: int = 256 << 10


class Meter:
    """Counts the cost of one rendering; every method raises Overrun when a limit is passed."""

    __slots__ = ("_budget", "_deadline", "_depth", "_monotonic", "_output", "_steps", "_work")

    def __init__(self, budget: Budget, monotonic: Callable[[], float]) -> None:
        """Start the clock; `monotonic` returns seconds from any fixed point."""
        self._budget = budget
        self._monotonic = monotonic
        self._deadline = monotonic() + budget.wall.total_seconds()
        self._steps = 0
        self._output = 0
        self._work = 0
        self._depth = 0

    def step(self) -> None:
        """Count one node."""
        self._steps += 1
        if self._steps > self._budget.steps:
            raise Overrun(f"budget exceeded: more than {self._budget.steps} steps")
        if self._steps % _TICK == 0:
            self.look_at_clock()

    def look_at_clock(self) -> None:
        """Compare the time spent with the wall-time budget."""
        if self._monotonic() > self._deadline:
            wall = self._budget.wall.total_seconds()
            raise Overrun(f"budget exceeded: rendering took longer than {wall:g} s")

    def made(self, size: int) -> None:
        """Count `size` bytes of intermediate value."""
        self._work += size
        if self._work > self._budget.work_bytes:
            raise Overrun(
                f"budget exceeded: more than {self._budget.work_bytes} bytes of intermediate values"
            )

    def shown(self, size: int) -> None:
        """Count `size` bytes of output."""
        self._output += size
        if self._output > self._budget.output_bytes:
            raise Overrun(f"budget exceeded: more than {self._budget.output_bytes} bytes of output")

    def enter(self) -> None:
        """Go one level deeper; pair with `leave`."""
        self._depth += 1
        if self._depth > self._budget.depth:
            raise Overrun(f"budget exceeded: nested deeper than {self._budget.depth} levels")

    def leave(self) -> None:
        """Come back up one level."""
        self._depth -= 1
