"""Prometheus rule files as structs, and the rule section of a tenant's configuration.

Source: prometheus/prometheus `model/rulefmt`. A rule file is read unchanged; the one addition
is the key `tocsin:` of a group or a rule, kept as it stands for the rooms that understand it.
Scalars of text fields may look like numbers (`expr: 1`): the loader gives them as text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tocsin.model.settings import Duration, duration


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `rules:`: an alerting rule (`alert`) or a recording rule (`record`)."""

    record: str = ""
    """Name of the series to write."""
    alert: str = ""
    """Name of the alert."""
    expr: str = ""
    """PromQL expression."""
    hold: Duration = msgspec.field(name="for", default_factory=Duration)
    """How long the condition must hold before the alert fires."""
    keep_firing_for: Duration = msgspec.field(default_factory=Duration)
    """How long the alert goes on firing once the condition has cleared."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels to add or replace; templates in an alerting rule."""
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    """What people are told; templates."""
    tocsin: dict[str, Any] = msgspec.field(default_factory=dict)
    """What Tocsin adds to Prometheus; kept as it stands."""

    @property
    def name(self) -> str:
        """Return the alert's name, or that of the recorded series."""
        return self.alert or self.record


class RuleGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules evaluated one after the other at one time."""

    name: str
    """Name, unique within the file."""
    interval: Duration | None = None
    """How often; absent or 0: `evaluation_interval`."""
    limit: int = 0
    """How many alerts or series a rule may give; 0 means no limit."""
    query_offset: Duration | None = None
    """How far back the rules look; absent: `rule_query_offset`."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels of every rule, under its own."""
    rules: list[Rule] = msgspec.field(default_factory=list)
    """The rules, in the order in which they are evaluated."""
    tocsin: dict[str, Any] = msgspec.field(default_factory=dict)
    """What Tocsin adds to Prometheus; kept as it stands."""


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole rule file."""

    groups: list[RuleGroup] = msgspec.field(default_factory=list)
    """Rule groups."""


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tenant's rules are evaluated and its alerts sent (Prometheus' names and defaults)."""

    evaluation_interval: Duration = duration("1m")
    """How often rules are evaluated whose group does not say."""
    rule_query_offset: Duration = duration("0")
    """How far back rules look whose group does not say, for samples that come late."""
    external_labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Labels added to alerts that are sent, where the alert has none of the name."""
    resend_delay: Duration = duration("1m")
    """How often a firing alert is sent again."""
    for_outage_tolerance: Duration = duration("1h")
    """How long an outage may be for a pending period to go on after it."""
    for_grace_period: Duration = duration("10m")
    """How long an alert with a longer `for` waits at least, after an outage, before it fires."""
