"""Queries of people whose tenant has a backend: let in by us, answered there, passed back.

Only what reads metrics is passed on, with parameters that Prometheus knows: a backend may know
others, and one of them may name a tenant. An answer comes back as it is when it is Prometheus'
JSON; anything else, a refusal of our own credentials above all, ends as 502.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from starlette.responses import Response

from tocsin.api.http import Call, Dialect, Endpoint, Refusal
from tocsin.api.prometheus_form import Form
from tocsin.metrics_collector.backend.answer import quoted
from tocsin.metrics_collector.backend.backends import Backends
from tocsin.metrics_collector.backend.upstream import Upstream
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import LimitExceeded, Unreachable

_ROOT = "/api/v1"
_SELECTED = ("match[]", "start", "end", "limit")
_EVALUATED = ("query", "timeout", "limit", "lookback_delta", "stats")
PASSED_ON = {
    "/query": (*_EVALUATED, "time"),
    "/query_range": (*_EVALUATED, "start", "end", "step"),
    "/query_exemplars": ("query", "start", "end"),
    "/series": _SELECTED,
    "/labels": _SELECTED,
    "/label/{name}/values": _SELECTED,
    "/metadata": ("metric", "limit", "limit_per_metric"),
}
"""Paths below `/api/v1`, and their parameters."""

_GET_ONLY = ("/label/{name}/values", "/metadata")
_OUR_FAULT = (401, 403, 407)  # of the credentials in the configuration


def proxied(dialect: Dialect, backends: Backends) -> Dialect:
    """Return `dialect` with what reads metrics passed on for tenants that have a backend."""
    return replace(dialect, endpoints=tuple(_proxied(e, backends) for e in dialect.endpoints))


def _proxied(endpoint: Endpoint, backends: Backends) -> Endpoint:
    path = endpoint.path.removeprefix(_ROOT)
    if path == endpoint.path or path not in PASSED_ON:
        return endpoint

    async def handle(call: Call) -> Response:
        upstream = backends.upstream(call.tenant)
        if upstream is None:
            return await endpoint.handle(call)
        return await _passed_on(call, path, upstream)

    return replace(endpoint, handle=handle)


async def _passed_on(call: Call, path: str, upstream: Upstream) -> Response:
    form = await Form.of(call)
    params = tuple(pair for pair in form.pairs if pair[0] in PASSED_ON[path])
    name = quote(str(call.request.path_params.get("name", "")), safe="")
    method = "GET" if path in _GET_ONLY else "POST"
    shown = upstream.way.place.shown
    try:
        page = await upstream.pass_on(path.replace("{name}", name), params, method=method)
    except Unreachable as error:
        raise Refusal(503, f"{shown}: {error}") from error
    except LimitExceeded as error:
        raise Refusal(422, f"{shown}: {error}") from error
    return _passed_back(page, shown)


def _passed_back(page: Page, shown: str) -> Response:
    kind = page.headers.get("content-type", "")
    is_json = kind.split(";")[0].strip().lower() == "application/json"
    if not is_json or page.status in _OUR_FAULT or 300 <= page.status < 400:
        raise Refusal(502, f"{shown}: HTTP {page.status}: {quoted(page)}")
    after = page.headers.get("retry-after")
    headers = {"Retry-After": after} if after else None
    return Response(page.body, page.status, headers, media_type="application/json")
