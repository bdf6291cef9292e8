"""Shows that a backend keeps tenants apart: who can writes a canary, nobody else may read it.

A canary is the series `tocsin_isolation_probe{probe="<nonce>", canary="<n>"}`, one for each
tenant that has a place to write to. Only when each of them reads its own is it worth something
that no tenant reads another's, and that whoever names no tenant reads none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.metrics_collector.backend.answer import found_in, quoted, refusal
from tocsin.metrics_collector.backend.encode import write_request
from tocsin.metrics_collector.backend.upstream import may_pass
from tocsin.metrics_collector.backend.way import Way
from tocsin.metrics_collector.ports import Page
from tocsin.model.clock import Clock
from tocsin.model.errors import TocsinError, Unreachable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import STALE
from tocsin.model.slots import to_ms

CANARY = "tocsin_isolation_probe"
_WITHIN_S = 10.0  # one request
_LOOKS = 30  # for a canary to become readable, a second apart


@dataclass(frozen=True, slots=True)
class Isolated:
    """Every tenant reads its own canary, and nothing else."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """A canary was read by somebody it does not belong to."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unproven:
    """The backend could not be asked, or does not show what was written to it."""

    reason: str


Verdict = Isolated | Leaks | Unproven


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one backend, over the ways of all its tenants; `nonce` is unguessable."""

    ways: Sequence[Way]
    nonce: str
    clock: Clock

    async def run(self) -> Verdict:
        """Write, read, compare; at the end the canaries are ended."""
        writers = [(index, way) for index, way in enumerate(self.ways) if way.place.write]
        try:
            for index, way in writers:
                await self._write(way, index, 1.0)
            for index, way in writers:
                if not await self._appeared(way, index):
                    return Unproven(f"{way.place.shown}: a series just written cannot be read")
            verdict = await self._compared()
            for index, way in writers:
                await self._write(way, index, STALE)
        except TocsinError as error:
            return Unproven(str(error))
        return verdict

    async def _compared(self) -> Verdict:
        for index, way in enumerate(self.ways):
            strange = await self._canaries(way) - {str(index)}
            if strange:
                return Leaks(f"{way.place.shown}: reads what another tenant wrote")
        for way in self.ways:
            if way.place.header and await self._open_to_the_nameless(way):
                return Leaks(f"{way.place.shown}: is read by whoever names no tenant")
        return Isolated()

    async def _write(self, way: Way, index: int, value: float) -> None:
        labels = Labels.of({METRIC_NAME: CANARY, "probe": self.nonce, "canary": str(index)})
        request = write_request([(labels, [(to_ms(self.clock.now()), value)])])
        reply = await way.write(request, timeout_s=_WITHIN_S)
        if not 200 <= reply.status < 300:
            reason = f"HTTP {reply.status}: {quoted(reply)}"
            raise Unreachable(f"{way.place.shown}: cannot write: {reason}")

    async def _appeared(self, way: Way, index: int) -> bool:
        for _ in range(_LOOKS):
            if str(index) in await self._canaries(way):
                return True
            await asyncio.sleep(1)
        return False

    async def _canaries(self, way: Way) -> set[str]:
        """Return the canaries of this probe that a tenant reads."""
        page = await self._read(way, named=True)
        found = found_in(page, shown=way.place.shown)
        return {labels.value("canary") for labels in found.labels}

    async def _open_to_the_nameless(self, way: Way) -> bool:
        """Tell whether somebody without a tenant reads a canary; being turned away is right."""
        page = await self._read(way, named=False)
        if may_pass(page.status):
            raise refusal(page, shown=way.place.shown)
        if page.status != 200:
            return False
        return bool(found_in(page, shown=way.place.shown).labels)

    async def _read(self, way: Way, *, named: bool) -> Page:
        expr = f'{CANARY}{{probe="{self.nonce}"}}'
        params = (("query", expr), ("time", f"{self.clock.now().timestamp():.3f}"))
        return await way.ask("/query", params, timeout_s=_WITHIN_S, named=named)
