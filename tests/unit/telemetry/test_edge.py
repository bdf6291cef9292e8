"""The edge lets a loop go on, and nothing else."""

import asyncio

import pytest

from tocsin.telemetry.edge import Edge
from tocsin.telemetry.logs import get_logger

LOG = get_logger("test")


def test_an_exception_ends_at_the_edge_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    fault = KeyError("a bug")
    with Edge(LOG, "round failed", tenant="acme") as edge:
        raise fault
    assert edge.error is fault
    assert [record.getMessage() for record in caplog.records] == ["round failed"]


def test_a_block_that_ends_well_tells_so(caplog: pytest.LogCaptureFixture) -> None:
    with Edge(LOG, "round failed") as edge:
        pass
    assert edge.error is None
    assert caplog.records == []


@pytest.mark.parametrize("passing", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_cancellation_and_exits_pass(passing: type[BaseException]) -> None:
    with pytest.raises(passing), Edge(LOG, "round failed"):
        raise passing
