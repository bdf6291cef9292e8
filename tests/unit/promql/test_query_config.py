"""The query section of a tenant becomes options of an engine, or says what is wrong."""

from tocsin.model.settings import Duration
from tocsin.promql.config import QueryConfig, check_query, options_of
from tocsin.promql.options import Options


def test_the_defaults_are_those_of_the_engine() -> None:
    assert options_of(QueryConfig()) == Options()
    assert check_query(QueryConfig()) == []


def test_what_is_written_is_in_force() -> None:
    config = QueryConfig(
        max_samples=1,
        max_series=2,
        max_points=3,
        lookback_delta=Duration.parse("1m"),
        experimental=True,
    )
    assert options_of(config) == Options(
        max_samples=1, max_series=2, max_points=3, lookback_ms=60_000, experimental=True
    )


def test_a_budget_that_allows_nothing_is_a_fault() -> None:
    nothing = QueryConfig(
        max_samples=0,
        max_series=-1,
        max_points=0,
        max_concurrency=0,
        max_queued=-1,
        timeout=Duration(0),
        lookback_delta=Duration(-1),
    )
    assert [(finding.path, finding.message) for finding in check_query(nothing)] == [
        (("max_samples",), "max_samples must be at least 1"),
        (("max_series",), "max_series must be at least 1"),
        (("max_points",), "max_points must be at least 1"),
        (("max_concurrency",), "max_concurrency must be at least 1"),
        (("max_queued",), "max_queued must not be negative"),
        (("timeout",), "timeout must be at least 1ms"),
        (("lookback_delta",), "lookback_delta must be at least 1ms"),
    ]
    assert check_query(QueryConfig(max_queued=0)) == []
