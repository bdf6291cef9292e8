"""Queries: `/query`, `/query_range`, `/query_exemplars`, `/format_query` and `/parse_query`.

Parameters are looked at in the order of Prometheus, so that a request wrong in two ways is told
the same fault. An answer is made into bytes where it was evaluated, beside the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint, Refusal
from tocsin.api.prometheus_answer import (
    JSON,
    PACKED,
    TRUNCATED,
    bad_parameter,
    endpoint,
    envelope,
    pack,
    success,
    takes_gzip,
)
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS, Form
from tocsin.api.prometheus_json import answer_json
from tocsin.api.prometheus_tree import tree_json
from tocsin.api.queries import AdHocQueries, Instant, Question, Ran, Range
from tocsin.model.clock import Clock
from tocsin.model.errors import InvalidInput
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.promql import ast
from tocsin.promql.errors import ParseError
from tocsin.promql.parser import parse
from tocsin.promql.printer import pretty
from tocsin.promql.result import Answer, Matrix, Vector
from tocsin.security.permissions import Permission

_BOTH = ("GET", "POST")
_NATIVE = frozenset(
    ("histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum")
)


@dataclass(frozen=True, slots=True)
class QueryApi:
    """The routes that evaluate or read PromQL."""

    queries: AdHocQueries
    clock: Clock

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        query = Permission.QUERY
        return (
            endpoint("/query", _BOTH, query, self.query),
            endpoint("/query_range", _BOTH, query, self.query_range),
            endpoint("/query_exemplars", _BOTH, query, self.exemplars),
            endpoint("/format_query", _BOTH, query, self.format_query),
            endpoint("/parse_query", _BOTH, query, self.parse_query),
        )

    async def query(self, call: Call) -> Response:
        """Evaluate an expression at one time."""
        form = await Form.of(call)
        limit = form.limit()
        at_ms = form.time_ms_or("time", to_ms(self.clock.now()))
        timeout = form.duration("timeout")
        question = Instant(form.get("query"), at_ms, form.lookback_ms(), timeout)
        return await self._answer(call, question, _Shown(form, limit))

    async def query_range(self, call: Call) -> Response:
        """Evaluate an expression at many times."""
        form = await Form.of(call)
        limit = form.limit()
        start_ms, end_ms = form.time_ms("start"), form.time_ms("end")
        if end_ms < start_ms:
            raise bad_parameter("end", "end timestamp must not be before start time")
        step_ms = form.step_ms()
        most = self.queries.options(call.tenant).max_points
        if (end_ms - start_ms) // step_ms > most:
            reason = f"exceeded maximum resolution of {most:,} points per timeseries"
            raise Refusal(400, f"{reason}. Try decreasing the query resolution (?step=XX)")
        timeout = form.duration("timeout")
        lookback_ms = form.lookback_ms()
        question = Range(form.get("query"), start_ms, end_ms, step_ms, lookback_ms, timeout)
        return await self._answer(call, question, _Shown(form, limit))

    async def exemplars(self, call: Call) -> Response:
        """Answer that there is nothing: exemplars are not kept."""
        form = await Form.of(call)
        start_ms = form.time_ms_or("start", BEGINNING_MS)
        if form.time_ms_or("end", END_MS) < start_ms:
            raise Refusal(400, "end timestamp must not be before start timestamp")
        self._parsed(call.tenant, form.get("query"))
        return success([])

    async def format_query(self, call: Call) -> Response:
        """Return an expression as Prometheus prints it, a long one over several lines."""
        return success(pretty(await self._tree(call)))

    async def parse_query(self, call: Call) -> Response:
        """Return the tree of an expression."""
        return success(tree_json(await self._tree(call)))

    async def _tree(self, call: Call) -> ast.Expr:
        form = await Form.of(call)
        try:
            return self._parsed(call.tenant, form.get("query"))
        except ParseError as error:
            raise bad_parameter("query", str(error)) from error

    def _parsed(self, tenant: TenantId, text: str) -> ast.Expr:
        return parse(text, self.queries.options(tenant).grammar)

    async def _answer(self, call: Call, question: Question, shown: _Shown) -> Response:
        try:
            notes = _notes_about(self._parsed(call.tenant, question.expr))
            full = replace(shown, notes=notes, gzip=takes_gzip(call))
            asking = self.queries.ask(call.tenant, question, full.bytes_of)
            body = await call.while_there(asking)
        except ParseError as error:
            raise bad_parameter("query", str(error)) from error
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error
        headers = PACKED if body[:2] == _GZIP else {}
        return Response(body, headers=headers, media_type=JSON)


_GZIP = b"\x1f\x8b"  # JSON never begins so


@dataclass(frozen=True, slots=True)
class _Shown:
    """How an answer is shown: cut to `limit` series (0: all), with what else is said."""

    form: Form
    limit: int
    notes: tuple[str, ...] = ()
    gzip: bool = False

    def bytes_of(self, ran: Ran) -> bytes:
        """Return the envelope of an answer."""
        result, warnings = ran.result, ran.result.warnings
        value = _cut(result.value, self.limit)
        if value is not result.value:
            warnings = (*warnings, TRUNCATED)
        data = answer_json(value)
        if self.form.get("stats"):
            data["stats"] = _stats(ran)
        body = envelope(data, warnings=warnings, infos=(*result.infos, *self.notes))
        return pack(body) if self.gzip else body


def _cut(answer: Answer, limit: int) -> Answer:
    """Return at most `limit` series of an answer; the same object when that is all."""
    match answer:
        case Vector(labels=labels) if limit and len(labels) > limit:
            return replace(answer, labels=labels[:limit], values=answer.values[:limit])
        case Matrix(series=series) if limit and len(series) > limit:
            return Matrix(series[:limit])
    return answer


def _stats(ran: Ran) -> dict[str, Any]:
    """Return what a query cost; every sample read counts once."""
    took, queued, samples = ran.took.total_seconds(), ran.queued.total_seconds(), ran.result.samples
    timings = {
        "evalTotalTime": took,
        "resultSortTime": 0,
        "queryPreparationTime": 0,
        "innerEvalTime": took,
        "execQueueTime": queued,
        "execTotalTime": took + queued,
    }
    return {
        "timings": timings,
        "samples": {"totalQueryableSamples": samples, "peakSamples": samples},
    }


def _notes_about(tree: ast.Expr) -> tuple[str, ...]:
    """Say of which functions nothing can come, since they read native histograms alone."""
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return tuple(
        f"PromQL info: {name}() reads native histograms, which are not stored: it gives nothing"
        for name in sorted(called & _NATIVE)
    )
