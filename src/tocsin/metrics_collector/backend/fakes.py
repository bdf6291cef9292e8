"""A backend in memory, for tests here and in other rooms: it answers, stores, fails on demand."""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import cramjam

from tocsin.metrics_collector.backend.encode import Point
from tocsin.metrics_collector.backend.ports import Exchange, Outgoing
from tocsin.metrics_collector.ports import PLAIN, FetchOptions, Page
from tocsin.model.errors import TocsinError, Unreachable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.sample import is_stale

Elements = Iterable[tuple[Mapping[str, str], float]]

_JSON = {"content-type": "application/json"}
_SELECTOR = re.compile(r'(?P<metric>\w+)\{probe="(?P<probe>[^"]*)"\}')


def page_of(data: Any, *, status: int = 200, **more: Any) -> Page:
    """Return an answer of Prometheus' API that holds `data`."""
    body = {"status": "success", "data": data, **more}
    return Page(status, _JSON, json.dumps(body).encode())


def vector_page(elements: Elements, **more: Any) -> Page:
    """Return an instant vector."""
    result = [{"metric": dict(m), "value": [0, str(value)]} for m, value in elements]
    return page_of({"resultType": "vector", "result": result}, **more)


@dataclass(slots=True)
class FakeBackend(Exchange):
    """A multi-tenant server: `answers` by expression, what is written by tenant.

    `next` holds what is answered first, one entry a request. A server that does not keep
    tenants apart shows everybody everything; a guarded one turns away who names no tenant,
    one that is not shows them `to_nameless` only.
    """

    header: str = "X-Scope-OrgID"
    keeps_apart: bool = True
    guarded: bool = True
    to_nameless: str = ""
    shows_writes: bool = True
    takes_s: float = 0.0
    answers: dict[str, Elements | Page] = field(default_factory=dict)
    next: deque[Page | TocsinError] = field(default_factory=deque)
    asked: list[Outgoing] = field(default_factory=list)
    series: dict[str, dict[Labels, list[Point]]] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0

    async def exchange(
        self, call: Outgoing, *, timeout_s: float, limit: int, options: FetchOptions = PLAIN
    ) -> Page:
        """Return the answer, after `takes_s`."""
        self.asked.append(call)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(min(self.takes_s, timeout_s))
        finally:
            self.under_way -= 1
        if self.takes_s > timeout_s:
            raise Unreachable(f"no answer within {timeout_s:g} s")
        if self.next:
            return self._given()
        return self._answer(call)

    def expressions(self) -> list[str]:
        """Return every expression asked, in order."""
        return [dict(parse_qsl(c.body.decode()))["query"] for c in self.asked if _is_query(c)]

    def points(self, tenant: str, name: str) -> dict[Labels, list[Point]]:
        """Return what was written of a metric, by label set without the name."""
        return {
            labels.drop((METRIC_NAME,)): points
            for labels, points in self.series.get(tenant, {}).items()
            if labels.value(METRIC_NAME) == name
        }

    def _given(self) -> Page:
        given = self.next.popleft()
        if isinstance(given, TocsinError):
            raise given
        return given

    def _answer(self, call: Outgoing) -> Page:
        tenant = call.headers.get(self.header, "")
        if self.guarded and not tenant:
            return Page(401, {}, b"no org id")
        if call.url.endswith(("/push", "/write")):
            return self._write(tenant, call.body)
        if not _is_query(call):
            return page_of([])
        expr = dict(parse_qsl(call.body.decode()))["query"]
        given = self.answers.get(expr, ())
        if isinstance(given, Page):
            return given
        return vector_page([*given, *self._selected(tenant, expr)])

    def _write(self, tenant: str, body: bytes) -> Page:
        kept = self.series.setdefault(tenant, {})
        for labels, points in read_request(body):
            kept.setdefault(labels, []).extend(points)
        return Page(204, {}, b"")

    def _selected(self, tenant: str, expr: str) -> Elements:
        asked = _SELECTOR.fullmatch(expr)
        if asked is None or not self.shows_writes:
            return
        for owner, series in self.series.items():
            for labels, points in series.items():
                mine = owner == (tenant or self.to_nameless) or not self.keeps_apart
                wanted = {METRIC_NAME: asked["metric"], "probe": asked["probe"]}
                fits = wanted.items() <= dict(labels.pairs).items()
                if mine and fits and not is_stale(points[-1][1]):
                    yield labels, points[-1][1]


def read_request(body: bytes) -> Iterator[tuple[Labels, list[Point]]]:
    """Yield the series of a remote write 1.0 request, read apart from the code that writes it."""
    whole = memoryview(bytes(cramjam.snappy.decompress_raw(body)))
    for _, series in _fields(whole):
        pairs, points = [], []
        for number, part in _fields(series):
            inner = dict(_fields(part))
            if number == 1:
                pairs.append((bytes(inner[1]).decode(), bytes(inner[2]).decode()))
            else:
                points.append((_signed(inner[2]), struct.unpack("<d", inner[1])[0]))
        yield Labels(pairs), points


def _fields(body: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field: lengths, doubles and varints are all there are."""
    at = 0
    while at < len(body):
        tag, at = body[at], at + 1
        if tag & 7 == 1:
            size = 8
        else:
            start, at = at, at + 1
            while body[at - 1] & 0x80:
                at += 1
            if tag & 7 == 0:
                yield tag >> 3, body[start:at]
                continue
            size = _number(body[start:at])
        yield tag >> 3, body[at : at + size]
        at += size


def _number(varint: memoryview) -> int:
    return sum((byte & 0x7F) << 7 * index for index, byte in enumerate(varint))


def _signed(varint: memoryview) -> int:
    number = _number(varint)
    return number - 2**64 if number >> 63 else number


def _is_query(call: Outgoing) -> bool:
    return call.url.endswith("/query")
