"""Rules get vectors and scalars, and faults they can show."""

from __future__ import annotations

import pytest

from tocsin.app.queries import EmbeddedQueries
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.tenant import tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries

ACME, OTHER = tenant_id("acme"), tenant_id("other")
UP = Labels.of({"__name__": "up", "job": "a"})
RATES = Labels.of({"__name__": "up", "job": "b"})


@pytest.fixture
def queries() -> EmbeddedQueries:
    held = MemorySeries()
    held.add(ACME, UP, [(1000, 1.0)])
    held.add(ACME, RATES, [(1000, 2.0)])
    return EmbeddedQueries(Engine(held))


async def test_a_vector_comes_as_its_elements(queries: EmbeddedQueries) -> None:
    answer = await queries.instant(ACME, "up > 0", at_ms=2000)
    assert dict(answer.elements()) == {UP: 1.0, RATES: 2.0}
    assert (await queries.instant(OTHER, "up", at_ms=2000)).labels == ()


async def test_a_scalar_is_an_element_without_labels(queries: EmbeddedQueries) -> None:
    answer = await queries.instant(ACME, "1 + 1", at_ms=0)
    assert list(answer.elements()) == [(EMPTY, 2.0)]
    assert (await queries.instant(ACME, "2", at_ms=0)).labels is answer.labels


async def test_warnings_come_along(queries: EmbeddedQueries) -> None:
    answer = await queries.instant(ACME, "quantile(2, up)", at_ms=2000)
    assert "PromQL warning" in answer.warnings[0]


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("up[5m]", "a rule needs an instant vector or a scalar"),
        ('"text"', "a rule needs an instant vector or a scalar"),
        ("up + on() up", "many-to-many"),
        ("up{", "parse error"),
    ],
)
async def test_what_gives_no_samples_is_a_fault_of_the_rule(
    queries: EmbeddedQueries, expr: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        await queries.instant(ACME, expr, at_ms=2000)
