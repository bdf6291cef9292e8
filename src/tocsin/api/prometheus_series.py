"""What is stored: `/series`, `/labels`, `/label/{name}/values` and `/metadata`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.api.prometheus_answer import endpoint, success
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form, limited, unescaped
from tocsin.model.labels import Labels
from tocsin.model.matchers import Matcher
from tocsin.model.sample import Metadata
from tocsin.model.tenant import TenantId
from tocsin.promql.literals import go_quoted, is_utf8
from tocsin.security.permissions import Permission


class SeriesCatalog(Protocol):
    """What the dialect needs of the metric store beside queries."""

    def series(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Labels]:
        """Return the label sets with a sample in the range, sorted."""
        ...

    def label_names(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[str]:
        """Return the label names of those series, sorted."""
        ...

    def label_values(
        self,
        tenant: TenantId,
        name: str,
        matchers: Sequence[Matcher],
        *,
        start_ms: int,
        end_ms: int,
    ) -> list[str]:
        """Return the values of one label on those series, sorted."""
        ...

    def metadata(self, tenant: TenantId) -> Mapping[str, Metadata]:
        """Return what is known of each metric family."""
        ...


@dataclass(frozen=True, slots=True)
class SeriesApi:
    """The routes over the metric store."""

    catalog: SeriesCatalog

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
        form = await Form.of(call)
        if not form.all("match[]"):
            raise Refusal(400, "no match[] parameter provided")
        limit, (start_ms, end_ms) = form.limit(), _times(form)
        found = {
            labels
            for matchers in form.needed_selectors()
            for labels in self.catalog.series(
                call.tenant, matchers, start_ms=start_ms, end_ms=end_ms
            )
        }
        shown, warnings = limited(sorted(found), limit)
        return success([dict(labels.pairs) for labels in shown], warnings=warnings)

    async def label_names(self, call: Call) -> Response:
        """List label names."""
        form = await Form.of(call)
        limit, (start_ms, end_ms) = form.limit(), _times(form)
        found = {
            name
            for matchers in form.selectors() or [()]
            for name in self.catalog.label_names(
                call.tenant, matchers, start_ms=start_ms, end_ms=end_ms
            )
        }
        shown, warnings = limited(sorted(found), limit)
        return success(shown, warnings=warnings)

    async def label_values(self, call: Call) -> Response:
        """List the values of one label."""
        form = await Form.of(call)
        name = unescaped(call.request.path_params["name"])
        if not name or not is_utf8(name):
            raise Refusal(400, f"invalid label name: {go_quoted(name)}")
        limit, (start_ms, end_ms) = form.limit(), _times(form)
        found = {
            value
            for matchers in form.selectors() or [()]
            for value in self.catalog.label_values(
                call.tenant, name, matchers, start_ms=start_ms, end_ms=end_ms
            )
        }
        shown, warnings = limited(sorted(found - {""}), limit)
        return success(shown, warnings=warnings)

    async def metadata(self, call: Call) -> Response:
        """Tell type, help and unit of metric families.

        A family has one entry here, so that `limit_per_metric` leaves nothing out.
        """
        form = await Form.of(call)
        limit, _ = form.count("limit"), form.count("limit_per_metric")
        wanted, known = form.get("metric"), self.catalog.metadata(call.tenant)
        names = sorted(name for name in known if wanted in ("", name))
        shown = names if limit is None or limit < 0 else names[:limit]
        return success({name: [metadata_json(known[name])] for name in shown})


def metadata_json(found: Metadata) -> dict[str, str]:
    """Return type, help and unit of a family."""
    return {"type": found.type, "help": found.help, "unit": found.unit}


def _times(form: Form) -> tuple[int, int]:
    start_ms = form.time_ms_or("start", BEGINNING_MS)
    return start_ms, form.time_ms_or("end", END_MS)
