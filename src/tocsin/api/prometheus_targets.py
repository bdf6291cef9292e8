"""`/targets`, `/targets/metadata` and `/scrape_pools`: what the metric stage shows of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint
from tocsin.api.prometheus_answer import bad_parameter, endpoint, success
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form
from tocsin.api.prometheus_json import dropped_json, target_json
from tocsin.api.prometheus_series import MetadataOf, SeriesCatalog, metadata_json
from tocsin.api.queries import AdHocQueries
from tocsin.metrics_collector.views import DroppedTargets, TargetView
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME
from tocsin.model.matchers import Matchers, MatchOp, all_match, matcher
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.promql.parser import parse_selector
from tocsin.security.permissions import Permission

_SUFFIXES = ("_bucket", "_sum", "_count", "_total", "_info", "_created")


@dataclass(frozen=True, slots=True)
class TargetsApi:
    """The routes over scrape targets."""

    targets: Callable[[TenantId], list[TargetView]]
    dropped: Callable[[TenantId], DroppedTargets]
    catalog: SeriesCatalog
    families: MetadataOf
    queries: AdHocQueries

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        get, read = ("GET",), Permission.READ
        return (
            endpoint("/targets", get, read, self.list_targets),
            endpoint("/targets/metadata", get, Permission.QUERY, self.metadata),
            endpoint("/scrape_pools", get, read, self.pools),
        )

    async def list_targets(self, call: Call) -> Response:
        """List scrape targets with the outcome of their last scrape, and those dropped.

        `state` is `active`, `dropped` or `any`; `scrapePool` narrows it to one job.
        """
        form = await Form.of(call)
        pool, state = form.get("scrapePool"), form.get("state").lower()
        active, dropped = state in ("", "any", "active"), state in ("", "any", "dropped")
        shown = self._pool(call.tenant, pool) if active else []
        gone = self.dropped(call.tenant) if dropped else DroppedTargets()
        data: dict[str, Any] = {
            "activeTargets": [target_json(target) for target in shown],
            "droppedTargets": [
                dropped_json(each) for each in gone.shown if pool in ("", each.pool)
            ],
            "droppedTargetCounts": dict(gone.counts) if dropped else None,
        }
        return success(data)

    async def metadata(self, call: Call) -> Response:
        """Tell, for each target, type, help and unit of the metrics it gives.

        `metric` names one family, `match_target` selects targets, `limit` ends the list.
        """
        form = await Form.of(call)
        limit, metric = form.count("limit"), form.get("metric")
        matchers = _target_selector(form.get("match_target"))
        found: list[dict[str, Any]] = []
        for target in self._pool(call.tenant, ""):
            if limit is not None and 0 <= limit <= len(found):
                break
            if all_match(matchers, target.labels):
                found += await self._metadata_of(call.tenant, target, metric)
        return success(found)

    async def pools(self, call: Call) -> Response:
        """List the names of the scrape jobs that have targets."""
        names = {target.pool for target in self.targets(call.tenant)}
        names |= {target.pool for target in self.dropped(call.tenant).shown}
        return success({"scrapePools": sorted(names)})

    def _pool(self, tenant: TenantId, pool: str) -> list[TargetView]:
        found = [target for target in self.targets(tenant) if pool in ("", target.pool)]
        return sorted(found, key=lambda target: target.pool)

    async def _metadata_of(
        self, tenant: TenantId, target: TargetView, metric: str
    ) -> list[dict[str, Any]]:
        """Return the families of which a target has series."""
        known = self.families(tenant)
        own = tuple(matcher(name, MatchOp.EQUAL, value) for name, value in target.labels.pairs)
        asked = self.catalog.label_values(
            tenant, METRIC_NAME, own, start_ms=BEGINNING_MS, end_ms=END_MS
        )
        names = await self.queries.run(tenant, asked)
        shown = sorted({family_of(name, known) for name in names} & known.keys())
        labels = dict(target.labels.pairs)
        return [
            {"target": labels} | ({} if metric else {"metric": name}) | metadata_json(known[name])
            for name in shown
            if metric in ("", name)
        ]


def family_of(name: str, known: Mapping[str, Metadata]) -> str:
    """Return the family a series belongs to by its name; the name itself when none is known."""
    if name in known:
        return name
    for suffix in _SUFFIXES:
        if name.removesuffix(suffix) in known:
            return name.removesuffix(suffix)
    return name


def _target_selector(text: str) -> Matchers:
    try:
        return parse_selector(text) if text else ()
    except InvalidInput as error:
        raise bad_parameter("match_target", str(error)) from error
