"""What is stored: `/series`, `/labels`, `/label/{name}/values` and `/metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.api.prometheus_answer import endpoint, success
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form, limited, unescaped
from tocsin.api.queries import AdHocQueries
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matchers
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.promql.literals import go_quoted, is_utf8
from tocsin.security.permissions import Permission

T = TypeVar("T")
Ordered = TypeVar("Ordered", str, Labels)

Later = Callable[[], list[T]]
"""What returns the answer: may be called in any thread, once."""


class SeriesCatalog(Protocol):
    """What the dialect asks the metric store beside queries, on the event loop."""

    def series(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Later[Labels]:
        """Ask for the label sets with a sample in the range, sorted."""
        ...

    def label_names(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Later[str]:
        """Ask for the label names of those series, sorted."""
        ...

    def label_values(
        self, tenant: TenantId, name: str, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> Later[str]:
        """Ask for the values of one label on those series, sorted."""
        ...


MetadataOf: TypeAlias = Callable[[TenantId], Mapping[str, Metadata]]
"""What is known of each metric family of a tenant."""


@dataclass(frozen=True, slots=True)
class SeriesApi:
    """The routes over the metric store."""

    catalog: SeriesCatalog
    families: MetadataOf
    queries: AdHocQueries

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        both, query = ("GET", "POST"), Permission.QUERY
        return (
            endpoint("/series", both, query, self.series),
            endpoint("/labels", both, query, self.label_names),
            endpoint("/label/{name}/values", ("GET",), query, self.label_values),
            endpoint("/metadata", ("GET",), query, self.metadata),
        )

    async def series(self, call: Call) -> Response:
        """List series that match one of the selectors."""
        form, tenant = await Form.of(call), call.tenant
        if not form.all("match[]"):
            raise Refusal(400, "no match[] parameter provided")
        limit, (start, end) = form.limit(), _times(form)
        asked = [
            self.catalog.series(tenant, matchers, start_ms=start, end_ms=end)
            for matchers in form.needed_selectors()
        ]
        found = await self.queries.run(tenant, partial(_united, asked))
        shown, warnings = limited(found, limit)
        return success([dict(labels.pairs) for labels in shown], warnings=warnings)

    async def label_names(self, call: Call) -> Response:
        """List label names."""
        form, tenant = await Form.of(call), call.tenant
        limit, (start, end) = form.limit(), _times(form)
        asked = [
            self.catalog.label_names(tenant, matchers, start_ms=start, end_ms=end)
            for matchers in form.selectors() or [()]
        ]
        shown, warnings = limited(await self.queries.run(tenant, partial(_united, asked)), limit)
        return success(shown, warnings=warnings)

    async def label_values(self, call: Call) -> Response:
        """List the values of one label."""
        form, tenant = await Form.of(call), call.tenant
        name = unescaped(call.request.path_params["name"])
        if not name or not is_utf8(name):
            raise Refusal(400, f"invalid label name: {go_quoted(name)}")
        limit, (start, end) = form.limit(), _times(form)
        asked = [
            self.catalog.label_values(tenant, name, matchers, start_ms=start, end_ms=end)
            for matchers in form.selectors() or [()]
        ]
        shown, warnings = limited(await self.queries.run(tenant, partial(_united, asked)), limit)
        return success(shown, warnings=warnings)

    async def metadata(self, call: Call) -> Response:
        """Tell type, help and unit of metric families.

        A family has one entry here, so that `limit_per_metric` leaves nothing out.
        """
        form = await Form.of(call)
        limit, _ = form.count("limit"), form.count("limit_per_metric")
        wanted, known = form.get("metric"), self.families(call.tenant)
        names = sorted(name for name in known if wanted in ("", name))
        shown = names if limit is None or limit < 0 else names[:limit]
        return success({name: [metadata_json(known[name])] for name in shown})


def _united(asked: Sequence[Later[Ordered]]) -> list[Ordered]:
    """Return everything that was asked for, each once, sorted."""
    if len(asked) == 1:
        return asked[0]()
    return sorted({each for answer in asked for each in answer()})


def metadata_json(found: Metadata) -> dict[str, str]:
    """Return type, help and unit of a family."""
    return {"type": found.type, "help": found.help, "unit": found.unit}


def _times(form: Form) -> tuple[int, int]:
    start_ms = form.time_ms_or("start", BEGINNING_MS)
    return start_ms, form.time_ms_or("end", END_MS)
