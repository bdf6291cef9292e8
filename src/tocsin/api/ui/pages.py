"""The pages: sign in with a token, and see the alerts of one tenant.

Everything is readable without a script; nothing from outside is loaded (strict CSP). Alert
data is escaped by the templates, and a link is only made of an http or https address.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, assert_never
from urllib.parse import parse_qs, urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.matcher_syntax import parse_matchers
from tocsin.alert_manager.views import AlertFilter, AlertView
from tocsin.api.http import (
    NOBODY,
    SESSION_COOKIE,
    Access,
    Call,
    Dialect,
    Endpoint,
    Refusal,
    audited,
    mount_of,
    source_of,
)
from tocsin.api.instruments import AccessInstruments, Login
from tocsin.api.queries import AdHocQueries, Instant, Ran
from tocsin.api.ui.runbooks import runbook_page
from tocsin.model.alert import AlertState
from tocsin.model.clock import Clock
from tocsin.model.duration import format_duration
from tocsin.model.errors import InvalidInput, LimitExceeded, Unreachable
from tocsin.model.matchers import Matchers
from tocsin.model.severity import Severity, severity_of
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.promql.errors import ExecutionError
from tocsin.promql.format import format_value
from tocsin.promql.result import Answer, Matrix, Scalar, String, Vector
from tocsin.security.audit import AuditOutcome, Trail
from tocsin.security.permissions import Permission
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import digest

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
FORM_LIMIT = 4096  # bytes; a form of ours holds one token
LONGEST_QUERY = timedelta(seconds=30)  # nobody waits longer for a page
MOST_ROWS = 500  # a page is read by a person; the API has the rest
_TYPES = {"css": "text/css", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the page shows it."""

    name: str
    severity: Severity
    state: AlertState
    summary: str
    since: str
    labels: tuple[tuple[str, str], ...]
    why: str
    source: str


@dataclass(frozen=True, slots=True)
class Pages:
    """The routes below `/ui`; `access` is asked at each sign-in, since a reload replaces it."""

    alerts: Alerts
    sessions: Sessions
    access: Callable[[], Access]
    queries: AdHocQueries
    trail: Trail
    clock: Clock
    secure_cookies: bool = False
    instruments: AccessInstruments = field(default_factory=AccessInstruments)

    def dialect(self) -> Dialect:
        """Return the routes."""
        return Dialect(
            "/ui",
            (
                Endpoint("", ("GET",), Permission.READ, self.show_alerts),
                Endpoint("/alerts", ("GET",), Permission.READ, self.show_alerts),
                Endpoint("/graph", ("GET",), Permission.QUERY, self.show_query),
                Endpoint("/runbooks/{alert}", ("GET",), Permission.PUBLIC, self.show_runbook),
                Endpoint("/login", ("GET",), Permission.PUBLIC, self.show_login),
                Endpoint("/login", ("POST",), Permission.PUBLIC, self.login),
                Endpoint("/logout", ("POST",), Permission.PUBLIC, self.logout),
                Endpoint("/static/{name}", ("GET",), Permission.PUBLIC, self.static),
            ),
            fault,
        )

    async def show_alerts(self, call: Call) -> Response:
        """Show a tenant's alerts, worst first; `filter` takes matchers."""
        if call.scoped_to is None:
            return self._choose_tenant(call)
        tenant, now = call.tenant, self.clock.now()
        text = call.request.query_params.get("filter", "")
        try:
            matchers, problem = self._matchers(tenant, text), ""
        except InvalidInput as error:
            matchers, problem = (), str(error)
        found = self.alerts.query_alerts(tenant, now, AlertFilter(matchers=matchers))
        rows = sorted((row(view, now) for view in found), key=_worst_first)
        return self._page(
            call.request,
            "alerts.html",
            tenant=tenant,
            rows=rows[:MOST_ROWS],
            total=len(rows),
            counts={s: sum(r.severity is s for r in rows) for s in Severity},
            suppressed=sum(r.state is AlertState.SUPPRESSED for r in rows),
            filter=text,
            problem=problem,
            now=now,
            principal=call.principal,
        )

    async def show_query(self, call: Call) -> Response:
        """Show what the expression `expr` gives now; alerts of rules lead here."""
        expr, now = call.request.query_params.get("expr", ""), self.clock.now()
        found, problem = await self._instant(call.tenant, expr, now) if expr else ([], "")
        return self._page(
            call.request,
            "graph.html",
            tenant=call.tenant,
            expr=expr,
            rows=found[:MOST_ROWS],
            total=len(found),
            problem=problem,
            now=now,
            principal=call.principal,
        )

    async def _instant(
        self, tenant: TenantId, expr: str, now: datetime
    ) -> tuple[list[tuple[str, str]], str]:
        """Return the series with their values, and what was wrong with the expression."""
        try:
            question = Instant(expr, to_ms(now), timeout=LONGEST_QUERY)
            return await self.queries.ask(tenant, question, _rows), ""
        except (InvalidInput, ExecutionError, LimitExceeded, Unreachable) as error:
            return [], str(error)

    async def show_runbook(self, call: Call) -> Response:
        """Show what to do about an alert of a rule pack; it says nothing of any tenant."""
        page = runbook_page(str(call.request.path_params["alert"]))
        if page is None:
            raise Refusal(404, "no rule pack has an alert of this name")
        return self._page(call.request, "runbook.html", page=page)

    async def show_login(self, call: Call) -> Response:
        """Ask for a token."""
        return self._page(call.request, "login.html", problem="")

    async def login(self, call: Call) -> Response:
        """Begin a session for the principal whose token was given."""
        _same_origin(call.request)
        form = parse_qs((await call.body(most=FORM_LIMIT)).decode(errors="replace"))
        proof = digest(form.get("token", [""])[0].strip())
        principal = self.access().tokens.principal(proof)
        if principal is None:
            now, failed = self.clock.now(), AuditOutcome.FAILED
            self.trail(
                audited(call.request, NOBODY, at=now, outcome=failed, reason="unknown token")
            )
            named = call.request.state.named
            self.instruments.login(named, Login.FAILURE, address=source_of(call.request))
            page = self._page(call.request, "login.html", problem="This token is not known.")
            page.status_code = 401
            return page
        self.instruments.login(principal.tenant, Login.SUCCESS)
        home = call.root if principal.tenant is None else f"{call.root}/t/{principal.tenant}"
        answer = RedirectResponse(f"{home}/ui", status_code=303)
        answer.set_cookie(
            SESSION_COOKIE,
            self.sessions.begin(proof, now=self.clock.now()),
            httponly=True,
            secure=self.secure_cookies,
            samesite="lax",
        )
        return answer

    async def logout(self, call: Call) -> Response:
        """End the session."""
        _same_origin(call.request)
        self.sessions.end(call.request.cookies.get(SESSION_COOKIE, ""))
        answer = RedirectResponse(f"{mount_of(call.request)}/ui/login", status_code=303)
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    async def static(self, call: Call) -> Response:
        """Return a file of ours."""
        name = str(call.request.path_params["name"])
        if name not in _STATIC:
            raise Refusal(404, "not found")
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(_STATIC[name], media_type=kind, headers={"Cache-Control": "max-age=300"})

    def _choose_tenant(self, call: Call) -> Response:
        tenants = sorted(self.access().tenants)
        return self._page(call.request, "tenants.html", tenants=tenants)

    def _matchers(self, tenant: TenantId, text: str) -> Matchers:
        return parse_matchers(text, self.alerts.matcher_mode(tenant)) if text.strip() else ()

    def _page(self, request: Request, template: str, **values: Any) -> Response:
        html = _TEMPLATES.get_template(template).render(base=mount_of(request), **values)
        return HTMLResponse(html, headers=HEADERS)


def row(view: AlertView, now: datetime) -> Row:
    """Return an alert as the page shows it."""
    labels, notes = view.alert.labels, view.alert.annotations
    url = view.alert.generator_url
    return Row(
        name=labels.value("alertname") or "(no name)",
        severity=severity_of(labels.value("severity")),
        state=view.state,
        summary=notes.value("summary") or notes.value("description"),
        since=format_duration(_whole_seconds(now, view.alert.starts_at)),
        labels=tuple(p for p in labels.pairs if p[0] not in ("alertname", "severity")),
        why=_why(view),
        source=url if urlsplit(url).scheme in ("http", "https") else "",
    )


def _rows(ran: Ran) -> list[tuple[str, str]]:
    """Return the rows of an answer; bytes of a query that are no UTF-8 show as `?`."""
    return [
        (name.encode(errors="replace").decode(), value.encode(errors="replace").decode())
        for name, value in values_of(ran.result.value)
    ]


def values_of(answer: Answer) -> list[tuple[str, str]]:
    """Return an answer as pairs of series and value, as the page lists them."""
    match answer:
        case Vector(labels=labels, values=values):
            pairs = zip(labels, values.tolist(), strict=True)
            return [(str(each), format_value(value)) for each, value in pairs]
        case Scalar(value=value):
            return [("scalar", format_value(value))]
        case String(value=text):
            return [("string", text)]
        case Matrix(series=series):
            return [(str(each.labels), f"{len(each.values)} samples") for each in series]
        case _:
            assert_never(answer)


def fault(request: Request, refusal: Refusal) -> Response:
    """Send who is not signed in to the sign-in page; show any other refusal in words."""
    if refusal.status == 401:
        return RedirectResponse(f"{mount_of(request)}/ui/login", status_code=303)
    values = {"status": refusal.status, "message": refusal.message}
    html = _TEMPLATES.get_template("fault.html").render(base=mount_of(request), **values)
    return HTMLResponse(html, refusal.status, {**HEADERS, **refusal.headers})


def _why(view: AlertView) -> str:
    """Say in words why an alert is not notified."""
    reasons = [
        (view.silenced_by, "silenced by"),
        (view.inhibited_by, "inhibited by"),
        (view.muted_by, "muted by"),
    ]
    return "; ".join(f"{words} {', '.join(ids)}" for ids, words in reasons if ids)


def _worst_first(shown: Row) -> tuple[bool, int, str]:
    quiet = shown.state is AlertState.SUPPRESSED
    return quiet, list(Severity).index(shown.severity), shown.name


def _whole_seconds(now: datetime, then: datetime) -> timedelta:
    return max(now.replace(microsecond=0) - then.replace(microsecond=0), timedelta(0))


def _same_origin(request: Request) -> None:
    """Refuse a form that another site sent (Fetch Metadata; Origin for older browsers)."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if (site is not None and site not in ("same-origin", "none")) or (site is None and foreign):
        raise Refusal(403, "this form was sent from another site")


def _files() -> dict[str, bytes]:
    """Return our static files; whatever else a path asks for never reaches the disk."""
    folder = importlib.resources.files("tocsin.api.ui") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


_STATIC = _files()
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("tocsin.api.ui"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
