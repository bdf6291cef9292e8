"""`/status/*`: what this server is, how it was started, what it holds.

`buildinfo` has no `features`: Grafana would take the server for a Mimir. A tenant sees its own
configuration and its own store; nothing here names a path of the host.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.api.prometheus_answer import endpoint, success
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form
from tocsin.api.prometheus_series import SeriesCatalog
from tocsin.api.queries import AdHocQueries
from tocsin.model.clock import Clock
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.rfc3339 import format_nano
from tocsin.model.tenant import TenantId
from tocsin.model.version import VERSION
from tocsin.promql.signatures import SIGNATURES
from tocsin.security.permissions import Permission

PROMETHEUS_VERSION = "3.0.0"  # the level of the dialect; Grafana reads it from buildinfo
_MOST = 10  # entries of each list of /status/tsdb; Prometheus' default
_GET = ("GET",)


@dataclass(frozen=True, slots=True)
class ServerState:
    """When the server started, what became of its configuration, how samples are kept."""

    started_at: datetime
    loaded_at: datetime
    reload_successful: bool = True
    retention: str = ""
    corruptions: int = 0


@dataclass(frozen=True, slots=True)
class StatusApi:
    """The routes below `/status`, and what else a server says of itself."""

    catalog: SeriesCatalog
    queries: AdHocQueries
    clock: Clock
    server: Callable[[TenantId], ServerState]
    config: Callable[[TenantId], str]
    flags: Callable[[TenantId], Mapping[str, str]]

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        read = Permission.READ
        return (
            endpoint("/status/buildinfo", _GET, read, self.buildinfo),
            endpoint("/status/runtimeinfo", _GET, read, self.runtimeinfo),
            endpoint("/status/config", _GET, read, self.show_config),
            endpoint("/status/flags", _GET, read, self.show_flags),
            endpoint("/status/tsdb", _GET, Permission.QUERY, self.tsdb),
            endpoint("/status/walreplay", _GET, read, self.walreplay),
            endpoint("/notifications", _GET, read, self.notifications),
            endpoint("/features", _GET, read, self.features),
        )

    async def buildinfo(self, call: Call) -> Response:
        """Say which level this dialect has."""
        found = dict.fromkeys(("branch", "buildUser", "buildDate", "goVersion"), "")
        own = {"version": PROMETHEUS_VERSION, "revision": f"tocsin-{VERSION}"}
        return success(own | found | {"application": "Tocsin"})

    async def runtimeinfo(self, call: Call) -> Response:
        """Say since when this server runs, and whether its configuration is the newest."""
        state = self.server(call.tenant)
        return success(
            {
                "startTime": format_nano(state.started_at),
                "CWD": "",
                "serverTime": format_nano(self.clock.now()),
                "reloadConfigSuccess": state.reload_successful,
                "lastConfigTime": format_nano(state.loaded_at),
                "corruptionCount": state.corruptions,
                "goroutineCount": threading.active_count(),
                "GOMAXPROCS": os.cpu_count() or 1,
                "GOMEMLIMIT": 0,
                "GOGC": "",
                "GODEBUG": "",
                "storageRetention": state.retention,
            }
        )

    async def show_config(self, call: Call) -> Response:
        """Show the tenant's jobs and rules as YAML, secrets masked."""
        return success({"yaml": self.config(call.tenant)})

    async def show_flags(self, call: Call) -> Response:
        """Show what would be flags of Prometheus, with the tenant's values."""
        return success(dict(self.flags(call.tenant)))

    async def tsdb(self, call: Call) -> Response:
        """Show where the tenant's series come from: the names, labels and pairs with the most."""
        form = await Form.of(call)
        text = form.get("limit")
        if text and not (text.isdecimal() and int(text[:9]) > 0):
            raise Refusal(400, "limit must be a positive number")
        most = int(text[:9]) if text else _MOST
        asked = self.catalog.series(call.tenant, (), start_ms=BEGINNING_MS, end_ms=END_MS)
        found = await self.queries.run(call.tenant, lambda: cardinality(asked(), most))
        return success(found)

    async def walreplay(self, call: Call) -> Response:
        """Say that the log has been read: before that, nothing but 503 is answered here."""
        return success({"min": 0, "max": 0, "current": 0})

    async def notifications(self, call: Call) -> Response:
        """List nothing: what deserves a look is in the log and in `/metrics`."""
        return success([])

    async def features(self, call: Call) -> Response:
        """Say which functions of PromQL may be used."""
        admitted = self.queries.options(call.tenant).experimental
        functions = {name: admitted or not s.experimental for name, s in SIGNATURES.items()}
        return success({"promql_functions": functions})


def cardinality(found: Iterable[Labels], most: int) -> dict[str, Any]:
    """Return the counts of `/status/tsdb`. O(labels)."""
    by_name, by_pair = Counter[str](), Counter[tuple[str, str]]()
    values: defaultdict[str, set[str]] = defaultdict(set)
    series = 0
    for labels in found:
        series += 1
        by_name[labels.value(METRIC_NAME)] += 1
        by_pair.update(labels.pairs)
        for name, value in labels.pairs:
            values[name].add(value)
    memory = {name: sum(len(v.encode()) for v in held) for name, held in values.items()}
    pairs = Counter({f"{name}={value}": count for (name, value), count in by_pair.items()})
    head = {"numSeries": series, "numLabelPairs": len(by_pair), "chunkCount": 0}
    return {
        "headStats": head | {"minTime": 0, "maxTime": 0},
        "seriesCountByMetricName": _top(by_name, most),
        "labelValueCountByLabelName": _top({n: len(held) for n, held in values.items()}, most),
        "memoryInBytesByLabelName": _top(memory, most),
        "seriesCountByLabelValuePair": _top(pairs, most),
    }


def _top(counts: Mapping[str, int], most: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
    return [{"name": name, "value": count} for name, count in ordered]
