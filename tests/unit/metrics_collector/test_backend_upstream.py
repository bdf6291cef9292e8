"""Asking a backend: once for equal questions, twice when it may help, never too many at a time."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qsl

import pytest

from tocsin.metrics_collector.backend.answer import Found
from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind
from tocsin.metrics_collector.backend.fakes import FakeBackend, vector_page
from tocsin.metrics_collector.backend.gate import Gates
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.upstream import Upstream
from tocsin.metrics_collector.backend.way import Way
from tocsin.metrics_collector.http_config import Authorization
from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import InvalidInput, LimitExceeded, Unreachable
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId
from tocsin.telemetry.metrics import Registry

A = TenantId("a")
CONFIG = BackendConfig(
    kind=BackendKind.MIMIR,
    url="http://m",
    headers={"X-Extra": Secret("e")},
    authorization=Authorization(credentials=Secret("s3cr3t")),
    timeout=Duration(seconds=10),
)
REFUSED = Page(422, {}, json.dumps({"status": "error", "error": "bad"}).encode())
BUSY = Page(503, {}, b"busy")


class Bench:
    """An upstream of one tenant and the backend behind it."""

    def __init__(self, *, most: int = 8) -> None:
        self.backend = FakeBackend()
        self.registry = Registry(version="0")
        gates = Gates()
        gates.set(most)
        self.upstream = Upstream(
            A,
            Way.of(A, CONFIG, self.backend),
            gates,
            instruments=BackendInstruments(self.registry),
            reads=lambda expr: frozenset(expr.split()) if expr != "any" else None,
            rng=lambda: 0.0,
        )

    async def ask(self, expr: str = "up", at_ms: int = 1_500) -> Found:
        return await self.upstream.instant(expr, at_ms=at_ms)

    def count(self, name: str, **labels: str) -> float:
        found = self.registry.collectors.get_sample_value(name, {"tenant": "a", **labels})
        return found or 0.0


async def test_a_question_is_one_post_with_expression_time_and_tenant() -> None:
    bench = Bench()
    bench.backend.answers["up"] = [({"job": "x"}, 1.0)]
    found = await bench.ask()
    assert [labels.value("job") for labels in found.labels] == ["x"]
    (call,) = bench.backend.asked
    assert (call.method, call.url) == ("POST", "http://m/prometheus/api/v1/query")
    assert dict(parse_qsl(call.body.decode())) == {"query": "up", "time": "1.500"}
    wanted = {"X-Scope-OrgID": "a", "X-Extra": "e", "Authorization": "Bearer s3cr3t"}
    assert wanted.items() <= call.headers.items()


async def test_nothing_shows_a_credential() -> None:
    bench = Bench()
    bench.backend.next.append(REFUSED)
    with pytest.raises(InvalidInput) as caught:
        await bench.ask()
    assert "s3cr3t" not in f"{caught.value}{bench.upstream.way!r}{CONFIG!r}"


async def test_equal_questions_of_a_round_are_asked_once() -> None:
    bench = Bench()
    first, second = await asyncio.gather(bench.ask(), bench.ask())
    third = await bench.ask()
    assert first is second is third
    await bench.ask(at_ms=2_000)
    await bench.ask("down")
    assert bench.backend.expressions() == ["up", "up", "down"]
    assert bench.count("tocsin_backend_queries_shared_total") == 2


async def test_what_was_written_is_asked_anew() -> None:
    bench = Bench()
    for expr in ("a b", "c", "any"):
        await bench.ask(expr)
    bench.upstream.forget({"b", "z"})
    for expr in ("a b", "c", "any"):
        await bench.ask(expr)
    assert bench.backend.expressions() == ["a b", "c", "any", "a b", "any"]


async def test_a_failure_is_not_remembered() -> None:
    bench = Bench()
    bench.backend.next.append(REFUSED)
    with pytest.raises(InvalidInput):
        await bench.ask()
    assert len((await bench.ask()).labels) == 0
    assert bench.count("tocsin_backend_queries_total", outcome="refused") == 1
    assert bench.count("tocsin_backend_queries_total", outcome="ok") == 1


async def test_only_so_many_answers_are_remembered_and_no_huge_one() -> None:
    bench = Bench()
    bench.backend.answers["huge"] = [({"i": str(i)}, 1.0) for i in range(1_001)]
    await bench.ask("huge")
    await bench.ask("huge")
    assert bench.backend.expressions() == ["huge", "huge"]
    for index in range(300):
        await bench.ask(f"x{index}")
    await bench.ask("x0")
    await bench.ask("x299")
    assert len(bench.backend.expressions()) == 2 + 300 + 1


@pytest.mark.parametrize(
    "first", [BUSY, Page(500, {}, b""), Page(429, {}, b""), Unreachable("connection refused")]
)
async def test_what_may_pass_is_asked_a_second_time(first: Page | Unreachable) -> None:
    bench = Bench()
    bench.backend.next.append(first)
    assert (await bench.ask()).labels == ()
    assert len(bench.backend.asked) == 2
    assert bench.count("tocsin_backend_query_retries_total") == 1


async def test_it_is_not_asked_a_third_time() -> None:
    bench = Bench()
    bench.backend.next.extend([BUSY, BUSY, BUSY])
    with pytest.raises(Unreachable, match="tenant a: HTTP 503: busy"):
        await bench.ask()
    assert len(bench.backend.asked) == 2
    assert bench.count("tocsin_backend_queries_total", outcome="failed") == 1


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_what_will_not_pass_is_asked_once(status: int) -> None:
    bench = Bench()
    bench.backend.next.append(Page(status, {}, b"no"))
    with pytest.raises((InvalidInput, Unreachable), match=f"HTTP {status}"):
        await bench.ask()
    assert len(bench.backend.asked) == 1


async def test_the_second_try_waits_as_long_as_the_backend_asks() -> None:
    bench, began = Bench(), asyncio.get_running_loop().time()
    bench.backend.next.append(Page(429, {"retry-after": "3"}, b""))
    await bench.ask()
    assert asyncio.get_running_loop().time() - began == pytest.approx(3)


async def test_both_tries_end_within_the_timeout() -> None:
    bench, loop = Bench(), asyncio.get_running_loop()
    bench.backend.takes_s, began = 9.8, loop.time()
    bench.backend.next.extend([BUSY, vector_page([])])
    with pytest.raises(Unreachable, match="HTTP 503"):
        await bench.ask()
    assert len(bench.backend.asked) == 1
    bench.backend.takes_s = 60
    with pytest.raises(Unreachable, match="no answer within 10 s"):
        await bench.ask("slow")
    assert loop.time() - began < 20.1


async def test_an_answer_too_long_is_no_matter_of_trying_again() -> None:
    bench = Bench()
    bench.backend.next.append(LimitExceeded("body size limit exceeded"))
    with pytest.raises(LimitExceeded, match="tenant a: body size"):
        await bench.ask()
    assert len(bench.backend.asked) == 1


async def test_no_more_are_under_way_than_the_gate_lets_through() -> None:
    bench = Bench(most=3)
    bench.backend.takes_s = 1
    await asyncio.gather(*(bench.ask(f"x{index}") for index in range(9)))
    assert bench.backend.most_under_way == 3


async def test_who_waits_at_the_gate_for_too_long_is_told() -> None:
    bench = Bench(most=1)
    bench.backend.takes_s = 9
    first, second = await asyncio.gather(bench.ask("x"), bench.ask("y"), return_exceptions=True)
    assert isinstance(first, Found)
    assert isinstance(second, Unreachable)


async def test_one_who_gives_up_does_not_end_the_question_of_the_others() -> None:
    bench = Bench()
    bench.backend.takes_s = 5
    impatient = asyncio.create_task(bench.ask())
    patient = asyncio.create_task(bench.ask())
    await asyncio.sleep(1)
    impatient.cancel()
    assert (await patient).labels == ()
    assert len(bench.backend.asked) == 1


async def test_closing_gives_up_what_is_under_way() -> None:
    bench = Bench()
    bench.backend.takes_s = 5
    asking = asyncio.create_task(bench.ask())
    await asyncio.sleep(1)
    await bench.upstream.close()
    await bench.upstream.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert bench.backend.under_way == 0


@pytest.mark.parametrize(
    ("method", "found"),
    [
        ("POST", ("POST", "http://m/prometheus/api/v1/series", b"match%5B%5D=up")),
        ("GET", ("GET", "http://m/prometheus/api/v1/series?match%5B%5D=up", b"")),
    ],
)
async def test_a_question_of_somebody_else_is_passed_on_as_it_is(
    method: str, found: tuple[str, str, bytes]
) -> None:
    bench = Bench()
    bench.backend.next.append(BUSY)
    page = await bench.upstream.pass_on("/series", (("match[]", "up"),), method=method)
    assert page == BUSY
    (call,) = bench.backend.asked
    assert (call.method, call.url, call.body) == found
    assert call.headers["X-Scope-OrgID"] == "a"


async def test_people_do_not_wait_for_rules() -> None:
    bench = Bench(most=1)
    bench.backend.takes_s = 5
    loop = asyncio.get_running_loop()
    rule = asyncio.create_task(bench.ask())
    await asyncio.sleep(1)
    began = loop.time()
    bench.backend.takes_s = 0
    await bench.upstream.pass_on("/labels", ())
    assert loop.time() == began
    await rule


@pytest.mark.parametrize(("most", "together"), [(1, 1), (2, 2)])
async def test_a_gate_that_is_set_anew_lets_more_through(most: int, together: int) -> None:
    gates, inside, release = Gates(), [], asyncio.Event()

    async def hold() -> None:
        async with gates.rules.passed():
            inside.append(1)
            await release.wait()

    gates.set(most)
    tasks = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(1)
    assert len(inside) == together
    release.set()
    await asyncio.gather(*tasks)
