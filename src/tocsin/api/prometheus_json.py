"""Results, rules, alerts and targets in the JSON shapes of Prometheus' API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from tocsin.metrics_collector.views import DroppedTargets, TargetView
from tocsin.model.rfc3339 import ZERO_TIME, format_nano
from tocsin.model.series import Series
from tocsin.promql.format import format_value
from tocsin.promql.result import Answer, Matrix, Scalar, String, Vector
from tocsin.rule_engine.definition import RuleKind
from tocsin.rule_engine.views import AlertView, GroupView, RuleView

_TYPES = {"alert": RuleKind.ALERTING, "record": RuleKind.RECORDING}


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
            return {"resultType": "scalar", "result": point(value.at_ms, value.value)}
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


def group_json(group: GroupView, kind: str) -> dict[str, Any]:
    """Return a rule group; `kind` ("alert", "record" or "") narrows its rules."""
    wanted = _TYPES.get(kind)
    return {
        "name": group.name,
        "file": group.file,
        "interval": group.interval.total_seconds(),
        "limit": group.limit,
        "rules": [rule_json(r) for r in group.rules if wanted in (None, r.kind)],
        "evaluationTime": group.evaluation_time.total_seconds(),
        "lastEvaluation": format_nano(group.last_evaluation),
    }


def rule_json(rule: RuleView) -> dict[str, Any]:
    """Return a rule with its state and last evaluation."""
    shown: dict[str, Any] = {
        "name": rule.name,
        "query": rule.query,
        "labels": dict(rule.labels.pairs),
        "health": rule.health,
        "evaluationTime": rule.evaluation_time.total_seconds(),
        "lastEvaluation": format_nano(rule.last_evaluation),
        "type": rule.kind,
    }
    if rule.last_error:
        shown["lastError"] = rule.last_error
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
        "value": format_value(alert.value),
    }
    if alert.keep_firing_since:
        shown["keepFiringSince"] = format_nano(alert.keep_firing_since)
    return shown


def targets_json(
    active: Iterable[TargetView], dropped: DroppedTargets, *, pool: str = ""
) -> dict[str, Any]:
    """Return active and dropped targets, those of one pool where it is named."""
    shown = [target for target in active if pool in ("", target.pool)]
    gone = [target for target in dropped.shown if pool in ("", target.pool)]
    return {
        "activeTargets": [target_json(target) for target in shown],
        "droppedTargets": [
            {"discoveredLabels": dict(each.discovered.pairs), "scrapePool": each.pool}
            for each in gone
        ],
        "droppedTargetCounts": dict(dropped.counts),
    }


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
    pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
    return {"metric": dict(series.labels.pairs), "values": [point(t, v) for t, v in pairs]}
