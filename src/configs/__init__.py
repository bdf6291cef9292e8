"""Alias of `tocsin`, so that `from configs import AlertManager, MetricsCollector` works.

A folder or file of your own named `configs` hides this one; `configs.__file__` tells which
was found. `from tocsin import …` is the same thing and cannot be hidden that way.
"""

from tocsin.app.facade import AlertManager, MetricsCollector

__all__ = ["AlertManager", "MetricsCollector"]
