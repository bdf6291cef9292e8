"""The Prometheus dialect behind a door that is open to all, over series in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode

from asgi import Answered, ask

from tocsin.api.http import Access, Door
from tocsin.api.prometheus import prometheus
from tocsin.api.prometheus_query import QueryApi
from tocsin.api.prometheus_read import RemoteReadApi
from tocsin.api.prometheus_rules import RulesApi
from tocsin.api.prometheus_series import MetadataOf, SeriesApi, SeriesCatalog
from tocsin.api.prometheus_status import ServerState, StatusApi
from tocsin.api.prometheus_targets import TargetsApi
from tocsin.api.queries import AtOnce, SamplesLater
from tocsin.metrics_collector.views import DroppedTargets, TargetView
from tocsin.model.clock import Clock
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher, Matchers
from tocsin.model.sample import Metadata
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.rule_engine.views import GroupView
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import TokenTable

T0 = datetime(2026, 1, 1, tzinfo=UTC)
START = int(T0.timestamp())
ACME = tenant_id("acme")
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = "application/json"


class Ticking(Clock):
    """A clock that goes on by `step` whenever it is read."""

    def __init__(self, step: timedelta = timedelta(0)) -> None:
        self._reads = count()
        self._step = step

    def now(self) -> datetime:
        return T0 + next(self._reads) * self._step

    async def sleep_until(self, when: datetime) -> None:
        raise AssertionError("nothing here waits")


class Catalog(SeriesCatalog, SamplesLater):
    """The metric store's other face, over the series of the fake."""

    def __init__(self, held: MemorySeries) -> None:
        self.held = held

    def series(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Labels]]:
        found = self.held.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)
        return lambda: sorted(series.labels for series in found)

    def label_names(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Callable[[], list[str]]:
        found = self.series(tenant, matchers, start_ms=start_ms, end_ms=end_ms)
        return lambda: sorted({name for labels in found() for name in labels})

    def label_values(
        self, tenant: TenantId, name: str, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Callable[[], list[str]]:
        found = self.series(tenant, matchers, start_ms=start_ms, end_ms=end_ms)
        return lambda: sorted({labels.value(name) for labels in found()} - {""})

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> Callable[[], list[Series]]:
        found = self.held.select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)
        return lambda: found


class Api:
    """The dialect; `groups`, `shown` and `dropped` are what the stages show."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        options: Options | None = None,
        queries: type[AtOnce] = AtOnce,
    ) -> None:
        held = MemorySeries()
        for job, value in (("a", 1.0), ("b", 0.0)):
            labels = Labels.of({"__name__": "up", "job": job})
            held.add(ACME, labels, [((START - s) * 1000, value) for s in (0, 60)])
        held.add(ACME, Labels.of({"__name__": "old", "a.b": "x"}), [((START - 9000) * 1000, 1.0)])
        clock = clock or Ticking()
        self.groups: list[GroupView] = []
        self.shown: list[TargetView] = []
        self.dropped = DroppedTargets()
        self.state = ServerState(T0, T0, retention="24h")
        self.held, catalog = held, Catalog(held)
        self.known = {
            "up": Metadata("gauge", "Whether it is up.", ""),
            "b": Metadata("counter", "B", "s"),
        }
        families: MetadataOf = lambda _: self.known  # noqa: E731  # as short as it can be
        asked = queries(Engine(held, options=options), clock)
        status = StatusApi(
            catalog,
            asked,
            clock,
            server=lambda _: self.state,
            config=lambda tenant: f"# of {tenant}\n",
            flags=lambda _: {"query.timeout": "2m"},
        )
        targets = TargetsApi(lambda _: self.shown, lambda _: self.dropped, catalog, families, asked)
        dialect = prometheus(
            QueryApi(asked, clock).endpoints(),
            SeriesApi(catalog, families, asked).endpoints(),
            RulesApi(lambda _: self.groups).endpoints(),
            targets.endpoints(),
            RemoteReadApi(catalog, asked).endpoints(),
            status.endpoints(),
        )
        self.ready = True
        self.door = Door(
            dialects=(dialect,),
            access=Access(TokenTable([]), frozenset({ACME}), open_to_all=True),
            sessions=Sessions(lambda: "x"),
            trail=lambda _: None,
            clock=clock,
            ready=lambda: self.ready,
        )

    async def get(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Answered:
        query = urlencode([*pairs, *params.items()])
        return await ask(self.door, "GET", f"/prometheus/api/v1{path}?{query}")

    async def post(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Answered:
        body = urlencode([*pairs, *params.items()]).encode()
        return await ask(self.door, "POST", f"/prometheus/api/v1{path}", headers=[FORM], body=body)

    async def envelope(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Any:
        got = await self.get(path, *pairs, **params)
        assert got.status == 200, got.body
        envelope = got.json()
        assert envelope["status"] == "success"
        return envelope

    async def data(self, path: str, *pairs: tuple[str, Any], **params: Any) -> Any:
        return (await self.envelope(path, *pairs, **params))["data"]


def refused(got: Answered, status: int, kind: str, message: str) -> None:
    """Check an error's envelope; `message` is part of what it says."""
    assert got.status == status, got.body
    body = got.json()
    assert (body["status"], body["errorType"]) == ("error", kind)
    assert message in body["error"]
    assert got.headers["content-type"] == JSON
