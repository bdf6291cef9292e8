"""What every Prometheus-family server answers about itself: health, readiness, metrics, reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from tocsin.api.http import Call, Dialect, Endpoint, Refusal, mount_of
from tocsin.model.errors import TocsinError
from tocsin.security.permissions import Permission
from tocsin.telemetry.metrics import Registry

Reload = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Service:
    """The server's own face; `ready` and `reload` are given by whoever runs the server."""

    registry: Registry
    ready: Callable[[], bool]
    reload: Reload

    def dialect(self) -> Dialect:
        """Return the routes at the root of the listener."""
        return Dialect(
            "",
            (
                *self.lifecycle(),
                Endpoint("/metrics", ("GET",), Permission.METRICS, self.metrics),
                Endpoint("/", ("GET",), Permission.PUBLIC, self.root),
                Endpoint("/graph", ("GET",), Permission.PUBLIC, self.graph),
                Endpoint("/runbooks/{alert}", ("GET",), Permission.PUBLIC, self.runbook),
            ),
            fault,
        )

    def lifecycle(self) -> tuple[Endpoint, ...]:
        """Return the routes that tell and change the server's state, for any dialect."""
        return (
            Endpoint("/-/healthy", ("GET", "HEAD"), Permission.PUBLIC, self.healthy),
            Endpoint("/-/ready", ("GET", "HEAD"), Permission.PUBLIC, self.is_ready),
            Endpoint("/-/reload", ("POST", "PUT"), Permission.OPERATE, self.do_reload),
        )

    async def healthy(self, call: Call) -> Response:
        """Answer 200 while the process lives."""
        return PlainTextResponse("OK")

    async def is_ready(self, call: Call) -> Response:
        """Answer 200 once recovery is done and until the stop begins, else 503."""
        if self.ready():
            return PlainTextResponse("OK")
        raise Refusal(503, "not ready: starting, or stopping")

    async def do_reload(self, call: Call) -> Response:
        """Load the configuration anew; 500 with every problem while the old one stays active."""
        try:
            await self.reload()
        except (TocsinError, OSError) as error:
            raise Refusal(500, f"failed to reload config: {error}") from error
        return Response(status_code=200)

    async def metrics(self, call: Call) -> Response:
        """Answer with our own metrics in the format the caller prefers.

        A tenant sees its own and those of the process; who runs the service sees all.
        """
        everything = call.scoped_to is None and call.principal.may(Permission.OPERATE)
        tenant = None if everything else call.tenant
        accept = call.request.headers.get("accept", "")
        body, kind = self.registry.render(accept, tenant=tenant)
        return Response(body, headers={"Content-Type": kind})

    async def root(self, call: Call) -> Response:
        """Lead people to the pages."""
        return RedirectResponse(f"{mount_of(call.request)}/ui", status_code=302)

    async def graph(self, call: Call) -> Response:
        """Lead a `generatorURL` in Prometheus' form (`g0.expr`) to the page that evaluates it."""
        expr = urlencode({"expr": call.request.query_params.get("g0.expr", "")})
        return RedirectResponse(f"{mount_of(call.request)}/ui/graph?{expr}", status_code=302)

    async def runbook(self, call: Call) -> Response:
        """Lead the `runbook_url` of an alert to the page that shows the runbook."""
        alert = quote(str(call.request.path_params["alert"]))
        return RedirectResponse(f"{mount_of(call.request)}/ui/runbooks/{alert}", status_code=302)


def fault(request: Request, refusal: Refusal) -> Response:
    """Answer an error as plain text, in the words Go's HTTP library uses for a missing page."""
    known = {404: "404 page not found", 405: "Method Not Allowed"}
    text = known.get(refusal.status, refusal.message)
    return PlainTextResponse(text + "\n", refusal.status, refusal.headers)
