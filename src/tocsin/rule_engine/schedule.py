"""When rule groups are evaluated: each tenant's groups on their own intervals and phases.

A round that takes longer than the interval makes the ones in between be missed, counted, and
never made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.model.clock import Clock
from tocsin.model.slots import Slots
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import Firing, Queries, RuleSink
from tocsin.rule_engine.views import AlertView, GroupView
from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

_LOG = get_logger("rule_engine")
_PATIENCE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class TenantRules:
    """All rules of one tenant: files by name, how to evaluate them, and where the UI is.

    The files must have passed `check.check_rules`.
    """

    files: Mapping[str, RuleFile]
    settings: RuleSettings = field(default_factory=RuleSettings)
    external_url: str = ""


@dataclass(slots=True)
class _Scheduled:
    run: GroupRun
    task: asyncio.Task[None]


class RuleGroups:
    """The rule stage: evaluates the groups of every tenant and hands alerts to `firing`."""

    def __init__(
        self,
        queries: Queries,
        sink: RuleSink,
        firing: Firing,
        *,
        clock: Clock,
        instruments: RuleInstruments,
        memory: Queries | None = None,
    ) -> None:
        """Bind the neighbours (see `Neighbours`); nothing runs before `start`."""
        self._near = Neighbours(queries, sink, firing, instruments, memory)
        self._clock = clock
        self._groups: dict[TenantId, dict[str, _Scheduled]] = {}
        self._locks: dict[TenantId, asyncio.Lock] = {}

    async def start(self, tenant: TenantId, rules: TenantRules) -> None:
        """Begin to evaluate; pending periods from before a restart go on."""
        await self.reload(tenant, rules)

    async def reload(self, tenant: TenantId, rules: TenantRules) -> None:
        """Swap in new rules. Unchanged groups run on; rules that are gone resolve their alerts."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            started = tenant in self._groups
            before = self._groups.setdefault(tenant, {})
            specs = {spec.group.key: spec for spec in _specs(tenant, rules)}
            after: dict[str, _Scheduled] = {}
            for key, spec in specs.items():
                old = before.pop(key, None)
                if old is not None and old.run.spec == spec:
                    after[key] = old
                else:
                    after[key] = await self._replace(spec, old, restore=not started)
            self._groups[tenant] = after
            self._near.instruments.groups.labels(tenant).set(len(after))
            for gone in before.values():
                await _cancel(gone.task)
                await gone.run.retire_all(now=self._clock.now())

    async def stop(self, tenant: TenantId) -> None:
        """Stop evaluating. Series and alerts stay as they are: a restart takes them up again."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            for scheduled in self._groups.pop(tenant, {}).values():
                await _cancel(scheduled.task)
            self._near.instruments.groups.labels(tenant).set(0)

    async def stop_all(self) -> None:
        """Stop every tenant. Idempotent."""
        for tenant in list(self._groups):
            await self.stop(tenant)

    def groups(self, tenant: TenantId) -> list[GroupView]:
        """Return every group of `tenant`, by file, then in file order."""
        return [s.run.view() for s in self._groups.get(tenant, {}).values()]

    def alerts(self, tenant: TenantId) -> list[AlertView]:
        """Return every pending and firing alert of `tenant`."""
        return [a for group in self.groups(tenant) for rule in group.rules for a in rule.alerts]

    async def _replace(
        self, spec: GroupSpec, old: _Scheduled | None, *, restore: bool
    ) -> _Scheduled:
        run = GroupRun(spec, self._near)
        if old is not None:
            await _cancel(old.task)
            gone = run.adopt(old.run)
            await run.retire(gone, now=self._clock.now())
        elif restore:
            run.restore()
        name = f"rules/{spec.tenant}/{spec.group.key}"
        return _Scheduled(run, asyncio.create_task(self._rounds(run), name=name))

    async def _rounds(self, run: GroupRun) -> None:
        """Evaluate a group for ever, once per slot."""
        interval = run.spec.group.interval
        slots = Slots.named(f"{run.spec.tenant};{run.spec.group.key}", interval)
        instruments = self._near.instruments
        slot = slots.after(self._clock.now())
        while True:
            slot = await self._reached(slots, slot)
            await self._round(run, slot)
            slot, missed = slots.following(slot, self._clock.now())
            run.miss(missed)
            instruments.iterations.labels(run.spec.tenant).inc(1 + missed)
            instruments.missed.labels(run.spec.tenant).inc(missed)

    async def _round(self, run: GroupRun, slot: datetime) -> None:
        tenant = run.spec.tenant
        lag = self._clock.now() - slot
        self._near.instruments.lag.labels(tenant).set(lag.total_seconds())
        with Edge(_LOG, "Rule group failed", tenant=tenant):
            await run.evaluate(slot)

    async def _reached(self, slots: Slots, slot: datetime) -> datetime:
        """Wait for `slot` and return it; the next one near when the clock is put back meanwhile."""
        while True:
            try:
                async with asyncio.timeout((slots.interval + _PATIENCE).total_seconds()):
                    await self._clock.sleep_until(slot)
                    return slot
            except TimeoutError:
                slot = slots.after(self._clock.now())


def _specs(tenant: TenantId, rules: TenantRules) -> list[GroupSpec]:
    groups = groups_of(rules.files, rules.settings)
    return [GroupSpec(tenant, group, rules.settings, rules.external_url) for group in groups]


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
