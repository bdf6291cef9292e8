"""A unit test of rules, round after round, over an engine on samples in memory."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tocsin.app.queries import EmbeddedQueries
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries
from tocsin.rule_engine.config import RuleFile
from tocsin.rule_engine.fakes import FakeDoor
from tocsin.rule_engine.group import Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import RuleSink
from tocsin.rule_engine.unittest_file import RuleTest, RuleTestFile, input_samples
from tocsin.rule_engine.unittest_run import Bench, Plan, run_rule_test
from tocsin.telemetry.metrics import Registry

ACME = tenant_id("acme")
MIN = timedelta(minutes=1)
BUSY = {"alert": "Busy", "expr": "load > 5", "for": "2m", "annotations": {"empty": "", "s": "t"}}
LOAD = {"series": 'load{host="a"}', "values": "9x9"}


class Memory(MemorySeries, RuleSink):
    """Keeps data and results; refuses a metric named `refused`."""

    def append_samples(self, tenant: TenantId, samples: Sequence[Sample]) -> Appended:
        refused = sum(s.labels.value("__name__") == "refused" for s in samples)
        for sample in samples:
            self.add(tenant, sample.labels, [(sample.ts_ms, sample.value)])
        return Appended(len(samples) - refused, {"too odd": refused} if refused else {})

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        for labels, value in zip(layout.labels, values.tolist(), strict=True):
            self.add(tenant, labels, [(ts_ms, value)])
        return Appended(len(layout.labels))


def read(raw: dict[str, Any]) -> RuleTest:
    return msgspec.convert(raw, RuleTest, dec_hook=from_scalar)


def group(*rules: dict[str, Any], name: str = "g") -> RuleFile:
    raw = {"groups": [{"name": name, "rules": list(rules)}]}
    return msgspec.convert(raw, RuleFile, dec_hook=from_scalar)


async def failures(
    *rules: dict[str, Any],
    files: dict[str, RuleFile] | None = None,
    order: Sequence[str] = (),
    rhythm: timedelta = MIN,
    **test: Any,
) -> tuple[str, ...]:
    store = Memory()
    near = Neighbours(
        EmbeddedQueries(Engine(store)), store, FakeDoor(), RuleInstruments(Registry(version="0"))
    )
    plan = Plan(files or {"r.yml": group(*rules)}, MIN, rhythm, order)
    return await run_rule_test(read(test), plan, Bench(ACME, store, near))


def asks(expr: str, at: str, *samples: tuple[str, float]) -> dict[str, Any]:
    expected = [{"labels": labels, "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": at, "exp_samples": expected}


def alerts(at: str, *expected: dict[str, Any], name: str = "Busy") -> dict[str, Any]:
    return {"eval_time": at, "alertname": name, "exp_alerts": list(expected)}


FIRING = {"exp_labels": {"host": "a"}, "exp_annotations": {"empty": "", "s": "t"}}


async def test_an_alert_is_judged_at_the_round_before_its_time() -> None:
    cases = [alerts("119s"), alerts("2m", FIRING), alerts("150s", FIRING), alerts("0")]
    assert await failures(BUSY, input_series=[LOAD], alert_rule_test=cases) == ()


async def test_a_pending_alert_does_not_count_as_firing() -> None:
    [failure] = await failures(
        BUSY, name="early", input_series=[LOAD], alert_rule_test=[alerts("1m", FIRING)]
    )
    assert failure.startswith("    name: early,\n    alertname: Busy, time: 1m,\n")


async def test_every_test_is_judged_whatever_failed_before() -> None:
    cases = [alerts("3m"), alerts("0", FIRING), alerts("1m")]
    queries = [asks("load", "1m"), asks("load >", "1m"), asks("load > 10", "1m")]
    found = await failures(
        BUSY, input_series=[LOAD], alert_rule_test=cases, promql_expr_test=queries
    )
    times = [line.split(",")[1].removeprefix(" time: ") for line in found]
    assert times == ["0s", "3m", "1m", "1m"]


async def test_an_expression_sees_no_sample_later_than_the_last_round() -> None:
    case = asks("load", "90s", ('load{host="a"}', 7))
    counting = {**LOAD, "values": "1+1x100"}
    got = await failures(interval="10s", input_series=[counting], promql_expr_test=[case])
    assert got == ()


async def test_named_groups_come_first_in_their_order() -> None:
    files = {
        "a.yml": group({"record": "c", "expr": "b * 2"}, name="last"),
        "b.yml": group({"record": "b", "expr": "a * 2"}, name="second"),
        "c.yml": group({"record": "a", "expr": "vector(1)"}, name="first"),
    }
    case = asks("c", "0", ("c", 4))
    assert await failures(files=files, order=["first", "second"], promql_expr_test=[case]) == ()
    assert await failures(files=files, order=["second"], promql_expr_test=[case]) != ()


async def test_a_rule_that_fails_ends_the_test() -> None:
    rule = {"record": "r", "expr": "load * on () load2"}
    series = [LOAD, {"series": 'load2{i="1"}', "values": "1x9"}]
    series.append({"series": 'load2{i="2"}', "values": "_ 1x9"})
    found = await failures(
        rule, input_series=series, promql_expr_test=[asks("1", "5m")], alert_rule_test=[alerts("0")]
    )
    assert len(found) == 1
    assert found[0].startswith("    rule: r, time: 1m, err: found duplicate series")


async def test_data_that_the_store_refuses_ends_the_test() -> None:
    series = [{"series": "refused", "values": "_ 1"}]
    found = await failures(input_series=series, promql_expr_test=[asks("1", "5m")])
    assert found == ("    input_series, time: 1m, err: 1 samples refused: too odd",)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"alert_rule_test": [{"eval_time": "1m"}], "name": "n"}, "at eval_time 1m (in test n)"),
        ({"alert_rule_test": [{"eval_time": "1m"}]}, "at eval_time 1m has no alertname"),
        ({"input_series": [{"series": "x", "values": "{{sum:1}}"}]}, "x: native histograms"),
        ({"input_series": [{"series": "x", "values": "one"}]}, "unexpected 'one'"),
        ({"input_series": [{"series": "x{", "values": "1"}]}, "inside braces"),
    ],
)
async def test_a_test_that_cannot_be_read_says_why(test: dict[str, Any], message: str) -> None:
    [failure] = await failures(**test)
    assert message in failure


def test_the_first_value_at_a_time_and_the_last_of_two_series_count() -> None:
    x, y = {"series": "x", "values": "1 2"}, {"series": "x", "values": "_ 5 6"}
    at_once = input_samples(read({"input_series": [x, y]}), interval=timedelta(0))
    assert at_once == [Sample(Labels.of({"__name__": "x"}), 0, 5.0)]


def test_samples_come_in_order_of_time() -> None:
    x, y = {"series": "x", "values": "1 2"}, {"series": "y", "values": "3 4"}
    samples = input_samples(read({"input_series": [x, y]}), interval=MIN)
    assert [(s.ts_ms, s.value) for s in samples] == [(0, 1), (0, 3), (60_000, 2), (60_000, 4)]


def test_a_native_histogram_is_refused_with_a_remedy() -> None:
    test = read({"input_series": [{"series": "x", "values": "{{sum:1}}"}]})
    with pytest.raises(InvalidInput, match="classic form"):
        input_samples(test, interval=MIN)


def test_no_rhythm_means_a_minute() -> None:
    zero = msgspec.convert({"evaluation_interval": "0s"}, RuleTestFile, dec_hook=from_scalar)
    assert (zero.rhythm, RuleTestFile().rhythm) == (MIN, MIN)
