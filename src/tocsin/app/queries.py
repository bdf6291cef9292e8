"""PromQL of rules in this process, on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import numpy as np

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY
from tocsin.model.tenant import TenantId
from tocsin.promql.errors import ExecutionError
from tocsin.promql.result import Result, Scalar, Vector
from tocsin.rule_engine.ports import Answer, Queries

_SCALAR = (EMPTY,)
_LONGEST = timedelta(minutes=2)  # `--query.timeout` of Prometheus


class Evaluates(Protocol):
    """Gives the value of an expression: the engine afresh, compiled plans from what they kept."""

    def instant(
        self, tenant: TenantId, text: str, /, *, at_ms: int, expired: Callable[[], bool]
    ) -> Result:
        """Return the value at one time. Raises ExecutionError, InvalidInput, LimitExceeded."""
        ...


class EmbeddedQueries(Queries):
    """Evaluates rule expressions in this process."""

    def __init__(
        self, engine: Evaluates, allowed: Callable[[TenantId], timedelta] = lambda _: _LONGEST
    ) -> None:
        """Answer from `engine`; `allowed` says how long a tenant's expression may take."""
        self._engine = engine
        self._allowed = allowed

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the value of `expr` at `at_ms`; blocks the loop for as long as it takes."""
        now = asyncio.get_running_loop().time
        ends = now() + self._allowed(tenant).total_seconds()
        try:
            result = self._engine.instant(tenant, expr, at_ms=at_ms, expired=lambda: now() >= ends)
        except ExecutionError as error:
            raise InvalidInput(str(error)) from error
        match result.value:
            case Vector(labels=labels, values=values):
                return Answer(labels, values, result.warnings)
            case Scalar(value=value):
                return Answer(_SCALAR, np.array([value]), result.warnings)
            case _:
                raise InvalidInput(f"a rule needs an instant vector or a scalar: {expr}")
