"""Remote write over HTTP: `POST /prometheus/api/v1/write`, versions 1.0 and 2.0.

The header Content-Type says which message comes; the answer says how much of it was stored.
2xx: all of it. 4xx: some or none, and sending it again cannot help, but for 429. 5xx: send it
again. Source: Prometheus "Remote-Write 1.0" and "Remote-Write 2.0" specifications.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.metrics_collector.receiver import Receiver, Written
from tocsin.metrics_collector.remote_write import Version
from tocsin.model.errors import InvalidInput
from tocsin.security.permissions import Permission

_MEDIA = "application/x-protobuf"
_MESSAGES = {
    "": Version.V1,
    "prometheus.WriteRequest": Version.V1,
    "io.prometheus.write.v2.Request": Version.V2,
}
_COUNTS = "X-Prometheus-Remote-Write-{}-Written"
_RETRY = {"Retry-After": "30"}  # seconds: room comes when old series go
_WORDS = {
    "duplicate": "duplicate sample for timestamp",
    "out_of_order": "out of bounds: more than 5m older than the newest sample of the series",
    "out_of_bounds": "out of bounds: too far in the future",
    "active_series_limit": "per-tenant limit of active series reached",
    "labels_per_series_limit": "too many labels in a series",
    "label_name_limit": "a label name is too long",
    "label_value_limit": "a label value is too long",
    "invalid_labels": "invalid labels",
}
_ROOM_LATER = "active_series_limit"


@dataclass(frozen=True, slots=True)
class RemoteWriteApi:
    """The route that takes samples in."""

    receiver: Receiver

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes, to stand below `/prometheus`."""
        return (Endpoint("/api/v1/write", ("POST",), Permission.WRITE_METRICS, self.write),)

    async def write(self, call: Call) -> Response:
        """Store the samples of a request."""
        version = message_of(call.request)
        body = await call.body()
        try:
            written = await self.receiver.receive(call.tenant, body, version)
        except InvalidInput as error:
            return _answer(400, str(error), Written(0), version)
        if written.complete:
            return _answer(204, "", written, version)
        status = 429 if _ROOM_LATER in written.refused else 400
        return _answer(status, _complaint(written), written, version)


def message_of(request: Request) -> Version:
    """Return which message a request says it holds. Raises Refusal(415)."""
    encoding = request.headers.get("content-encoding", "snappy").strip().lower()
    if encoding != "snappy":
        raise Refusal(415, f"{encoding[:80]} encoding (compression) is not accepted, but snappy is")
    written = request.headers.get("content-type") or _MEDIA
    media, *parameters = [part.strip() for part in written.split(";")]
    named = dict(parameter.partition("=")[::2] for parameter in parameters)
    version = _MESSAGES.get(named.get("proto", "").strip('"'))
    if media.lower() != _MEDIA or version is None:
        raise Refusal(415, f"content type {written[:200]!r} is not accepted, but {_MEDIA} is")
    return version


def _answer(status: int, text: str, written: Written, version: Version) -> Response:
    headers = {}
    if version is Version.V2:
        kept = {"Samples": written.samples, "Histograms": 0, "Exemplars": 0}
        headers = {_COUNTS.format(kind): str(count) for kind, count in kept.items()}
    if status == 429:
        headers |= _RETRY
    if not text:
        return Response(status_code=status, headers=headers)
    return PlainTextResponse(text + "\n", status, headers)


def _complaint(written: Written) -> str:
    """Say what was not stored, and why."""
    parts = [f"{_WORDS.get(why, why)} ({count})" for why, count in sorted(written.refused.items())]
    if written.fault:
        parts.append(f"the first of the invalid labels: {written.fault}")
    if written.histograms:
        what = f"native histograms are not stored ({written.histograms})"
        parts.append(f"{what}: set send_native_histograms to false")
    return f"{written.samples} samples stored; not stored: {'; '.join(parts)}"
