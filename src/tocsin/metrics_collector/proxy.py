"""Through which proxy a request goes. Pure but for the environment it is given.

Source: Prometheus documentation, "Configuration", `http_config`, and Go's
`golang.org/x/net/http/httpproxy`, whose rules these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from tocsin.metrics_collector.ports import ProxyOptions
from tocsin.model.errors import Unreachable

SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


def proxy_of(url: str, options: ProxyOptions, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for a request, None for none.

    A proxy of the environment, and one with exceptions, is never used for this machine itself.
    Raises Unreachable for a proxy nobody can use.
    """
    target = urlsplit(url)
    if options.from_environment:
        proxy = _given(environ, f"{target.scheme}_proxy")
        without = _given(environ, "no_proxy")
    else:
        proxy, without = options.url.reveal() if options.url else "", options.without
    if not proxy:
        return None
    if (options.from_environment or without) and is_spared(target, without):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in SCHEMES:
        raise Unreachable(f"a proxy by {urlsplit(proxy).scheme} cannot be used: http or https can")
    return proxy


def is_spared(target: SplitResult, without: str) -> bool:
    """Tell whether a URL is reached directly: this machine itself, and what `without` lists.

    The list has host names (which stand for what is below them, too), names that begin with a
    dot (which stand for what is below them only), addresses, networks as in `10.0.0.0/8`, all
    but networks with a port if need be, and `*` for everything.
    """
    host = (target.hostname or "").lower().rstrip(".")
    port = target.port or _PORTS.get(target.scheme, 0)
    if host == "localhost" or _is_loopback(host):
        return True
    return any(_matches(host, port, entry.strip().lower()) for entry in without.split(","))


def _matches(host: str, port: int, entry: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(host, entry)
    name, only = _split_port(entry)
    if only and only != port:
        return False
    if _as_ip(name):
        return _as_ip(host) == _as_ip(name)
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else f".{host}".endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int]:
    """Return a host without brackets, and its port, 0 for any."""
    if _as_ip(entry):
        return entry, 0
    host, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        return host.strip("[]"), int(port)
    return entry.strip("[]"), 0


def _in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False


def _as_ip(host: str) -> object | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _given(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""
