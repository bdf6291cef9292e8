"""Results, rules, alerts and targets in the JSON shapes of Prometheus' API."""

from __future__ import annotations

import functools
from typing import Any, assert_never

from tocsin.metrics_collector.views import DroppedTarget, TargetView
from tocsin.model.errors import InvalidInput
from tocsin.model.rfc3339 import ZERO_TIME, format_nano
from tocsin.model.series import Series
from tocsin.promql.format import format_exponent, format_plain, format_value
from tocsin.promql.parser import Grammar, parse
from tocsin.promql.printer import text_of
from tocsin.promql.result import Answer, Matrix, Scalar, String, Vector
from tocsin.rule_engine.definition import RuleKind
from tocsin.rule_engine.views import AlertView, GroupView, RuleView


def answer_json(value: Answer) -> dict[str, Any]:
    """Return `resultType` and `result` of a query's answer."""
    match value:
        case Vector():
            pairs = zip(value.labels, value.values.tolist(), strict=True)
            shown = [
                {"metric": dict(labels.pairs), "value": point(value.at_ms, number)}
                for labels, number in pairs
            ]
            return {"resultType": "vector", "result": shown}
        case Matrix():
            return {"resultType": "matrix", "result": [_series_json(s) for s in value.series]}
        case Scalar():
            plain = format_plain(value.value)  # Prometheus writes scalars so, and elements not
            return {"resultType": "scalar", "result": [seconds(value.at_ms), plain]}
        case String():
            return {"resultType": "string", "result": [seconds(value.at_ms), value.value]}
        case _:
            assert_never(value)


def point(at_ms: int, value: float) -> list[Any]:
    """Return a sample as `[seconds, "value"]`."""
    return [seconds(at_ms), format_value(value)]


def seconds(at_ms: int) -> float | int:
    """Return a time as a JSON number of seconds with at most three decimals."""
    whole, rest = divmod(at_ms, 1000)
    return at_ms / 1000 if rest else whole


def group_json(group: GroupView) -> dict[str, Any]:
    """Return a rule group."""
    return {
        "name": group.name,
        "file": group.file,
        "interval": group.interval.total_seconds(),
        "limit": group.limit,
        "rules": [rule_json(rule) for rule in group.rules],
        "evaluationTime": group.evaluation_time.total_seconds(),
        "lastEvaluation": format_nano(group.last_evaluation),
    }


def rule_json(rule: RuleView) -> dict[str, Any]:
    """Return a rule with its state and last evaluation."""
    shown: dict[str, Any] = {
        "name": rule.name,
        "query": _printed(rule.query),
        "labels": dict(rule.labels.pairs),
        "health": rule.health,
        "evaluationTime": rule.evaluation_time.total_seconds(),
        "lastEvaluation": format_nano(rule.last_evaluation),
        "type": rule.kind,
    }
    if rule.last_error:
        shown["lastError"] = rule.last_error
    if rule.warnings:
        shown["warnings"] = list(rule.warnings)
    if rule.kind is RuleKind.ALERTING:
        shown["state"] = rule.state
        shown["duration"] = rule.hold.total_seconds()
        shown["keepFiringFor"] = rule.keep_firing_for.total_seconds()
        shown["annotations"] = dict(rule.annotations.pairs)
        shown["alerts"] = [alert_json(alert) for alert in rule.alerts]
    return shown


def alert_json(alert: AlertView) -> dict[str, Any]:
    """Return a pending or firing alert of a rule."""
    shown: dict[str, Any] = {
        "labels": dict(alert.labels.pairs),
        "annotations": dict(alert.annotations.pairs),
        "state": alert.state,
        "activeAt": format_nano(alert.active_at),
        "value": format_exponent(alert.value),
    }
    if alert.keep_firing_since:
        shown["keepFiringSince"] = format_nano(alert.keep_firing_since)
    return shown


def dropped_json(target: DroppedTarget) -> dict[str, Any]:
    """Return a target that relabelling dropped."""
    return {"discoveredLabels": dict(target.discovered.pairs), "scrapePool": target.pool}


def target_json(target: TargetView) -> dict[str, Any]:
    """Return a scrape target."""
    return {
        "discoveredLabels": dict(target.discovered.pairs),
        "labels": dict(target.labels.pairs),
        "scrapePool": target.pool,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": target.last_error,
        "lastScrape": format_nano(target.last_scrape) if target.last_scrape else ZERO_TIME,
        "lastScrapeDuration": target.last_duration.total_seconds(),
        "health": target.health,
        "scrapeInterval": str(target.interval),
        "scrapeTimeout": str(target.timeout),
    }


def _series_json(series: Series) -> dict[str, Any]:
    times = [t // 1000 if t % 1000 == 0 else t / 1000 for t in series.times.tolist()]
    values = map(format_value, series.values.tolist())
    return {"metric": dict(series.labels.pairs), "values": list(zip(times, values, strict=True))}


@functools.lru_cache(maxsize=4096)
def _printed(query: str) -> str:
    """Return an expression as Prometheus prints it; as it stands where it is none of ours."""
    try:
        return text_of(parse(query, _ANY))
    except InvalidInput:
        return query


_ANY = Grammar(experimental=True)
