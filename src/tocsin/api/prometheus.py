"""The Prometheus dialect: queries, series, labels, rules, alerts and targets under `/prometheus`.

GET and form POST alike; answers are Prometheus' envelope. Source: Prometheus
"HTTP API" and `web/api/v1`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from tocsin.api.http import Call, Dialect, Endpoint, Evaluate, Handler, Refusal, at_once
from tocsin.api.prometheus_form import Form, unescaped
from tocsin.api.prometheus_json import (
    alert_json,
    answer_json,
    group_json,
    targets_json,
)
from tocsin.metrics_collector.views import DroppedTargets, TargetView
from tocsin.model.clock import Clock
from tocsin.model.codec import encode
from tocsin.model.errors import LimitExceeded
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.rfc3339 import format_millis
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError, ParseError, QueryTimeout
from tocsin.promql.result import Result
from tocsin.rule_engine.views import GroupView
from tocsin.security.permissions import Permission

PROMETHEUS_VERSION = "3.0.0"  # the level of the dialect; Grafana reads it from buildinfo
LONGEST_QUERY_S = 120.0  # seconds; `--query.timeout` of Prometheus


class SeriesCatalog(Protocol):
    """What the dialect needs of the metric store beside queries."""

    def series(
        self, tenant: TenantId, matchers: tuple[Matcher, ...], *, start_ms: int, end_ms: int
    ) -> list[Labels]:
        """Return the label sets with a sample in the range, sorted."""
        ...

    def metadata(self, tenant: TenantId) -> Mapping[str, Metadata]:
        """Return what is known of each metric family."""
        ...


@dataclass(frozen=True, slots=True)
class PrometheusApi:
    """The routes below `/prometheus`; `rules` and `targets` show other stages."""

    engine: Engine
    catalog: SeriesCatalog
    rules: Callable[[TenantId], list[GroupView]]
    targets: Callable[[TenantId], list[TargetView]]
    clock: Clock
    started_at: datetime
    dropped: Callable[[TenantId], DroppedTargets] = lambda _: DroppedTargets()
    evaluate: Evaluate = at_once
    more: tuple[Endpoint, ...] = ()
    """Routes of modules of their own: remote write, federation."""

    def dialect(self) -> Dialect:
        """Return the routes."""
        read = Permission.READ
        both = ("GET", "POST")
        routes = [
            _endpoint("/query", both, Permission.QUERY, self.query),
            _endpoint("/query_range", both, Permission.QUERY, self.query_range),
            _endpoint("/query_exemplars", both, Permission.QUERY, self.nothing),
            _endpoint("/series", both, Permission.QUERY, self.series),
            _endpoint("/labels", both, Permission.QUERY, self.label_names),
            _endpoint("/label/{name}/values", ("GET",), Permission.QUERY, self.label_values),
            _endpoint("/metadata", ("GET",), Permission.QUERY, self.metadata),
            _endpoint("/rules", ("GET",), read, self.rule_groups),
            _endpoint("/alerts", ("GET",), read, self.rule_alerts),
            _endpoint("/targets", ("GET",), read, self.list_targets),
            _endpoint("/status/buildinfo", ("GET",), read, self.buildinfo),
            _endpoint("/status/runtimeinfo", ("GET",), read, self.runtimeinfo),
        ]
        health = Endpoint("/-/healthy", ("GET",), Permission.PUBLIC, self.healthy)
        return Dialect("/prometheus", (*routes, health, *self.more), fault)

    async def query(self, call: Call) -> Response:
        """Evaluate an expression at one time."""
        form = await Form.of(call)
        at = form.time("time", default=self.clock.now())
        query, expired = form.needed("query"), self._deadline(form)
        evaluate = partial(self.engine.instant, call.tenant, query, at_ms=_ms(at), expired=expired)
        return _result(await self.evaluate(evaluate))

    async def query_range(self, call: Call) -> Response:
        """Evaluate an expression at many times."""
        form = await Form.of(call)
        evaluate = partial(
            self.engine.range,
            call.tenant,
            form.needed("query"),
            start_ms=_ms(form.time("start")),
            end_ms=_ms(form.time("end")),
            step_ms=form.step_ms(),
            expired=self._deadline(form),
        )
        return _result(await self.evaluate(evaluate))

    async def nothing(self, call: Call) -> Response:
        """Answer that there is nothing: exemplars are not kept."""
        return success([])

    async def series(self, call: Call) -> Response:
        """List series that match one of the selectors."""
        form = await Form.of(call)
        if not form.all("match[]"):
            raise Refusal(400, "no match[] parameter provided")
        found = self._selected(call.tenant, form)
        return success([dict(labels.pairs) for labels in form.limited(found)])

    async def label_names(self, call: Call) -> Response:
        """List label names."""
        form = await Form.of(call)
        names = {name for labels in self._selected(call.tenant, form) for name in labels}
        return success(form.limited(sorted(names)))

    async def label_values(self, call: Call) -> Response:
        """List the values of one label."""
        form = await Form.of(call)
        name = unescaped(call.request.path_params["name"])
        values = {labels.value(name) for labels in self._selected(call.tenant, form)}
        return success(form.limited(sorted(values - {""})))

    async def metadata(self, call: Call) -> Response:
        """Tell type, help and unit of metric families."""
        form = await Form.of(call)
        wanted = form.get("metric")
        known = self.catalog.metadata(call.tenant)
        names = form.limited(sorted(n for n in known if not wanted or n == wanted))
        shown = {n: [{"type": m.type, "help": m.help, "unit": m.unit}] for n, m in known.items()}
        return success({name: shown[name] for name in names})

    async def rule_groups(self, call: Call) -> Response:
        """List rule groups; `type`, `rule_name[]`, `rule_group[]` and `file[]` narrow it."""
        form = await Form.of(call)
        kind = form.one_of("type", ("alert", "record"))
        bare = form.flag("exclude_alerts")
        views = self.rules(call.tenant)
        groups = [group_json(_without_alerts(g) if bare else g, kind) for g in views]
        names, files, rules = (form.all(f"{p}[]") for p in ("rule_group", "file", "rule_name"))
        shown = [
            {**g, "rules": [r for r in g["rules"] if not rules or r["name"] in rules]}
            for g in groups
            if (not names or g["name"] in names) and (not files or g["file"] in files)
        ]
        return success({"groups": [g for g in shown if g["rules"]]})

    async def rule_alerts(self, call: Call) -> Response:
        """List the pending and firing alerts of all rules."""
        rules = (rule for group in self.rules(call.tenant) for rule in group.rules)
        return success({"alerts": [alert_json(a) for rule in rules for a in rule.alerts]})

    async def list_targets(self, call: Call) -> Response:
        """List scrape targets with the outcome of their last scrape, and those dropped.

        `state` is `active`, `dropped` or `any`; `scrapePool` narrows it to one job.
        """
        form = await Form.of(call)
        pool, state = form.get("scrapePool"), form.get("state").lower()
        shown = self.targets(call.tenant) if state != "dropped" else []
        dropped = self.dropped(call.tenant) if state != "active" else DroppedTargets()
        return success(targets_json(shown, dropped, pool=pool))

    async def buildinfo(self, call: Call) -> Response:
        """Say which level this dialect has. No `features`: Grafana would take it for Mimir."""
        return success(
            {
                "version": PROMETHEUS_VERSION,
                "revision": "",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
                "application": "Tocsin",
            }
        )

    async def runtimeinfo(self, call: Call) -> Response:
        """Say since when this server runs."""
        return success({"startTime": format_millis(self.started_at), "reloadConfigSuccess": True})

    async def healthy(self, call: Call) -> Response:
        """Answer 200 while the process lives."""
        return Response("Tocsin is Healthy.\n", media_type="text/plain")

    def _deadline(self, form: Form) -> Callable[[], bool]:
        """Return what tells the engine that `timeout`, or the longest query allowed, is over."""
        allowed = min(form.seconds("timeout", default=LONGEST_QUERY_S), LONGEST_QUERY_S)
        ends = self.clock.now() + timedelta(seconds=allowed)
        return lambda: self.clock.now() >= ends

    def _selected(self, tenant: TenantId, form: Form) -> list[Labels]:
        start = _ms(form.time("start", default=_EARLIEST))
        end = _ms(form.time("end", default=_LATEST))
        selectors = form.selectors() or [()]
        found = {
            labels
            for matchers in selectors
            for labels in self.catalog.series(tenant, matchers, start_ms=start, end_ms=end)
        }
        return sorted(found)


_EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
_LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def success(data: Any, *, warnings: tuple[str, ...] = (), infos: tuple[str, ...] = ()) -> Response:
    """Return Prometheus' envelope around `data`."""
    envelope: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        envelope["warnings"] = warnings
    if infos:
        envelope["infos"] = infos
    return Response(encode(envelope), media_type="application/json")


def fault(request: Request, refusal: Refusal) -> Response:
    """Return Prometheus' envelope around an error."""
    body = {"status": "error", "errorType": _error_type(refusal), "error": refusal.message}
    return Response(encode(body), refusal.status, refusal.headers, media_type="application/json")


def _without_alerts(group: GroupView) -> GroupView:
    return replace(group, rules=tuple(replace(rule, alerts=()) for rule in group.rules))


def _endpoint(
    path: str, methods: tuple[str, ...], permission: Permission, handle: Handler
) -> Endpoint:
    async def translated(call: Call) -> Response:
        try:
            return await handle(call)
        except QueryTimeout as error:
            raise Refusal(503, str(error)) from error
        except (ExecutionError, LimitExceeded) as error:
            raise Refusal(422, str(error)) from error
        except ParseError as error:
            raise Refusal(400, f'invalid parameter "query": {error}') from error

    return Endpoint("/api/v1" + path, methods, permission, translated)


def _result(result: Result) -> Response:
    return success(answer_json(result.value), warnings=result.warnings, infos=result.infos)


def _error_type(refusal: Refusal) -> str:
    known = {400: "bad_data", 404: "not_found", 422: "execution", 503: "timeout"}
    return known.get(refusal.status, "internal" if refusal.status >= 500 else "bad_data")


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
