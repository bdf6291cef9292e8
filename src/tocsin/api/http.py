"""The one way in: every request passes the Door before any dialect sees it.

In order: the path is checked and normalised, the tenant prefix `/t/<tenant>` is taken off, the
route is found, the caller is identified, the tenant is settled, the permission is checked.
A route without a permission cannot be written down. Denials are audited; an unknown tenant
and a forbidden one get the same answer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from tocsin.api.instruments import AccessInstruments, Decision, Login
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput, LimitExceeded, NotDurable, Unreachable
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.security.audit import AuditEvent, AuditOutcome, Trail
from tocsin.security.permissions import Permission, Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Principal, TokenTable
from tocsin.telemetry.logs import get_logger

BODY_LIMIT = 32 << 20  # bytes; contracts/security: the largest request body
SESSION_COOKIE = "tocsin_session"
NOBODY = Principal("", Role.NOBODY, None)
"""Whoever has proven nothing; public routes ask for no more."""

T = TypeVar("T")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_log = get_logger("api")


@dataclass(frozen=True, slots=True)
class Call:
    """One request whose caller is known and may do what the route asks."""

    request: Request
    principal: Principal
    scoped_to: TenantId | None

    @property
    def tenant(self) -> TenantId:
        """Return the tenant the caller speaks for. Raises Refusal(403) when there is none."""
        if self.scoped_to is None:
            raise Refusal(403, "this credential belongs to no tenant")
        return self.scoped_to

    @property
    def root(self) -> str:
        """Return the route prefix as it stands in a URL, "" when there is none."""
        return quote(self.request.state.root)

    async def body(self, *, most: int = BODY_LIMIT) -> bytes:
        """Return the request body. Raises Refusal(413) when it has more than `most` bytes."""
        parts, size = [], 0
        async for chunk in self.request.stream():
            size += len(chunk)
            if size > most:
                raise Refusal(413, f"request body is larger than {most} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def while_there(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` gives; it is cancelled when the caller goes away meanwhile.

        For work worth ending, after the body has been read. Raises ClientDisconnect.
        """
        working, going = asyncio.create_task(work), asyncio.create_task(self._gone())
        try:
            await asyncio.wait((working, going), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientDisconnect
        finally:
            working.cancel()
            going.cancel()

    async def _gone(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route: its path (Starlette form), methods, what it asks of the caller, and who answers."""

    path: str
    methods: tuple[str, ...]
    permission: Permission
    handle: Handler


class Refusal(Exception):
    """Ends a request with a status and a message fit for the caller.

    `code` is for dialects whose errors carry a number beside the status; 0 means none.
    """

    def __init__(
        self, status: int, message: str, *, headers: Mapping[str, str] | None = None, code: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = dict(headers or {})


class OtherTenant(Refusal):
    """Ends a request for a tenant that the credential does not cover."""

    def __init__(self) -> None:
        super().__init__(403, "this credential does not cover the tenant asked for")


Fault = Callable[[Request, Refusal], Response]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol under one prefix, with its own shape of errors."""

    prefix: str
    endpoints: tuple[Endpoint, ...]
    fault: Fault


_Exact = dict[tuple[str, str], Endpoint]  # by method and path


@dataclass(frozen=True, slots=True)
class _Routes:
    """The routes of a dialect; those whose path is one text are found at once."""

    dialect: Dialect
    compiled: list[tuple[Endpoint, Route]]
    exact: _Exact


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in; replaced as a whole by a reload.

    `open_to_all` stands for `server.auth: none`. `tenants` are those configured.
    """

    tokens: TokenTable
    tenants: frozenset[TenantId]
    open_to_all: bool = False


@dataclass(slots=True)
class Door:
    """The ASGI application. `ready` is false while tenants are recovered and while draining."""

    dialects: tuple[Dialect, ...]
    access: Access
    sessions: Sessions
    trail: Trail
    clock: Clock
    ready: Callable[[], bool]
    prefix: str = ""
    instruments: AccessInstruments = field(default_factory=AccessInstruments)
    _routes: list[_Routes] = field(init=False)

    def __post_init__(self) -> None:
        """Compile routes; the longest prefix is tried first."""
        by_prefix = sorted(self.dialects, key=lambda d: len(d.prefix), reverse=True)
        self._routes = [_routes_of(dialect) for dialect in by_prefix]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        _allow_origin(request, response)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        dialect: Dialect | None = None
        try:
            path, named = _split_tenant(_normal_path(request, self.prefix))
            request.state.root = self.prefix
            request.state.mount = self.prefix if named is None else f"{self.prefix}/t/{named}"
            request.state.named = self._known(named)
            routes = self._dialect(path)
            dialect = routes.dialect
            endpoint = _match(routes, request, path)
            if endpoint is None:
                return Response(status_code=200, headers=_preflight(request))
            call = self._admit(request, endpoint, named)
            if endpoint.permission is Permission.OPERATE:
                now, allowed = self.clock.now(), AuditOutcome.ALLOWED
                self.trail(audited(request, call.principal, at=now, outcome=allowed))
                self.instruments.privileged(
                    call.principal.tenant, f"{request.method} {endpoint.path}"
                )
            return await endpoint.handle(call)
        except Refusal as refusal:
            return (dialect.fault if dialect else _plain)(request, refusal)
        except (InvalidInput, LimitExceeded, NotDurable, Unreachable) as error:
            return (dialect.fault if dialect else _plain)(request, _refusal_of(error))
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: one bad request must not end the server
            _log.bug("request failed", error, method=request.method, path=request.url.path)
            return (dialect.fault if dialect else _plain)(request, Refusal(500, "internal error"))

    def _dialect(self, path: str) -> _Routes:
        for routes in self._routes:
            prefix = routes.dialect.prefix
            if path == prefix or path.startswith(prefix + "/"):
                return routes
        raise Refusal(404, "not found")

    def _admit(self, request: Request, endpoint: Endpoint, named: str | None) -> Call:
        if endpoint.permission is Permission.PUBLIC:
            return Call(request, NOBODY, None)
        if not self.ready():
            raise Refusal(503, "not ready: starting, or stopping", headers={"Retry-After": "1"})
        principal = NOBODY
        try:
            principal = self._identify(request)
            tenant = self._settle_tenant(request, principal, named)
            _require(principal, endpoint.permission)
        except Refusal as refusal:
            self._audit_denial(request, refusal, principal)
            self._count_denial(request, refusal, principal)
            raise
        self.instruments.decided(tenant, Decision.ALLOW)
        request.state.principal = principal
        return Call(request, principal, tenant)

    def _identify(self, request: Request) -> Principal:
        if self.access.open_to_all:
            return Principal("anonymous", Role.OWNER, None)
        token = presented_token(request.headers.get("authorization", ""))
        if token is not None:
            principal = self.access.tokens.authenticate(token)
        else:
            principal = self._of_session(request)
        if principal is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="tocsin", Basic realm="tocsin"'}
            raise Refusal(401, "a valid token is required", headers=challenge)
        return principal

    def _of_session(self, request: Request) -> Principal | None:
        """Return who the cookie stands for; outside the pages a cookie only reads."""
        cookie = request.cookies.get(SESSION_COOKIE, "")
        reads = request.method in ("GET", "HEAD")
        if not cookie or not (reads or request.url.path.startswith(f"{self.prefix}/ui")):
            return None
        proof = self.sessions.proof(cookie, now=self.clock.now())
        return self.access.tokens.principal(proof) if proof else None

    def _settle_tenant(
        self, request: Request, principal: Principal, named: str | None
    ) -> TenantId | None:
        """Return the tenant of the credential; what path and header say must agree with it."""
        wanted = {name for name in (named, _scope_header(request)) if name is not None}
        if principal.role is Role.OWNER:
            return self._owner_tenant(wanted)
        if any(name != principal.tenant for name in wanted):
            raise OtherTenant
        return principal.tenant

    def _owner_tenant(self, wanted: set[str]) -> TenantId | None:
        if len(wanted) > 1 or not wanted <= self.access.tenants:
            raise OtherTenant
        if wanted:
            return tenant_id(wanted.pop())
        return next(iter(self.access.tenants)) if len(self.access.tenants) == 1 else None

    def _audit_denial(self, request: Request, refusal: Refusal, principal: Principal) -> None:
        now, denied = self.clock.now(), AuditOutcome.DENIED
        self.trail(audited(request, principal, at=now, outcome=denied, reason=refusal.message))

    def _count_denial(self, request: Request, refusal: Refusal, principal: Principal) -> None:
        """Count a denial under the tenant of the credential, else under the one at the address."""
        tenant = principal.tenant or request.state.named
        self.instruments.decided(tenant, Decision.DENY)
        if isinstance(refusal, OtherTenant) and principal.tenant is not None:
            self.instruments.crossed(principal.tenant)
        if principal is NOBODY and "authorization" in request.headers:
            self.instruments.login(tenant, Login.FAILURE, address=source_of(request))

    def _known(self, named: str | None) -> TenantId | None:
        """Return the tenant a path names, None when there is none of the name."""
        return TenantId(named) if named in self.access.tenants else None


def audited(
    request: Request, principal: Principal, *, at: datetime, outcome: AuditOutcome, reason: str = ""
) -> AuditEvent:
    """Return what the audit trail keeps of a request."""
    return AuditEvent(
        at=at,
        tenant=principal.tenant or "",
        actor=principal.name,
        action=request.method,
        object=request.url.path,
        outcome=outcome,
        source=source_of(request),
        reason=reason,
    )


def source_of(request: Request) -> str:
    """Return the address a request came from, "" when it is not known."""
    return request.client.host if request.client else ""


def _require(principal: Principal, permission: Permission) -> None:
    if not principal.may(permission):
        raise Refusal(403, f"this credential may not {permission}")


def presented_token(authorization: str) -> str | None:
    """Return the token of an Authorization header: a bearer token or a basic password.

    None when there is no header; "" when it is there but holds none.
    """
    kind, _, rest = authorization.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return password or user
    return "" if authorization else None


def mount_of(request: Request) -> str:
    """Return what stands before the dialect's path in a URL: route prefix and tenant mount."""
    return quote(request.state.mount)


def json_content(request: Request) -> bool:
    """Tell whether the request says that its body is JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return kind == "application/json"


def accepts_json(request: Request) -> bool:
    """Tell whether the caller takes JSON (no Accept header takes everything)."""
    accept = request.headers.get("accept", "")
    offered = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    return not accept or bool(offered & {"*/*", "application/*", "application/json"})


def _routes_of(dialect: Dialect) -> _Routes:
    compiled = [
        (endpoint, Route(dialect.prefix + endpoint.path, _never, methods=list(endpoint.methods)))
        for endpoint in dialect.endpoints
    ]
    exact: _Exact = {}
    for endpoint, route in compiled:
        for method in route.methods or ():
            scope = {"type": "http", "method": method, "path": route.path, "root_path": ""}
            found = (e for e, other in compiled if other.matches(scope)[0] is Match.FULL)
            if "{" not in route.path and next(found) is endpoint:
                exact[method, route.path] = endpoint
    return _Routes(dialect, compiled, exact)


async def _never(request: Request) -> Response:
    raise NotImplementedError("endpoints are called by the Door, never by Starlette")


def _match(routes: _Routes, request: Request, path: str) -> Endpoint | None:
    """Return who answers `path`, None for a CORS preflight. Raises Refusal(404 or 405)."""
    exact = routes.exact.get((request.method, path))
    if exact is not None:
        request.scope["path_params"] = {}
        return exact
    scope = {**request.scope, "path": path, "root_path": ""}
    allowed: list[str] = []
    for endpoint, route in routes.compiled:
        found, extra = route.matches(scope)
        if found is Match.FULL:
            request.scope["path_params"] = extra["path_params"]
            return endpoint
        if found is Match.PARTIAL:
            allowed += endpoint.methods
    if not allowed:
        raise Refusal(404, f"path {path} was not found")
    if request.method == "OPTIONS":
        return None
    listed = ",".join(allowed)
    message = f"method {request.method} is not allowed, but [{listed}] are"
    raise Refusal(405, message, headers={"Allow": listed})


def _normal_path(request: Request, prefix: str) -> str:
    """Return the path below `prefix`, decoded exactly once by the server.

    What could be read in two ways is refused rather than cleaned.
    """
    path = request.scope["path"]
    if _CONTROL.search(path) or "//" in path or {"..", "."} & set(path.split("/")):
        raise Refusal(400, "this path is not in normal form")
    if "%" in path:
        raise Refusal(400, "this path is encoded twice")
    if prefix and path != prefix and not path.startswith(prefix + "/"):
        raise Refusal(404, "not found")
    return path[len(prefix) :] or "/"


def _split_tenant(path: str) -> tuple[str, str | None]:
    """Return (path below the tenant, tenant named by `/t/<tenant>` or None)."""
    if not path.startswith("/t/"):
        return path, None
    name, slash, rest = path[3:].partition("/")
    return slash + rest or "/", name


def _scope_header(request: Request) -> str | None:
    values = request.headers.getlist("x-scope-orgid")
    if not values:
        return None
    if len(values) > 1 or not values[0] or "|" in values[0]:
        raise Refusal(400, "X-Scope-OrgID must name exactly one tenant")
    return values[0]


def _refusal_of(error: Exception) -> Refusal:
    if isinstance(error, LimitExceeded):
        after = {"Retry-After": str(max(1, round(error.retry_after_s or 1)))}
        return Refusal(429, str(error), headers=after)
    if isinstance(error, NotDurable):
        return Refusal(503, str(error), headers={"Retry-After": "1"})
    return Refusal(503 if isinstance(error, Unreachable) else 400, str(error))


def _plain(request: Request, refusal: Refusal) -> Response:
    return PlainTextResponse(refusal.message + "\n", refusal.status, refusal.headers)


def _preflight(request: Request) -> dict[str, str]:
    asked = request.headers.get("access-control-request-method", "")
    headers = "Accept, Authorization, Content-Type, Origin"
    return {"Access-Control-Allow-Methods": asked, "Access-Control-Allow-Headers": headers}


def _allow_origin(request: Request, response: Response) -> None:
    """Let pages of other origins read: they cannot send our cookie, only a token they hold."""
    if "origin" in request.headers:
        response.headers.setdefault("Access-Control-Allow-Origin", "*")
