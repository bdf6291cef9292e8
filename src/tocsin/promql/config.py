"""What a tenant's queries may cost: a section of its configuration, named as Prometheus' flags."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from tocsin.model.settings import Duration, Finding, duration
from tocsin.promql.options import Options

_MS = timedelta(milliseconds=1)


class QueryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the queries of a tenant may cost, its rules included."""

    max_samples: int = 50_000_000
    """Samples one query may read."""
    max_series: int = 100_000
    """Series one query may read."""
    max_points: int = 11_000
    """Steps of a range query."""
    timeout: Duration = duration("2m")
    """How long a query may take, its wait for a turn included. `timeout` of a request may shorten
    it."""
    lookback_delta: Duration = duration("5m")
    """How old the newest sample of a series may be."""
    max_concurrency: int = 3
    """Queries of this tenant evaluated at a time; more of them wait. The server evaluates four
    at a time, of all tenants."""
    max_queued: int = 100
    """Queries of this tenant that may wait; one more is refused with 429."""
    experimental: bool = False
    """Admit the experimental functions of PromQL and duration expressions."""


class QueryPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query engine's part of a tenant."""

    query: QueryConfig = msgspec.field(default_factory=QueryConfig)
    """What queries and rules may cost."""


def options_of(config: QueryConfig) -> Options:
    """Return the options of an engine that keeps to `config`."""
    return Options(
        lookback_ms=config.lookback_delta // _MS,
        max_samples=config.max_samples,
        max_series=config.max_series,
        max_points=config.max_points,
        experimental=config.experimental,
    )


def check_query(config: QueryConfig) -> list[Finding]:
    """Return what is wrong with the section: every budget allows something."""
    counts = ("max_samples", "max_series", "max_points", "max_concurrency")
    findings = [
        Finding((name,), f"{name} must be at least 1")
        for name in counts
        if getattr(config, name) < 1
    ]
    if config.max_queued < 0:
        findings.append(Finding(("max_queued",), "max_queued must not be negative"))
    times = ("timeout", "lookback_delta")
    return findings + [
        Finding((name,), f"{name} must be at least 1ms")
        for name in times
        if getattr(config, name) < _MS
    ]
