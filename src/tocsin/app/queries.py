"""The embedded answer to the rule stage's port: our PromQL engine over our metric store."""

from __future__ import annotations

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY
from tocsin.model.sample import Sample
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.result import Scalar, Vector
from tocsin.rule_engine.ports import Answer, Queries


class EmbeddedQueries(Queries):
    """Evaluates rule expressions in this process."""

    def __init__(self, engine: Engine) -> None:
        """Answer from `engine`."""
        self._engine = engine

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the value of `expr` at `at_ms`; blocks the loop for as long as it takes."""
        try:
            result = self._engine.instant(tenant, expr, at_ms=at_ms)
        except ExecutionError as error:
            raise InvalidInput(str(error)) from error
        match result.value:
            case Vector(at_ms=at, labels=labels, values=values):
                pairs = zip(labels, values.tolist(), strict=True)
                return Answer(tuple(Sample(s, at, v) for s, v in pairs), result.warnings)
            case Scalar(at_ms=at, value=value):
                return Answer((Sample(EMPTY, at, value),), result.warnings)
            case _:
                raise InvalidInput(f"a rule needs an instant vector or a scalar: {expr}")
