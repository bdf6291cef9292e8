"""The Prometheus dialect under `/prometheus`: its routes, each from the module of its matter.

GET and form POST where Prometheus has both; answers are Prometheus' envelope. Source: Prometheus
"HTTP API" and `web/api/v1`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.api.http import Dialect, Endpoint
from tocsin.api.prometheus_answer import fault

PREFIX = "/prometheus"


def prometheus(*routes: Iterable[Endpoint]) -> Dialect:
    """Return the dialect of the routes given, module by module."""
    return Dialect(PREFIX, tuple(route for group in routes for route in group), fault)
