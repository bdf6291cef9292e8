"""Remote read: `POST /prometheus/api/v1/read`, samples in a snappy block of protobuf.

A Prometheus that lists us under `remote_read` asks for what its own store does not have.
Source: Prometheus "Remote read" and `storage/remote/read_handler.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.api.prometheus_answer import endpoint
from tocsin.api.queries import AdHocQueries, SamplesLater
from tocsin.api.remote_read import ReadQuery, read_request, read_response
from tocsin.metrics_collector.remote_write import decompressed
from tocsin.model.errors import InvalidInput
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.security.permissions import Permission

_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


@dataclass(frozen=True, slots=True)
class RemoteReadApi:
    """The route that gives samples out."""

    samples: SamplesLater
    queries: AdHocQueries

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the route."""
        return (endpoint("/read", ("POST",), Permission.QUERY, self.read),)

    async def read(self, call: Call) -> Response:
        """Answer with the samples of each query, at most as many as one query may read."""
        try:
            asked = read_request(decompressed(await call.body()))
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error
        most = self.queries.options(call.tenant).max_samples
        reading = [self._reading(call.tenant, query) for query in asked]
        encoded = await self.queries.run(call.tenant, partial(_encoded, reading, most))
        return Response(encoded, headers=_HEADERS)

    def _reading(self, tenant: TenantId, query: ReadQuery) -> Callable[[], list[Series]]:
        return self.samples.select(
            tenant, query.matchers, start_ms=query.start_ms, end_ms=query.end_ms
        )


def _encoded(reading: Sequence[Callable[[], list[Series]]], most: int) -> bytes:
    left, results = most, []
    for read in reading:
        found = read()
        left -= sum(series.times.size for series in found)
        if left < 0:
            raise Refusal(400, f"exceeded sample limit ({most})")
        results.append(found)
    return read_response(results)
