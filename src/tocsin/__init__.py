"""Tocsin: alerting for many tenants, from the metric to the person.

The public names are AlertManager, MetricsCollector and __version__; everything else is an
inside. Names resolve on first use, so that `import tocsin` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.model.version import VERSION

if TYPE_CHECKING:
    from tocsin.app.facade import AlertManager, MetricsCollector

__version__ = VERSION

__all__ = ["AlertManager", "MetricsCollector", "__version__"]


def __getattr__(name: str) -> object:
    """Resolve a public name on first use; AttributeError for anything else."""
    if name not in __all__:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    from tocsin.app import facade  # noqa: PLC0415 - the one lazy import of the house

    return getattr(facade, name)
