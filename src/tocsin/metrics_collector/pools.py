"""The scrape pools of one tenant: what its jobs discover, and the targets that come of it.

A pool keeps what became of each target group, so that a change costs no more than what
changed (a relabelling rule may take 10 µs, a job have thousands of targets).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig
from tocsin.metrics_collector.discovery import Discoverer, Groups, TargetGroup
from tocsin.metrics_collector.discovery_config import DnsSdConfig, FileSdConfig, HttpSdConfig
from tocsin.metrics_collector.ports import Fetch, Resolver, TargetFiles
from tocsin.metrics_collector.sd_dns import DnsDiscovery
from tocsin.metrics_collector.sd_file import FileDiscovery
from tocsin.metrics_collector.sd_http import HttpDiscovery
from tocsin.metrics_collector.target import Job, Outcome, Target
from tocsin.metrics_collector.views import DroppedTarget
from tocsin.model.labels import Labels

_SLICE = 32  # targets made without a break: about 4 ms


@dataclass(frozen=True, slots=True)
class Lookouts:
    """The world beyond this stage where targets are looked for."""

    fetch: Fetch
    files: TargetFiles
    resolver: Resolver


@dataclass(frozen=True, slots=True)
class DiscoveryKey:
    """Names a discoverer by the job it works for and all its configuration."""

    job: str
    config: FileSdConfig | HttpSdConfig | DnsSdConfig

    def __hash__(self) -> int:
        """Return a hash of what hardly two of them share: a configuration holds mappings."""
        return hash((self.job, type(self.config), self.config.refresh_interval))

    def discoverer(self, world: Lookouts) -> Discoverer:
        """Return a new discoverer of this configuration."""
        if isinstance(self.config, FileSdConfig):
            name = f"file/{self.job}/{','.join(self.config.files)}"
            return FileDiscovery(name, self.config, world.files)
        if isinstance(self.config, DnsSdConfig):
            return DnsDiscovery(self.job, self.config, world.resolver)
        return HttpDiscovery(self.job, self.config, world.fetch)


Discoverers = dict[DiscoveryKey, Discoverer]


@dataclass(frozen=True, slots=True)
class Pool:
    """The targets of one job by key, at one moment; `faults` tell of addresses nobody can ask."""

    targets: Mapping[str, Target]
    dropped: tuple[DroppedTarget, ...] = ()
    dropped_count: int = 0
    faults: tuple[str, ...] = ()


class ScrapePool:
    """One job and where its targets come from."""

    def __init__(self, job: Job, discoverers: Sequence[Discoverer]) -> None:
        """Begin with no targets: `refresh` finds them."""
        self.job = job
        self.discoverers = discoverers
        self.pool = Pool({})
        self._outcomes: dict[TargetGroup, tuple[Outcome, ...]] = {}

    async def refresh(self) -> None:
        """Take over what is written down, and what the discoverers have found by now."""
        before, made = self._outcomes, dict[TargetGroup, tuple[Outcome, ...]]()
        for group in self._groups():
            if group not in made:
                made[group] = before.get(group) or await self._made(group)
        outcomes = [one for group in made.values() for one in group]
        self._outcomes, self.pool = made, _pool(outcomes, self.job.config)

    def adopt(self, before: ScrapePool) -> None:
        """Take over what came of target groups, if the same would come of them now."""
        if before.job.alike(self.job):
            self._outcomes = before._outcomes

    def _groups(self) -> list[TargetGroup]:
        found = (group for discoverer in self.discoverers for group in discoverer.groups)
        return [*static_groups(self.job.config), *found]

    async def _made(self, group: TargetGroup) -> tuple[Outcome, ...]:
        """Return what becomes of a group; others may run in between (100 µs a target)."""
        outcomes: list[Outcome] = []
        for start in range(0, len(group.targets), _SLICE):
            part = group.targets[start : start + _SLICE]
            outcomes += [self.job.outcome(address, group.labels) for address in part]
            await asyncio.sleep(0)
        return tuple(outcomes)


def static_groups(config: ScrapeConfig) -> Groups:
    """Return the targets written down."""
    statics = config.static_configs
    return tuple(TargetGroup(tuple(each.targets), Labels.of(each.labels)) for each in statics)


async def pools_of(
    config: MetricsConfig, discoverers: Discoverers, before: Mapping[str, ScrapePool]
) -> dict[str, ScrapePool]:
    """Return the pools of a tenant by job; what was made `before` is used again."""
    pools: dict[str, ScrapePool] = {}
    for job in config.scrape_configs:
        made = ScrapePool(Job(job, config), [discoverers[key] for key in _keys(job)])
        if job.job_name in before:
            made.adopt(before[job.job_name])
        await made.refresh()
        pools[job.job_name] = made
    return pools


def discoverers_of(config: MetricsConfig, before: Discoverers, world: Lookouts) -> Discoverers:
    """Return the discoverers of a tenant; one that is configured as before stays the same."""
    return {
        key: before.get(key) or key.discoverer(world)
        for job in config.scrape_configs
        for key in _keys(job)
    }


def _keys(job: ScrapeConfig) -> Iterator[DiscoveryKey]:
    for files in job.file_sd_configs:
        yield DiscoveryKey(job.job_name, files)
    for server in job.http_sd_configs:
        yield DiscoveryKey(job.job_name, server)
    for names in job.dns_sd_configs:
        yield DiscoveryKey(job.job_name, names)


def _pool(outcomes: Sequence[Outcome], config: ScrapeConfig) -> Pool:
    targets = {one.target.key: one.target for one in outcomes if one.target is not None}
    limit = config.target_limit
    if limit and len(targets) > limit:
        why = f"target_limit exceeded (number of targets: {len(targets)}, limit: {limit})"
        targets = {key: replace(target, refused=why) for key, target in targets.items()}
    gone = [one for one in outcomes if one.target is None and not one.fault]
    kept = gone[: config.keep_dropped_targets] if config.keep_dropped_targets else gone
    dropped = tuple(DroppedTarget(config.job_name, one.discovered) for one in kept)
    faults = tuple(one.fault for one in outcomes if one.fault)
    return Pool(targets, dropped, len(gone), faults)
