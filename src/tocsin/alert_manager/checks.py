"""Semantic faults of the sections this stage owns, each with its place, in Alertmanager's words.

Every function returns all faults, none raises. Paths lead from the root of the section that
was passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeAlias

import msgspec

from tocsin.alert_manager.config import (
    ALL_LABELS,
    InhibitRuleConfig,
    IntervalConfig,
    RouteConfig,
    Scalar,
    TimeIntervalConfig,
    interval,
    text_of,
)
from tocsin.alert_manager.matcher_syntax import MatcherMode, parse_matchers, valid_name
from tocsin.model.errors import InvalidInput
from tocsin.model.pattern import pattern
from tocsin.model.settings import Finding, PathPart

P = ParamSpec("P")


def check_route(
    route: RouteConfig,
    *,
    receivers: Collection[str],
    time_intervals: Collection[str],
    mode: MatcherMode = MatcherMode.FALLBACK,
) -> list[Finding]:
    """Return the faults of the routing tree; the names are those that are defined."""
    names = (receivers, time_intervals)
    return [*_root_faults(route), *_tree_faults(route, names, mode, path=())]


def check_inhibit_rules(
    rules: Sequence[InhibitRuleConfig | None], *, mode: MatcherMode = MatcherMode.FALLBACK
) -> list[Finding]:
    """Return the faults of `inhibit_rules`; a null rule is none."""
    found: list[Finding] = []
    for at, rule in enumerate(rules):
        if rule is not None:
            found += [f.under(at) for f in _rule_faults(rule, mode)]
    return found


def check_time_intervals(
    intervals: Sequence[TimeIntervalConfig], *, taken: Iterable[str] = ()
) -> list[Finding]:
    """Return the faults of `time_intervals` or `mute_time_intervals`.

    `taken` are the names the other of the two sections has defined already.
    """
    seen, found = set(taken), []
    for at, named in enumerate(intervals):
        if not named.name:
            found.append(Finding((at,), "missing name in time interval"))
        elif named.name in seen:
            message = f'time interval "{named.name}" is not unique'
            found.append(Finding((at, "name"), message))
        seen.add(named.name)
        for place, part in enumerate(named.time_intervals):
            found += [f.under(at, "time_intervals", place) for f in _interval_faults(part)]
    return found


def _root_faults(route: RouteConfig) -> Iterator[Finding]:
    if not route.receiver:
        yield Finding((), "root route must specify a default receiver")
    if route.match or route.match_re or route.matchers:
        yield Finding((), "root route must not have any matchers")
    if route.mute_time_intervals:
        yield Finding(("mute_time_intervals",), "root route must not have any mute time intervals")
    if route.active_time_intervals:
        yield Finding(
            ("active_time_intervals",), "root route must not have any active time intervals"
        )
    if route.proceed:
        yield Finding(("continue",), "cannot have continue in root route")


def _tree_faults(
    route: RouteConfig,
    names: tuple[Collection[str], Collection[str]],
    mode: MatcherMode,
    *,
    path: tuple[PathPart, ...],
) -> Iterator[Finding]:
    for finding in (*_node_faults(route, mode), *_used_names(route, *names)):
        yield finding.under(*path)
    for at, child in enumerate(route.routes):
        yield from _tree_faults(child, names, mode, path=(*path, "routes", at))


def _node_faults(route: RouteConfig, mode: MatcherMode) -> Iterator[Finding]:
    yield from _group_by_faults(route.group_by or (), mode)
    yield from _matcher_faults(("match", route.match), ("match_re", route.match_re))
    yield from _list_faults("matchers", route.matchers, mode)
    for name in route.labels:
        if not valid_name(name, mode):
            yield Finding(("labels", name), f'invalid label name "{name}"')
    if route.group_interval is not None and not route.group_interval:
        yield Finding(("group_interval",), "group_interval cannot be zero")
    if route.repeat_interval is not None and not route.repeat_interval:
        yield Finding(("repeat_interval",), "repeat_interval cannot be zero")


def _group_by_faults(names: Sequence[str], mode: MatcherMode) -> Iterator[Finding]:
    if ALL_LABELS in names and len(names) > 1:
        message = "cannot have wildcard group_by (`...`) and other labels at the same time"
        yield Finding(("group_by",), message)
    for at, name in enumerate(names):
        if name in names[:at]:
            yield Finding(("group_by", at), f'duplicated label "{name}" in group_by')
        elif name != ALL_LABELS and not valid_name(name, mode):
            yield Finding(("group_by", at), f'invalid label name "{name}" in group_by list')


def _used_names(
    route: RouteConfig, receivers: Collection[str], time_intervals: Collection[str]
) -> Iterator[Finding]:
    if route.receiver and route.receiver not in receivers:
        message = f'undefined receiver "{route.receiver}" used in route'
        yield Finding(("receiver",), message)
    for key in ("active_time_intervals", "mute_time_intervals"):
        for at, name in enumerate(getattr(route, key)):
            if name not in time_intervals:
                yield Finding((key, at), f'undefined time interval "{name}" used in route')


def _rule_faults(rule: InhibitRuleConfig, mode: MatcherMode) -> Iterator[Finding]:
    equal = ("source_match", rule.source_match)
    yield from _matcher_faults(equal, ("source_match_re", rule.source_match_re))
    yield from _list_faults("source_matchers", rule.source_matchers, mode)
    equal = ("target_match", rule.target_match)
    yield from _matcher_faults(equal, ("target_match_re", rule.target_match_re))
    yield from _list_faults("target_matchers", rule.target_matchers, mode)
    for at, name in enumerate(rule.equal):
        if not valid_name(name, mode):
            yield Finding(("equal", at), f'invalid label name "{name}" in equal list')


Section: TypeAlias = tuple[str, Mapping[str, Scalar]]


def _matcher_faults(equal: Section, regex: Section) -> Iterator[Finding]:
    for key, section in (equal, regex):
        for name in section:
            if not valid_name(name, MatcherMode.CLASSIC):
                yield Finding((key, name), f'invalid label name "{name}"')
    for name, value in regex[1].items():
        yield from _fault((regex[0], name), pattern, text_of(value))


def _list_faults(key: str, lists: Sequence[str], mode: MatcherMode) -> Iterator[Finding]:
    for at, text in enumerate(lists):
        yield from _fault((key, at), parse_matchers, text, mode)


_PARTS = ("times", "weekdays", "days_of_month", "months", "years")
_BLANK = IntervalConfig()


def _interval_faults(config: IntervalConfig) -> Iterator[Finding]:
    """Try each part alone, so that every fault is told at its own place."""
    for key in _PARTS:
        for at, value in enumerate(getattr(config, key)):
            alone = msgspec.structs.replace(_BLANK, **{key: (value,)})
            yield from _fault((key, at), interval, alone)
    zone_only = msgspec.structs.replace(_BLANK, location=config.location)
    yield from _fault(("location",), interval, zone_only)


def _fault(
    path: tuple[PathPart, ...], attempt: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> Iterator[Finding]:
    try:
        attempt(*args, **kwargs)
    except InvalidInput as error:
        yield Finding(path, str(error))
