"""Everything rules have learnt of one ring: its views, windows, events and moving sums."""

from __future__ import annotations

from tocsin.model.matchers import Matchers
from tocsin.model.ring import Ring
from tocsin.promql.plans.kernels import Asked
from tocsin.promql.plans.sliding import SumOverTime, Trend
from tocsin.promql.plans.view import View
from tocsin.promql.plans.watch import Watch
from tocsin.promql.plans.window import Windows


class RingReader:
    """Reads one ring for all rules of a tenant."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self.used_at_ms = 0
        self._watch = Watch(ring)
        self._windows = Windows(ring)
        self._views: dict[Matchers, View] = {}
        self._sums: dict[tuple[Matchers, int, int], SumOverTime] = {}
        self._trends: dict[tuple[Matchers, int, int], Trend] = {}

    def newest_ms(self) -> int | None:
        """Return the time of the newest row, None when there is none."""
        return self._windows.newest_ms()

    def view(self, matchers: Matchers) -> View:
        """Return the columns that satisfy some matchers, the newest among them."""
        view = self._views.get(matchers)
        if view is None:
            view = self._views[matchers] = View(self.ring, matchers)
        view.follow()
        return view

    def asked(
        self, matchers: Matchers, end_ms: int, range_ms: int, offset_ms: int, *, closed: bool
    ) -> Asked:
        """Return a window of a view; it ends at `end_ms`, with the offset taken off."""
        window = self._windows.of(end_ms, range_ms, offset_ms, closed=closed)
        return Asked(self.view(matchers), self._watch, window)

    def sums(self, matchers: Matchers, range_ms: int, offset_ms: int) -> SumOverTime:
        """Return the moving sums of one window of one view."""
        return self._sums.setdefault((matchers, range_ms, offset_ms), SumOverTime())

    def trend(self, matchers: Matchers, range_ms: int, offset_ms: int) -> Trend:
        """Return the moving line of one window of one view."""
        return self._trends.setdefault((matchers, range_ms, offset_ms), Trend())
