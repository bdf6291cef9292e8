"""`dns_sd_configs`: targets that are the addresses of names, asked again and again.

Names are looked up as every program of this machine looks them up (the name service, then
DNS), which gives addresses only: records of type SRV, MX and NS cannot be asked for. A name
that nobody could be asked about keeps its last good targets; one that is gone has none.
Source: Prometheus documentation, "Configuration", `dns_sd_config`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import datetime

from tocsin.metrics_collector.discovery import Discoverer, Groups, TargetGroup
from tocsin.metrics_collector.discovery_config import DnsSdConfig
from tocsin.metrics_collector.ports import Resolver
from tocsin.model.errors import TocsinError, Unreachable
from tocsin.model.labels import Labels

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class SystemResolver(Resolver):
    """The resolver of this machine, in threads of the loop."""

    async def addresses(self, name: str, *, v6: bool) -> Sequence[str]:
        """Return the addresses of a name."""
        family = socket.AF_INET6 if v6 else socket.AF_INET
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return ()
            raise Unreachable(f"cannot look up: {error.strerror or error}") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"cannot look up: {error}") from error
        return sorted({str(address[0]) for *_, address in found})


class DnsDiscovery(Discoverer):
    """The names of one `dns_sd_config`; each group bears its name as `__meta_dns_name`."""

    mechanism = "dns"

    def __init__(self, job: str, config: DnsSdConfig, resolver: Resolver) -> None:
        """Begin with no targets, for the scrape job of this name."""
        self.name = f"dns/{job}/{config.type}/{','.join(config.names)}:{config.port}"
        self.interval = config.refresh_interval
        self.errors = {}
        self._config = config
        self._resolver = resolver
        self._good: dict[str, Groups] = {}

    async def look(self, now: datetime) -> None:
        """Ask for every name once, one after the other."""
        errors: dict[str, str] = {}
        for name in self._config.names:
            try:
                self._good[name] = await self._asked(name)
            except TocsinError as error:
                errors[name] = str(error)
        self.errors = errors
        groups = tuple(group for name in self._config.names for group in self._good.get(name, ()))
        if groups != self.groups:
            self.groups = groups

    async def _asked(self, name: str) -> Groups:
        v6 = self._config.type.upper() == "AAAA"
        found = await self._resolver.addresses(name, v6=v6)
        targets = tuple(_target(address, self._config.port) for address in found)
        return (TargetGroup(targets, Labels.of({"__meta_dns_name": name})),) if targets else ()


def _target(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
