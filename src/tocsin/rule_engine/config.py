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
    alert: str = ""
    expr: str = ""
    hold: Duration = msgspec.field(name="for", default_factory=Duration)
    keep_firing_for: Duration = msgspec.field(default_factory=Duration)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    tocsin: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the alert's name, or that of the recorded series."""
        return self.alert or self.record


class RuleGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules evaluated one after the other at one time; `limit` 0 means none."""

    name: str
    interval: Duration | None = None
    limit: int = 0
    query_offset: Duration | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    rules: list[Rule] = msgspec.field(default_factory=list)
    tocsin: dict[str, Any] = msgspec.field(default_factory=dict)


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole rule file."""

    groups: list[RuleGroup] = msgspec.field(default_factory=list)


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tenant's rules are evaluated and its alerts sent (Prometheus' names and defaults).

    `external_labels` are added to alerts that are sent, where the alert has none of the name.
    `resend_delay` is how often a firing alert is sent again. After a restart a pending period
    goes on if the outage was shorter than `for_outage_tolerance`; an alert with a longer `for`
    than `for_grace_period` then waits at least that long before it fires.
    """

    evaluation_interval: Duration = duration("1m")
    rule_query_offset: Duration = duration("0")
    external_labels: dict[str, str] = msgspec.field(default_factory=dict)
    resend_delay: Duration = duration("1m")
    for_outage_tolerance: Duration = duration("1h")
    for_grace_period: Duration = duration("10m")
