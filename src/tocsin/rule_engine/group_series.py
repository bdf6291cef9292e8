"""What a rule group says of itself in its tenant's store: when it ran, how long, how it went.

The label is `rule_group`, as in Prometheus. The series lie in the store and not on the page of
the process, which has no label from anybody's configuration but the tenant; no name is one of
that page, so that a tenant who stores the page as well counts nothing twice. The first of them
is the heartbeat by which `restore` knows when the process went down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Values
from tocsin.rule_engine.definition import GroupDef
from tocsin.rule_engine.restore import heartbeat_labels

NAMES = (
    "tocsin_rule_group_last_duration_seconds",
    "tocsin_rule_group_last_evaluation_samples",
    "tocsin_rule_group_interval_seconds",
    "tocsin_rule_group_rules",
    "tocsin_rule_group_rounds_total",
    "tocsin_rule_group_rounds_missed_total",
    "tocsin_rule_group_evaluations_total",
    "tocsin_rule_group_evaluation_failures_total",
)


@dataclass(slots=True)
class GroupCounts:
    """What happened to a group since the process began; `rounds` includes those `missed`."""

    rounds: int = 0
    missed: int = 0
    evaluations: int = 0
    failures: int = 0


def group_labels(group: GroupDef) -> tuple[Labels, ...]:
    """Return the series of a group, the heartbeat first."""
    beat = heartbeat_labels(group)
    return beat, *(beat.merged({METRIC_NAME: name}) for name in NAMES)


def group_values(
    group: GroupDef, counts: GroupCounts, *, at: datetime, took_s: float, samples: int
) -> Values:
    """Return their values after a round at `at`."""
    return np.array(
        [
            at.timestamp(),
            took_s,
            samples,
            group.interval.total_seconds(),
            len(group.rules),
            counts.rounds,
            counts.missed,
            counts.evaluations,
            counts.failures,
        ],
        dtype=np.float64,
    )
