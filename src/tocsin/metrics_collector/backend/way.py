"""How requests of one tenant reach its backend; the same for questions and for writing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from tocsin.metrics_collector.backend.answer import LARGEST_ANSWER
from tocsin.metrics_collector.backend.config import BackendConfig, http_client
from tocsin.metrics_collector.backend.encode import HEADERS
from tocsin.metrics_collector.backend.ports import Exchange, Outgoing
from tocsin.metrics_collector.backend.tenants import Place, place_of
from tocsin.metrics_collector.http_config import authorization_of, fetch_options
from tocsin.metrics_collector.ports import FetchOptions, Page
from tocsin.model.tenant import TenantId
from tocsin.model.version import VERSION

Params = tuple[tuple[str, str], ...]

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_LARGEST_REPLY = 64 << 10  # bytes; to a write, which has a few words to say at most


@dataclass(frozen=True, slots=True, repr=False)
class Way:
    """An address, who we are there, and the HTTP that leads to it. Holds secrets: has no repr.

    `timeout_s` is that of one question, its second try included.
    """

    place: Place
    headers: Mapping[str, str]
    options: FetchOptions
    timeout_s: float
    http: Exchange

    @classmethod
    def of(cls, tenant: TenantId, config: BackendConfig, http: Exchange) -> Way:
        """Return the way a checked configuration describes."""
        client = http_client(config)
        credential = authorization_of(client)
        headers = {name: value.reveal() for name, value in config.headers.items()}
        headers["User-Agent"] = f"Tocsin/{VERSION}"
        if credential:
            headers["Authorization"] = credential.reveal()
        seconds = config.timeout.total_seconds()
        return cls(place_of(config, tenant), headers, fetch_options(client), seconds, http)

    async def ask(self, path: str, params: Params, *, timeout_s: float, named: bool = True) -> Page:
        """Return the answer to a POST of a form below the API. Raises as `Exchange` does.

        Only the isolation probe asks without naming the tenant.
        """
        tenant = self.place.tenant_headers if named else {}
        body = urlencode(params).encode()
        call = Outgoing("POST", self.place.api + path, {**self.headers, **tenant, **_FORM}, body)
        return await self._go(call, timeout_s=timeout_s, limit=LARGEST_ANSWER)

    async def get(self, path: str, params: Params, *, timeout_s: float) -> Page:
        """Return the answer to a GET below the API. Raises as `Exchange` does."""
        headers = {**self.headers, **self.place.tenant_headers, "Accept": _FORM["Accept"]}
        query = "?" + urlencode(params) if params else ""
        call = Outgoing("GET", self.place.api + path + query, headers)
        return await self._go(call, timeout_s=timeout_s, limit=LARGEST_ANSWER)

    async def write(self, request: bytes, *, timeout_s: float) -> Page:
        """Return the answer to a remote write request. Raises as `Exchange` does."""
        headers = {**self.headers, **self.place.tenant_headers, **HEADERS}
        call = Outgoing("POST", self.place.write, headers, request)
        return await self._go(call, timeout_s=timeout_s, limit=_LARGEST_REPLY)

    async def _go(self, call: Outgoing, *, timeout_s: float, limit: int) -> Page:
        return await self.http.exchange(
            call, timeout_s=timeout_s, limit=limit, options=self.options
        )
