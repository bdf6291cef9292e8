"""What the metric stage needs of the world: somewhere to put samples, and HTTP to scrape with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from tocsin.model.labels import Labels
from tocsin.model.sample import Metadata, Sample
from tocsin.model.secret import Secret
from tocsin.model.series import Appended, Columns, Layout, Resolved, Series, Values
from tocsin.model.tenant import TenantId


class SampleSink(Protocol):
    """Takes samples in; cheap, in memory, durable within a second."""

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value per series of `layout`, all at `ts_ms`; staleness markers end series.

        Raises NotDurable; nothing was stored then. So do the other methods.
        """
        ...

    def append_samples(self, tenant: TenantId, samples: Sequence[Sample]) -> Appended:
        """Store samples that bring their own times, in any order of series."""
        ...

    def append_series(
        self,
        tenant: TenantId,
        series: Sequence[Series],
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended:
        """Store samples that bring their own times, series by series.

        What is older than the newest sample of its series by more than the window is refused;
        None leaves the window to the store.
        """
        ...

    def resolve(self, tenant: TenantId, labels: Sequence[Labels]) -> Resolved:
        """Return the numbers of series, entering new ones if the tenant's limits allow it."""
        ...

    def append_refs(
        self,
        tenant: TenantId,
        epoch: int,
        columns: Columns,
        *,
        out_of_order_window: timedelta | None = None,
    ) -> Appended | None:
        """Store samples of resolved series, in any order; the quickest way for many series.

        None when the epoch is over and nothing was stored: resolve again. A ref below 0 must
        not be among them. Cost is Python work for each distinct time of each origin, not for
        each sample.
        """
        ...

    def set_metadata(self, tenant: TenantId, metric: str, metadata: Metadata) -> None:
        """Remember type, help and unit of a metric family."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """What a target answered; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How the other side is verified and who we show we are.

    PEM in files or as it stands; "" means the system's authorities, or no certificate. Versions
    are those of a configuration (`TLS12`), "" for the library's.
    """

    verify: bool = True
    ca: str = ""
    ca_file: str = ""
    cert: str = ""
    cert_file: str = ""
    key: Secret | None = None
    key_file: str = ""
    server_name: str = ""
    min_version: str = ""
    max_version: str = ""


VERIFIED = TlsOptions()


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """Through which proxy requests go. Its URL may hold credentials; None for none.

    `without` are hosts reached directly. `headers` go with CONNECT only.
    """

    url: Secret | None = None
    without: str = ""
    from_environment: bool = False
    headers: tuple[tuple[str, Secret], ...] = ()


DIRECT = ProxyOptions()


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Where an access token comes from, by OAuth 2.0 client credentials (RFC 6749, 4.4)."""

    client_id: str
    client_secret: Secret
    url: str
    scopes: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    tls: TlsOptions = VERIFIED
    proxy: ProxyOptions = DIRECT


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How a target is reached. `token` is where its Authorization header comes from, if any."""

    follow_redirects: bool = True
    tls: TlsOptions = VERIFIED
    proxy: ProxyOptions = DIRECT
    token: TokenOptions | None = None


PLAIN = FetchOptions()
TOO_LARGE = (
    "body size limit exceeded"  # how the message begins when a page is longer than its limit
)


class Fetch(Protocol):
    """HTTP GET for scraping. Reads at most `limit` bytes, follows redirects within the host."""

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        limit: int,
        options: FetchOptions = PLAIN,
    ) -> Page:
        """Return the answer. Raises Unreachable when there is none, LimitExceeded when too long."""
        ...


Stamp = tuple[int, int, int]
"""What tells one state of a file from another: time of change (ns), size, inode."""


class TargetFiles(Protocol):
    """Files that list scrape targets. Never blocks the loop."""

    async def stamps(self, patterns: Sequence[str]) -> dict[str, Stamp]:
        """Return a stamp of each file that matches one of the glob patterns, sorted by path."""
        ...

    async def read(self, path: str) -> bytes:
        """Return a file's content. Raises Unreachable, or LimitExceeded when it is too long."""
        ...


class Resolver(Protocol):
    """Finds the addresses of names. Never blocks the loop."""

    async def addresses(self, name: str, *, v6: bool) -> Sequence[str]:
        """Return the IPv4 or IPv6 addresses of a name, sorted; none when there is no such name.

        Raises Unreachable when nobody could be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and the present values of its series; label sets hold the series' names."""

    name: str
    metadata: Metadata
    samples: tuple[tuple[Labels, float], ...]


class Host(Protocol):
    """The machine this process runs on."""

    async def read(self) -> Sequence[Family]:
        """Return its figures now, under the names of node_exporter. Never blocks the loop."""
        ...


ReadFamilies = Callable[[], Iterable[Family]]


class ProcessSink(Protocol):
    """Where metrics of this process are handed in."""

    def attach(self, tenant: TenantId, read: ReadFamilies) -> None:
        """Ask `read` for its metrics at every interval, from any thread. Thread-safe."""
        ...
