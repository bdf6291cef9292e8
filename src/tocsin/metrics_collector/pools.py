"""The scrape pools of one tenant: what its jobs discover, and the targets that come of it.

A pool keeps what became of each target group, so that a change costs no more than what
changed (a relabelling rule may take 10 µs, a job have thousands of targets).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.metrics_collector.config import MetricsConfig, ScrapeConfig
from tocsin.metrics_collector.discovery import Discoverer, Groups, TargetGroup
from tocsin.metrics_collector.discovery_config import FileSdConfig, HttpSdConfig
from tocsin.metrics_collector.ports import Fetch, TargetFiles
from tocsin.metrics_collector.sd_file import FileDiscovery
from tocsin.metrics_collector.sd_http import HttpDiscovery
from tocsin.metrics_collector.target import Job, Outcome, Target
from tocsin.metrics_collector.views import DroppedTarget
from tocsin.model.labels import Labels


@dataclass(frozen=True, slots=True)
class DiscoveryKey:
    """Names a discoverer by the job it works for and all its configuration."""

    job: str
    config: FileSdConfig | HttpSdConfig

    def discoverer(self, fetch: Fetch, files: TargetFiles) -> Discoverer:
        """Return a new discoverer of this configuration."""
        if isinstance(self.config, FileSdConfig):
            name = f"file/{self.job}/{','.join(self.config.files)}"
            return FileDiscovery(name, self.config, files)
        return HttpDiscovery(f"http/{self.job}/{self.config.url}", self.config, fetch)


Discoverers = dict[DiscoveryKey, Discoverer]


@dataclass(frozen=True, slots=True)
class Pool:
    """The targets of one job by key, at one moment; `faults` tell of addresses nobody can ask."""

    targets: Mapping[str, Target]
    dropped: tuple[DroppedTarget, ...] = ()
    dropped_count: int = 0
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class ScrapePool:
    """One job and where its targets come from."""

    job: Job
    discoverers: Sequence[Discoverer]
    pool: Pool = field(init=False)
    _outcomes: dict[TargetGroup, tuple[Outcome, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Take over what the discoverers have found by now."""
        before = self._outcomes
        groups = dict.fromkeys(self._groups())
        self._outcomes = {group: before.get(group) or self._made(group) for group in groups}
        outcomes = [one for group in self._outcomes.values() for one in group]
        self.pool = _pool(outcomes, self.job.config)

    def _groups(self) -> Iterator[TargetGroup]:
        yield from static_groups(self.job.config)
        for discoverer in self.discoverers:
            yield from discoverer.groups

    def _made(self, group: TargetGroup) -> tuple[Outcome, ...]:
        return tuple(self.job.outcome(address, group.labels) for address in group.targets)


def static_groups(config: ScrapeConfig) -> Groups:
    """Return the targets written down."""
    statics = config.static_configs
    return tuple(TargetGroup(tuple(each.targets), Labels.of(each.labels)) for each in statics)


def pools_of(config: MetricsConfig, discoverers: Discoverers) -> dict[str, ScrapePool]:
    """Return the pools of a tenant by job."""
    pools: dict[str, ScrapePool] = {}
    for job in config.scrape_configs:
        mine = [discoverers[key] for key in _keys(job)]
        pools[job.job_name] = ScrapePool(Job(job, config), mine)
    return pools


def targets_of(config: MetricsConfig) -> dict[str, Target]:
    """Return the targets a tenant has written down, by key; the same target twice is one."""
    pools = (ScrapePool(Job(job, config), ()).pool for job in config.scrape_configs)
    return {key: target for pool in pools for key, target in pool.targets.items()}


def discoverers_of(
    config: MetricsConfig, before: Discoverers, *, fetch: Fetch, files: TargetFiles
) -> Discoverers:
    """Return the discoverers of a tenant; one that is configured as before stays the same."""
    return {
        key: before.get(key) or key.discoverer(fetch, files)
        for job in config.scrape_configs
        for key in _keys(job)
    }


def _keys(job: ScrapeConfig) -> Iterator[DiscoveryKey]:
    for files in job.file_sd_configs:
        yield DiscoveryKey(job.job_name, files)
    for server in job.http_sd_configs:
        yield DiscoveryKey(job.job_name, server)


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
