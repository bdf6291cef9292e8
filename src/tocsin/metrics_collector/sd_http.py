"""`http_sd_configs`: targets listed by a server, asked again and again.

An answer other than 200, of another type than JSON, or that is no list of target groups leaves
the last good targets in force. Source: Prometheus documentation, "HTTP SD".
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from tocsin.metrics_collector.discovery import MAX_LIST_BYTES, Discoverer, Groups, groups_from_json
from tocsin.metrics_collector.discovery_config import HttpSdConfig
from tocsin.metrics_collector.http_config import (
    authorization_of,
    fetch_options,
    headers_of,
    with_headers,
)
from tocsin.metrics_collector.ports import Fetch, Page
from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.version import VERSION

_JSON = re.compile(r'application/json(?:;\s*charset="?utf-8"?)?', re.IGNORECASE)


class HttpDiscovery(Discoverer):
    """The server of one `http_sd_config`; each group bears its URL as `__meta_url`."""

    mechanism = "http"

    def __init__(self, job: str, config: HttpSdConfig, fetch: Fetch) -> None:
        """Begin with no targets, for the scrape job of this name."""
        self._place = without_credentials(config.url)
        self.name = f"http/{job}/{self._place}"
        self.interval = config.refresh_interval
        self.errors = {}
        self._config = config
        self._fetch = fetch

    async def look(self, now: datetime) -> None:
        """Ask the server once."""
        config = self._config
        try:
            page = await self._fetch.get(
                config.url,
                headers=self._headers(),
                timeout_s=config.refresh_interval.total_seconds(),
                limit=MAX_LIST_BYTES,
                options=fetch_options(config),
            )
            self.groups = groups_of(page, self._place)
        except TocsinError as error:
            self.errors = {self._place: str(error)}
        else:
            self.errors = {}

    def _headers(self) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "User-Agent": f"Tocsin/{VERSION}",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self.interval.total_seconds():g}",
        }
        credential = authorization_of(self._config)
        if credential is not None:
            headers["Authorization"] = credential.reveal()
        return with_headers(headers, headers_of(self._config))


def without_credentials(url: str) -> str:
    """Return a URL without user and password, fit for labels and logs.

    >>> without_credentials("http://me:secret@cmdb/x")
    'http://cmdb/x'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def groups_of(page: Page, url: str) -> Groups:
    """Return the groups of an answer. Raises InvalidInput."""
    if page.status != 200:
        raise InvalidInput(f"server returned HTTP status {page.status}")
    kind = page.headers.get("content-type", "")
    if not _JSON.fullmatch(kind.strip()):
        raise InvalidInput(f'unsupported content type "{kind}"')
    return groups_from_json(page.body, {"__meta_url": url})
