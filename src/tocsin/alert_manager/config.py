"""The sections of alertmanager.yml this stage owns, and what they compile to.

`check_*` (module `checks`) reports every semantic fault with its place; `compile_config`
builds what the engine runs on. The compiled configuration keeps its source, which enters the
alert log: replaying the log needs nothing from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import TypeAlias

import msgspec

from tocsin.alert_manager import mute
from tocsin.alert_manager.inhibit import InhibitRule
from tocsin.alert_manager.matcher_syntax import (
    MatcherMode,
    format_matchers,
    ordered,
    parse_matchers,
)
from tocsin.alert_manager.mute import TimeInterval
from tocsin.alert_manager.route import Route
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matcher, Matchers, MatchOp, matcher
from tocsin.model.settings import Duration, from_scalar

Scalar: TypeAlias = str | int | float | bool
"""A YAML value where a string is meant; `true` and `8080` are taken as written."""

GROUP_WAIT = Duration(seconds=30)
GROUP_INTERVAL = Duration(minutes=5)
REPEAT_INTERVAL = Duration(hours=4)
RESOLVE_TIMEOUT = Duration(minutes=5)
ALL_LABELS = "..."


class _Section(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A section of a configuration file: unknown keys are faults."""


class RouteConfig(_Section, frozen=True):
    """One node of the routing tree; None means: as the parent has it.

    Defaults at the root: `group_wait` 30s, `group_interval` 5m, `repeat_interval` 4h.
    """

    receiver: str = ""
    """Name of the receiver. Required at the root; below it, empty means: as the parent has it."""
    group_by: tuple[str, ...] | None = None
    """Labels whose values make a group; `['...']` groups by all labels. Empty at the root: one
    group for all alerts."""
    match: dict[str, Scalar] = {}
    """Old form of `matchers`: labels that must have exactly these values."""
    match_re: dict[str, Scalar] = {}
    """Old form of `matchers`: labels whose whole value must match these patterns (RE2)."""
    matchers: tuple[str, ...] = ()
    """What an alert must match to take this route, such as `severity="critical"`. None: every
    alert. The root must not have any."""
    mute_time_intervals: tuple[str, ...] = ()
    """Names of time intervals during which this route notifies nobody. Not at the root."""
    active_time_intervals: tuple[str, ...] = ()
    """Names of time intervals outside of which this route notifies nobody. Not at the root."""
    proceed: bool = msgspec.field(name="continue", default=False)
    """Whether an alert that took this route goes on to the routes after it. Not at the root."""
    routes: tuple[RouteConfig, ...] = ()
    """Routes below this one; an alert takes the first that matches, else it stays here."""
    group_wait: Duration | None = None
    """How long a new group waits for more alerts before its first notification. `30s` at the
    root."""
    group_interval: Duration | None = None
    """How long after a notification changes of the group are told. `5m` at the root."""
    repeat_interval: Duration | None = None
    """After how long a group that has not changed is told again. `4h` at the root."""
    labels: dict[str, Scalar] = {}
    """Labels of the route, for templates (`.RouteLabels`). Those of the parent hold as well."""


class InhibitRuleConfig(_Section, frozen=True):
    """One inhibition rule: sources silence targets that share the `equal` labels."""

    name: str = ""
    """What the rule is called, for readers."""
    source_match: dict[str, Scalar] = {}
    """Old form of `source_matchers`: exact values."""
    source_match_re: dict[str, Scalar] = {}
    """Old form of `source_matchers`: patterns."""
    source_matchers: tuple[str, ...] = ()
    """What a firing alert must match to keep others quiet."""
    target_match: dict[str, Scalar] = {}
    """Old form of `target_matchers`: exact values."""
    target_match_re: dict[str, Scalar] = {}
    """Old form of `target_matchers`: patterns."""
    target_matchers: tuple[str, ...] = ()
    """What an alert must match to be kept quiet."""
    equal: tuple[str, ...] = ()
    """Labels that both alerts must have the same value of; missing and empty are the same."""


class TimesConfig(_Section, frozen=True):
    """Hours of a day, `HH:MM`; the end is excluded.

    YAML 1.1 reads an unquoted 17:00 as the number 1020 (base 60); both forms are taken.
    """

    start_time: str | int = ""
    """When it begins, such as `09:00`."""
    end_time: str | int = ""
    """When it ends, such as `17:00`; `24:00` is the end of the day."""


class IntervalConfig(_Section, frozen=True):
    """One interval; every part given must hold. `location` is a zone name, default UTC."""

    times: tuple[TimesConfig, ...] = ()
    """Hours of the day."""
    weekdays: tuple[str, ...] = ()
    """Days and ranges of the week, such as `monday:friday`."""
    days_of_month: tuple[str | int, ...] = ()
    """Days and ranges of the month, such as `1:7`; `-1` is the last day."""
    months: tuple[str | int, ...] = ()
    """Months and ranges, by name or number, such as `january:march`."""
    years: tuple[str | int, ...] = ()
    """Years and ranges, such as `2026:2028`."""
    location: str = ""
    """Time zone, such as `Europe/Berlin`. Empty: UTC."""


class TimeIntervalConfig(_Section, frozen=True):
    """A named set of intervals, for `mute_time_intervals` and `active_time_intervals`."""

    name: str = ""
    """What routes call it; unique."""
    time_intervals: tuple[IntervalConfig, ...] = ()
    """It holds while any of these does."""


class Integration(msgspec.Struct, frozen=True):
    """One entry of a receiver, for example `webhook[0]`."""

    name: str
    send_resolved: bool


class ConfigSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration is compiled from; the body of a CONFIG entry of the alert log."""

    hash: str
    route: RouteConfig
    receivers: dict[str, tuple[Integration, ...]]
    inhibit_rules: tuple[InhibitRuleConfig | None, ...] = ()
    time_intervals: tuple[TimeIntervalConfig, ...] = ()
    resolve_timeout: Duration = RESOLVE_TIMEOUT
    matcher_mode: MatcherMode = MatcherMode.FALLBACK
    start_delay: Duration = Duration(0)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine runs on. Build with `compile_config`."""

    source: ConfigSource
    route: Route
    routes: tuple[Route, ...]
    inhibit_rules: tuple[InhibitRule, ...]
    intervals: dict[str, tuple[TimeInterval, ...]]
    receivers: Mapping[str, tuple[Integration, ...]]

    @property
    def hash(self) -> str:
        """Return the version this configuration was given."""
        return self.source.hash

    @property
    def matcher_mode(self) -> MatcherMode:
        """Return which matcher grammar and label names hold."""
        return self.source.matcher_mode

    @property
    def resolve_timeout(self) -> timedelta:
        """Return after how long an alert without an end is taken for resolved."""
        return self.source.resolve_timeout


def compile_config(
    route: RouteConfig,
    *,
    receivers: Mapping[str, tuple[Integration, ...]],
    hash: str,
    inhibit_rules: Iterable[InhibitRuleConfig | None] = (),
    time_intervals: Iterable[TimeIntervalConfig] = (),
    resolve_timeout: timedelta = RESOLVE_TIMEOUT,
    matcher_mode: MatcherMode = MatcherMode.FALLBACK,
    start_delay: timedelta = timedelta(0),
) -> EngineConfig:
    """Return the configuration the engine runs on.

    `hash` names this version: groups are rebuilt when it changes. `time_intervals` takes both
    sections, the new and the old name. `start_delay` holds every flush back after a start.
    Raises InvalidInput on a fault the `check_*` functions would have reported.
    """
    return from_source(
        ConfigSource(
            hash=hash,
            route=route,
            receivers=dict(receivers),
            inhibit_rules=tuple(inhibit_rules),
            time_intervals=tuple(time_intervals),
            resolve_timeout=Duration(seconds=resolve_timeout.total_seconds()),
            matcher_mode=matcher_mode,
            start_delay=Duration(seconds=start_delay.total_seconds()),
        )
    )


def from_source(source: ConfigSource) -> EngineConfig:
    """Return the compiled form of `source`. Raises InvalidInput."""
    root = _Routes(source.matcher_mode).build(source.route, None)
    rules = (r for r in source.inhibit_rules if r is not None)
    return EngineConfig(
        source=source,
        route=root,
        routes=tuple(sorted(root.walk(), key=lambda r: r.index)),
        inhibit_rules=tuple(inhibit_rule(r, source.matcher_mode) for r in rules),
        intervals={t.name: time_interval(t) for t in source.time_intervals},
        receivers=source.receivers,
    )


def encode_source(source: ConfigSource) -> bytes:
    """Return `source` as it stands in the alert log."""
    return _ENCODER.encode(source)


def decode_source(body: bytes) -> ConfigSource:
    """Return the configuration held in a CONFIG entry. Raises InvalidInput."""
    try:
        return msgspec.json.decode(body, type=ConfigSource, dec_hook=from_scalar)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"not a stored configuration: {error}") from error


_ENCODER = msgspec.json.Encoder(enc_hook=Duration.__str__)  # the one type of ours in a source


def text_of(value: Scalar) -> str:
    """Return a YAML scalar as the string it was written as."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def section_matchers(
    equal: Mapping[str, Scalar],
    regex: Mapping[str, Scalar],
    lists: Iterable[str],
    mode: MatcherMode,
) -> Matchers:
    """Return the matchers of the old and new spellings together, in printing order.

    Raises InvalidInput.
    """
    found: list[Matcher] = [matcher(n, MatchOp.EQUAL, text_of(v)) for n, v in equal.items()]
    found += [matcher(n, MatchOp.REGEX, text_of(v)) for n, v in regex.items()]
    for text in lists:
        found += parse_matchers(text, mode)
    return ordered(found)


def inhibit_rule(rule: InhibitRuleConfig, mode: MatcherMode) -> InhibitRule:
    """Return the compiled rule. Raises InvalidInput."""
    return InhibitRule(
        source=section_matchers(
            rule.source_match, rule.source_match_re, rule.source_matchers, mode
        ),
        target=section_matchers(
            rule.target_match, rule.target_match_re, rule.target_matchers, mode
        ),
        equal=tuple(sorted(set(rule.equal))),
        name=rule.name,
    )


def time_interval(named: TimeIntervalConfig) -> tuple[TimeInterval, ...]:
    """Return the compiled intervals of one name. Raises InvalidInput."""
    return tuple(interval(i) for i in named.time_intervals)


def interval(config: IntervalConfig) -> TimeInterval:
    """Return one compiled interval. Raises InvalidInput."""
    return TimeInterval(
        times=tuple(
            mute.time_range(_clock(t.start_time), _clock(t.end_time)) for t in config.times
        ),
        weekdays=tuple(mute.weekdays(d) for d in config.weekdays),
        days_of_month=tuple(mute.days_of_month(_base60(d, 31)) for d in config.days_of_month),
        months=tuple(mute.months(_base60(m, 12)) for m in config.months),
        years=tuple(mute.years(str(y)) for y in config.years),
        zone=mute.location(config.location),
    )


def _clock(value: str | int) -> str:
    return value if isinstance(value, str) else f"{value // 60:02d}:{value % 60:02d}"


def _base60(value: str | int, highest: int) -> str:
    """Undo YAML 1.1's base 60: an unquoted 1:5 arrives as 65, which is no day."""
    if isinstance(value, str) or abs(value) <= highest:
        return str(value)
    return f"{value // 60}:{value % 60}"


_DEFAULTS = Route(
    index=-1,
    key="",
    receiver="",
    group_by=frozenset(),
    group_wait=GROUP_WAIT,
    group_interval=GROUP_INTERVAL,
    repeat_interval=REPEAT_INTERVAL,
)


class _Routes:
    """Builds the tree: numbers the nodes depth first and hands options down."""

    def __init__(self, mode: MatcherMode) -> None:
        self._mode = mode
        self._index = count()

    def build(self, config: RouteConfig, parent: Route | None) -> Route:
        matchers = section_matchers(config.match, config.match_re, config.matchers, self._mode)
        own, above = format_matchers(matchers), parent or _DEFAULTS
        node = Route(
            index=next(self._index),
            key=own if parent is None else f"{parent.key}/{own}",
            receiver=config.receiver or above.receiver,
            group_by=_group_by(config, above),
            group_wait=_given(config.group_wait, above.group_wait),
            group_interval=_given(config.group_interval, above.group_interval),
            repeat_interval=_given(config.repeat_interval, above.repeat_interval),
            matchers=matchers,
            mute=config.mute_time_intervals,
            active=config.active_time_intervals,
            labels=above.labels.merged({n: text_of(v) for n, v in config.labels.items()}),
            proceed=config.proceed,
        )
        return replace(node, routes=tuple(self.build(child, node) for child in config.routes))


def _given(own: timedelta | None, inherited: timedelta) -> timedelta:
    return inherited if own is None else own


def _group_by(config: RouteConfig, above: Route) -> frozenset[str] | None:
    if config.group_by is None:
        return above.group_by
    return None if ALL_LABELS in config.group_by else frozenset(config.group_by)
