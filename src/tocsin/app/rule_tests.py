"""Unit tests of rules on the real thing: our store in a folder of its own, engine and groups."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tocsin.app.queries import EmbeddedQueries
from tocsin.config_loader.rule_tests import RuleTests, read_rule_tests
from tocsin.model.alert import Alert
from tocsin.model.errors import ConfigError
from tocsin.model.labels import METRIC_NAME
from tocsin.model.pattern import Pattern
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.model.version import VERSION
from tocsin.promql.engine import Engine
from tocsin.promql.options import Options
from tocsin.promql.parser import Mode
from tocsin.rule_engine.group import Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import RuleSink
from tocsin.rule_engine.restore import HEARTBEAT
from tocsin.rule_engine.unittest_file import RuleTest
from tocsin.rule_engine.unittest_run import Bench, Plan, run_rule_test
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Limits
from tocsin.timeseries.options import Options as StoreOptions
from tocsin.timeseries.store import MetricStore

_ANY = 1 << 30  # a test may hold what a tenant may not
_LIMITS = Limits(_ANY, _ANY, _ANY, _ANY)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one test went; it passed when there are no failures."""

    name: str
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """How the tests of a file went; `problems` are faults for which none was run."""

    path: Path
    tests: tuple[Verdict, ...] = ()
    problems: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def passed(self) -> bool:
        """Tell whether all is well."""
        return not self.problems and not any(test.failures for test in self.tests)


async def run_test_file(path: Path, *, mode: Mode, only: Pattern | None = None) -> FileVerdict:
    """Run the tests of a file whose names match `only`; none is run where the rules are faulty."""
    try:
        read = read_rule_tests(path)
    except ConfigError as error:
        return FileVerdict(path, problems=tuple(map(str, error.problems)))
    chosen = [test for test in read.file.tests if only is None or only.matches(test.name)]
    if chosen and read.problems:
        faults = tuple(map(str, read.problems))
        return FileVerdict(path, problems=faults, unmatched=read.unmatched)
    tests = await _run(chosen, read, mode) if chosen else ()
    return FileVerdict(path, tests, unmatched=read.unmatched)


async def _run(chosen: Sequence[RuleTest], read: RuleTests, mode: Mode) -> tuple[Verdict, ...]:
    """Run tests, each on a tenant of its own in one store that goes when they are over."""
    plan = _plan(read, mode)
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="tocsin-rules-") as folder:
        store = MetricStore(Path(folder), StoreOptions(limits=_LIMITS))
        try:
            near = _neighbours(store, mode, plan.rhythm)
            for number, test in enumerate(chosen):
                bench = Bench(tenant_id(f"test-{number}"), store, near)
                verdicts.append(Verdict(test.name, await run_rule_test(test, plan, bench)))
        finally:
            store.close()
    return tuple(verdicts)


def _plan(read: RuleTests, mode: Mode) -> Plan:
    """Return what the tests of a file share.

    2.42 compares to the bit, and puts every value of a test without an interval at the beginning.
    Left-open ranges make the last bit of a rate another one than many a test expects: a file that
    says nothing about it is forgiven.
    """
    file, recent = read.file, mode == "3"
    return Plan(
        rules=read.rules,
        interval=file.rhythm if recent else timedelta(0),
        rhythm=file.rhythm,
        order=file.group_eval_order,
        fuzzy=recent if file.fuzzy_compare is None else file.fuzzy_compare,
    )


def _neighbours(store: MetricStore, mode: Mode, rhythm: timedelta) -> Neighbours:
    """Return what groups talk to; subqueries without a step take the rounds'."""
    step_ms = rhythm // timedelta(milliseconds=1)
    engine = Engine(store, options=Options(mode=mode, default_step_ms=step_ms))
    instruments = RuleInstruments(Registry(version=VERSION))
    return Neighbours(EmbeddedQueries(engine), _Results(store), _nobody, instruments)


class _Results(RuleSink):
    """Stores what rules write, but not what Tocsin notes of its groups: a test sees its own."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Store one value per series of `layout`."""
        if any(labels.value(METRIC_NAME) == HEARTBEAT for labels in layout.labels):
            return Appended(len(layout.labels))
        return self._store.append(tenant, layout, ts_ms, values)


async def _nobody(_tenant: TenantId, _alerts: Sequence[Alert]) -> None:
    """Tell nobody: it is a test."""
