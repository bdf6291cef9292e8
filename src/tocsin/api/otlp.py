"""OTLP metrics over HTTP: `POST /v1/metrics`, and the same under the paths of Prometheus.

An answer has the form of its request, protobuf or JSON. 200: taken, and `partial_success`
tells of points that were not and must not come again. 429 and 503: send it again later. Any
other error: sending it again cannot help; its body is a `google.rpc.Status`. Source:
OpenTelemetry protocol specification, "OTLP/HTTP".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tocsin.api.http import Call, Dialect, Endpoint, Refusal
from tocsin.metrics_collector.otlp.body import Encoding, TooLarge
from tocsin.metrics_collector.otlp.encode import chunk, figure
from tocsin.metrics_collector.otlp.receiver import Exported, OtlpReceiver, Sent
from tocsin.model.codec import encode
from tocsin.security.permissions import Permission

PATHS = ("/v1/metrics", "/api/v1/otlp/v1/metrics", "/prometheus/api/v1/otlp/v1/metrics")
_MEDIA = {
    "application/x-protobuf": Encoding.PROTOBUF,
    "application/json": Encoding.JSON,
}
_TYPES = {encoding: media for media, encoding in _MEDIA.items()}
_RETRY = {"Retry-After": "30"}  # seconds: room comes when old series go
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
_INTERNAL = 13  # codes of google.rpc.Code
_LONGEST = 1_000  # characters of a message
_WORDS = {
    "duplicate": "another value at a time that has one",
    "out_of_order": "more than 5m older than the newest sample of the series",
    "out_of_bounds": "more than 10m ahead of the clock",
    "active_series_limit": "per-tenant limit of active series reached",
    "labels_per_series_limit": "too many labels in a series",
    "label_name_limit": "a label name is too long",
    "label_value_limit": "a label value is too long",
    "delta_out_of_order": "a delta is older than one that was added already",
    "delta_series_limit": "per-tenant limit of series with delta temporality reached",
}


@dataclass(frozen=True, slots=True)
class OtlpApi:
    """The routes that take metrics of OpenTelemetry in."""

    receiver: OtlpReceiver

    def dialects(self) -> tuple[Dialect, ...]:
        """Return the routes, each a dialect of its own: its errors have OTLP's form."""
        endpoint = Endpoint("", ("POST",), Permission.WRITE_METRICS, self.export)
        return tuple(Dialect(path, (endpoint,), fault) for path in PATHS)

    async def export(self, call: Call) -> Response:
        """Store the points of a request."""
        encoding, gzip = form_of(call.request)
        sent = Sent(await call.body(), encoding, gzip)
        try:
            exported = await self.receiver.receive(call.tenant, sent)
        except TooLarge as error:
            raise Refusal(413, str(error)) from error
        if exported.later:
            raise Refusal(429, told_of(exported), headers=_RETRY)
        return Response(_success(exported, encoding), media_type=_TYPES[encoding])


def form_of(request: Request) -> tuple[Encoding, bool]:
    """Return how a request is written, and whether it is gzip. Raises Refusal(415)."""
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("gzip", "identity", ""):
        raise Refusal(415, f"{packing[:80]} encoding (compression) is not accepted, but gzip is")
    written = request.headers.get("content-type", "")
    encoding = _encoding(written)
    if encoding is None:
        known = " and ".join(_MEDIA)
        raise Refusal(415, f"content type {written[:200]!r} is not accepted, but {known} are")
    return encoding, packing == "gzip"


def told_of(exported: Exported) -> str:
    """Say what was not stored, and why."""
    parts = [
        f"{exported.faults.get(why) or _WORDS.get(why, why)} ({count})"
        for why, count in sorted(exported.rejected.items())
    ]
    return f"data points not stored: {'; '.join(parts)}"[:_LONGEST] if parts else ""


def fault(request: Request, refusal: Refusal) -> Response:
    """Answer an error as a `google.rpc.Status`."""
    encoding = _encoding(request.headers.get("content-type", "")) or Encoding.JSON
    code = _CODES.get(refusal.status, _INTERNAL)
    if encoding is Encoding.JSON:
        body = encode({"code": code, "message": refusal.message})
    else:
        body = figure(1, code) + chunk(2, refusal.message.encode())
    return _response(body, encoding, refusal.status, refusal.headers)


def _response(body: bytes, encoding: Encoding, status: int, headers: Mapping[str, str]) -> Response:
    return Response(body, status, dict(headers), _TYPES[encoding])


def _encoding(content_type: str) -> Encoding | None:
    return _MEDIA.get(content_type.partition(";")[0].strip().lower())


def _success(exported: Exported, encoding: Encoding) -> bytes:
    """ExportMetricsServiceResponse: partial_success = 1 {rejected_data_points 1, message 2}."""
    count, message = sum(exported.rejected.values()), told_of(exported)
    if encoding is Encoding.JSON:
        partial = {"rejectedDataPoints": str(count), "errorMessage": message}
        return encode({"partialSuccess": partial} if count else {})
    return chunk(1, figure(1, count) + chunk(2, message.encode())) if count else b""
