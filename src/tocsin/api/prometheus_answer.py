"""The envelope of Prometheus' HTTP API: what is answered, and what went wrong, in its words.

`errorType` and status belong together: bad_data 400, execution 422, timeout 503, canceled 499,
not_found 404, internal 500; `unavailable` is 503 while the server is not ready. Source:
Prometheus "HTTP API", `web/api/v1`.
"""

from __future__ import annotations

import gzip
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Handler, Refusal
from tocsin.model.codec import encode
from tocsin.model.errors import LimitExceeded
from tocsin.promql.errors import ExecutionError, QueryTimeout, TooManyQueries
from tocsin.security.permissions import Permission

JSON = "application/json"
TRUNCATED = "results truncated due to limit"
PACKED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
_MOST_NOTES = 10  # of each kind; Prometheus shows as many and counts the rest
_SMALL = 1024  # bytes; below, packing makes no answer shorter that matters
_LEVEL = 1  # of gzip: half the time of level 6 for a tenth more bytes
_HALVES = re.compile("[\ud800-\udfff]")  # how a byte that is no UTF-8 is held
_TYPES = {
    400: "bad_data",
    404: "not_found",
    422: "execution",
    429: "too_many_requests",
    499: "canceled",
    503: "unavailable",
}


class Failed(Refusal):
    """A refusal with an `errorType` of its own."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Name the type beside status and message."""
        super().__init__(status, message)
        self.kind = kind


def bad_parameter(name: str, reason: str) -> Refusal:
    """Return the refusal of a parameter, as Prometheus words it."""
    return Refusal(400, f'invalid parameter "{name}": {reason}')


def success(data: Any, *, warnings: tuple[str, ...] = (), infos: tuple[str, ...] = ()) -> Response:
    """Return the envelope around `data`."""
    return Response(envelope(data, warnings=warnings, infos=infos), media_type=JSON)


def envelope(data: Any, *, warnings: tuple[str, ...] = (), infos: tuple[str, ...] = ()) -> bytes:
    """Return the envelope around `data`, ten notes of each kind in it at most."""
    found: dict[str, Any] = {"status": "success", "data": data}
    if warnings:
        found["warnings"] = _shortened(warnings, "warning")
    if infos:
        found["infos"] = _shortened(infos, "info")
    return _encoded(found)


def fault(request: Request, refusal: Refusal) -> Response:
    """Return the envelope around an error."""
    if isinstance(refusal, Failed):
        kind = refusal.kind
    else:
        kind = _TYPES.get(refusal.status, "internal" if refusal.status >= 500 else "bad_data")
    body = {"status": "error", "errorType": kind, "error": refusal.message}
    return Response(_encoded(body), refusal.status, refusal.headers, media_type=JSON)


def endpoint(
    path: str, methods: tuple[str, ...], permission: Permission, handle: Handler
) -> Endpoint:
    """Return a route below `/api/v1` whose errors are Prometheus' and whose answers are packed."""

    async def translated(call: Call) -> Response:
        try:
            return packed(call, await handle(call))
        except QueryTimeout as error:
            raise Failed(503, "timeout", str(error)) from error
        except TooManyQueries as error:
            raise Refusal(429, str(error), headers={"Retry-After": "1"}) from error
        except (ExecutionError, LimitExceeded) as error:
            raise Refusal(422, str(error)) from error

    return Endpoint("/api/v1" + path, methods, permission, translated)


def packed(call: Call, response: Response) -> Response:
    """Return `response` as gzip where the caller takes it and it is worth it."""
    if "content-encoding" in response.headers or not takes_gzip(call):
        return response
    return _with_body(response, bytes(response.body))


def _with_body(response: Response, body: bytes) -> Response:
    smaller = pack(body)
    if smaller is not body:
        response.body = smaller
        response.headers["Content-Length"] = str(len(smaller))
        response.headers.update(PACKED)
    return response


def pack(body: bytes) -> bytes:
    """Return `body` as gzip; itself when it is small."""
    return body if len(body) < _SMALL else gzip.compress(body, _LEVEL, mtime=0)


def takes_gzip(call: Call) -> bool:
    """Tell whether the caller asked for gzip."""
    offered = call.request.headers.get("accept-encoding", "")
    for offer in offered.split(","):
        name, _, quality = offer.partition(";")
        if name.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _encoded(found: Any) -> bytes:
    """Return JSON; bytes of a query that are no UTF-8 become U+FFFD, as in Go."""
    try:
        return encode(found)
    except UnicodeEncodeError:
        return encode(_mended(found))


def _mended(found: Any) -> Any:
    match found:
        case str():
            return _HALVES.sub("\ufffd", found)
        case dict():
            return {_mended(key): _mended(value) for key, value in found.items()}
        case list() | tuple():
            return [_mended(each) for each in found]
    return found


def _shortened(notes: tuple[str, ...], kind: str) -> tuple[str, ...]:
    left = len(notes) - _MOST_NOTES
    if left <= 0:
        return notes
    return (*notes[:_MOST_NOTES], f"{left} more {kind} annotations omitted")
