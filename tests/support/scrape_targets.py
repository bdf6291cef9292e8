"""The targets a configuration writes down, without the stage around them."""

from __future__ import annotations

from tocsin.metrics_collector.config import MetricsConfig
from tocsin.metrics_collector.pools import static_groups
from tocsin.metrics_collector.target import Job, Target


def targets_of(config: MetricsConfig) -> dict[str, Target]:
    """Return every target by key."""
    outcomes = (
        Job(job, config).outcome(address, group.labels)
        for job in config.scrape_configs
        for group in static_groups(job)
        for address in group.targets
    )
    return {made.target.key: made.target for made in outcomes if made.target is not None}
