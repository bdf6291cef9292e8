"""For every alert of every pack a fault is put into a house at work, and its webhook is told.

The faults are the data of the packs' unit tests, in virtual time: samples come when they are due,
rule groups keep their slots, and alerts go through the alert stage, grouping, incidents and outbox
to the webhook provider. Only the disk of alerts and the wire are in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import msgspec
import pytest
from virtual_time import run_in_virtual_time

from tocsin.alert_manager.fakes import Commit, MemoryLog, MemorySnapshots
from tocsin.app.pipeline import House, Outside, assemble
from tocsin.app.tenancy import rules_of
from tocsin.config_loader.convert import convert
from tocsin.config_loader.load import load
from tocsin.config_loader.loaded import TenantSettings
from tocsin.config_loader.packs import pack_names, pack_tests, read_pack
from tocsin.config_loader.schema import defaults_of, receivers_of
from tocsin.config_loader.tree import parse
from tocsin.correlation_engine.fakes import MemoryIncidents
from tocsin.metrics_collector.backend.fakes import FakeBackend
from tocsin.metrics_collector.fakes import FakeFetch
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.model.codec import encode
from tocsin.model.events import EntryKind, LogEntry
from tocsin.model.labels import Labels
from tocsin.model.notification import HttpAnswer
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.notification_dispatcher.fakes import FakeHttp, FakeSmtp, LoopClock, MemoryOutbox
from tocsin.notification_dispatcher.ports import Attempt, HttpCall
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.receivers import Receivers
from tocsin.notification_dispatcher.registry import providers
from tocsin.notification_dispatcher.render import template_set
from tocsin.rule_engine.config import RuleFile
from tocsin.rule_engine.unittest_file import RuleTest, RuleTestFile, input_samples
from tocsin.storage.stores import Stores
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.options import Options
from tocsin.timeseries.store import MetricStore

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALWAYS = {"Watchdog"}  # never resolves
CONFIG = """\
tenant: {tenant}
server: {{ auth: none }}
rule_packs: [{{ name: {pack}, without: [{others}] }}]
evaluation_interval: {rhythm}
alertmanager:
  route: {{ receiver: team, group_by: ["..."], group_wait: 1s, group_interval: 1m }}
  receivers: [{{ name: team, webhook_configs: [{{ url: "http://hook.test/{tenant}" }}] }}]
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """One unit test of a pack: what goes wrong, and what is expected of it."""

    pack: str
    file: str
    number: int
    rhythm: timedelta
    test: RuleTest

    @property
    def tenant(self) -> TenantId:
        """Return the tenant it happens to."""
        return tenant_id(f"{self.file.removesuffix('.yml').replace('.', '-')}-{self.number}")

    def expected(self) -> set[Labels]:
        """Return the label sets of the alerts that must fire."""
        return {
            Labels.of({**alert.exp_labels, "alertname": case.alertname})
            for case in self.test.alert_rule_test
            for alert in case.exp_alerts
        }

    @property
    def alerts(self) -> set[str]:
        """Return the names of the alerts it is about."""
        return {case.alertname for case in self.test.alert_rule_test}

    @property
    def begins(self) -> timedelta:
        """Return when the first alert may come: before, there is but history to record."""
        first = min(case.eval_time for case in self.test.alert_rule_test)
        return max(first - 2 * self.rhythm, timedelta(0))

    @property
    def lasts(self) -> timedelta:
        """Return how long to watch: rounds have phases of their own, so two more than asked."""
        return self.test.lasts + 2 * self.rhythm + timedelta(minutes=2)


def every_fault() -> Iterator[Fault]:
    for pack in pack_names():
        for name, text in pack_tests(pack).items():
            root = parse(text, file=name).root
            assert root is not None
            file = convert(root, RuleTestFile).value
            assert file is not None
            for number, test in enumerate(file.tests):
                if test.alert_rule_test:
                    yield Fault(pack, name, number, file.rhythm, test)


FAULTS = list(every_fault())


class Reporting(MemoryOutbox):
    """An outbox that tells the alert log how notifications ended."""

    def __init__(self) -> None:
        super().__init__()
        self.log: MemoryLog | None = None

    async def settle(self, tenant: TenantId, attempt: Attempt) -> None:
        before = len(self.reports)
        await super().settle(tenant, attempt)
        assert self.log is not None
        for report in self.reports[before:]:
            await self.log.append(tenant, LogEntry(EntryKind.REPORT, attempt.at, encode(report)))


class Linked(MemoryLog):
    """An alert log whose commits reach outbox and incidents, as one database has them."""

    def __init__(self, outbox: MemoryOutbox, incidents: MemoryIncidents) -> None:
        super().__init__()
        self._outbox, self._incidents = outbox, incidents

    def _commit(self, commit: Commit, future: asyncio.Future[None]) -> None:
        super()._commit(commit, future)
        self._incidents.put(commit.tenant, commit.delta.incidents)
        self._outbox.commit(commit.tenant, commit.delta.notifications, commit.delta.replaced)


@dataclass(slots=True)
class Town:
    """A house at work, and what its webhook was told: label sets by tenant and status."""

    house: House
    series: MetricStore
    clock: LoopClock
    folder: Path
    told: dict[tuple[str, str], set[Labels]] = field(default_factory=dict)

    async def take(self, call: HttpCall) -> HttpAnswer:
        """Take one webhook request."""
        body, tenant = json.loads(call.body), call.url.rpartition("/")[2]
        for alert in body["alerts"]:
            known = self.told.setdefault((tenant, alert["status"]), set())
            known.add(Labels.of(alert["labels"]))
        return HttpAnswer(200)

    async def suffer(self, fault: Fault) -> None:
        """Let a fault happen to a tenant of its own, from beginning to end."""
        settings = self._settings(fault)
        tenant, house = settings.id, self.house
        house.budgets.put(tenant, settings.query)
        await house.rules.start(tenant, rules_of(settings, "http://tocsin.test"))
        feeding = asyncio.create_task(self._feed(fault))
        await self.clock.sleep_until(EPOCH + fault.begins)
        await house.correlate.start(tenant)
        await house.notify.start(tenant, self._receivers(settings))
        await house.alerts.start(tenant, settings.alertmanager.engine)
        await feeding
        await self.clock.sleep_until(EPOCH + fault.lasts)
        await house.rules.stop(tenant)
        await house.alerts.stop_tenant(tenant)
        await house.notify.stop_tenant(tenant)

    async def _feed(self, fault: Fault) -> None:
        """Store the samples when they are due."""
        samples = input_samples(fault.test, interval=fault.test.interval or fault.rhythm)
        first = 0
        while first < len(samples):
            at = samples[first].ts_ms
            last = first
            while last < len(samples) and samples[last].ts_ms == at:
                last += 1
            await self.clock.sleep_until(EPOCH + timedelta(milliseconds=at))
            appended = self.series.append_samples(fault.tenant, samples[first:last])
            assert appended.refused == {}
            first = last

    def _settings(self, fault: Fault) -> TenantSettings:
        """Return the settings of a tenant that has the alerts of the fault, in its rhythm."""
        path = self.folder / f"{fault.tenant}.yaml"
        rhythm = f"{fault.rhythm // timedelta(seconds=1)}s"
        others = ", ".join(set(read_pack(fault.pack).alerts) - fault.alerts)
        text = CONFIG.format(tenant=fault.tenant, pack=fault.pack, rhythm=rhythm, others=others)
        path.write_text(text)
        (settings,) = load(path).config.tenants
        files = {name: _in_one_rhythm(file) for name, file in settings.rule_files.items()}
        assert list(files) == [f"pack:{fault.pack}"]
        return replace(settings, rule_files=files)

    def _receivers(self, settings: TenantSettings) -> Receivers:
        written = settings.alertmanager
        return Receivers(
            receivers=receivers_of(written.file),
            defaults=defaults_of(written.file),
            templates=template_set(self.clock.now),
            external_url="http://tocsin.test",
            providers=providers(),
        )


def _in_one_rhythm(file: RuleFile) -> RuleFile:
    """Return the groups that have an alert, without intervals of their own."""
    with_alerts = (group for group in file.groups if any(rule.alert for rule in group.rules))
    return RuleFile(groups=[msgspec.structs.replace(group, interval=None) for group in with_alerts])


@asynccontextmanager
async def a_town(folder: Path) -> AsyncIterator[Town]:
    """Give a house at work in virtual time that begins at the epoch."""
    clock, serial = LoopClock(EPOCH), count()
    clock.now()
    http, outbox, incidents = FakeHttp(), Reporting(), MemoryIncidents()
    log = outbox.log = Linked(outbox, incidents)
    series = MetricStore(folder / "metrics", Options(retention=timedelta(days=30)))
    stores = Stores(
        alerts=log,
        snapshots=MemorySnapshots(log),
        outbox=outbox,
        deliveries=outbox,
        incidents=incidents,
        history=None,  # type: ignore[arg-type]  # nobody tidies up here
        _close=_nothing,
    )
    outside = Outside(
        wire=Wire(http=http, smtp=FakeSmtp()),
        fetch=FakeFetch(),
        exchange=FakeBackend(),
        process=ProcessMetrics(),
        clock=clock,
        rng=lambda: 0.5,
        ids=lambda: f"00000000-0000-4000-8000-{next(serial):012d}",
    )
    house = assemble(stores, series, outside, Registry(version="0"))
    town = Town(house, series, clock, folder)
    http.answer = town.take
    try:
        yield town
    finally:
        await house.rules.stop_all()
        await house.alerts.stop()
        await house.notify.stop()
        series.close()


async def _nothing() -> None:
    """Close nothing."""


def test_every_alert_of_every_pack_has_a_fault() -> None:
    alerts = {alert for name in pack_names() for alert in read_pack(name).alerts}
    assert {labels["alertname"] for fault in FAULTS for labels in fault.expected()} == alerts


def test_every_alert_is_asked_for_before_and_after_it_fires() -> None:
    for fault in FAULTS:
        cases = fault.test.alert_rule_test
        for name in {case.alertname for case in cases} - ALWAYS:
            asked = sorted((c.eval_time, bool(c.exp_alerts)) for c in cases if c.alertname == name)
            fires = [fires for _, fires in asked]
            assert (fires[0], any(fires), fires[-1]) == (False, True, False), name


@pytest.mark.timeout(300)
def test_a_fault_behind_every_alert_reaches_the_webhook_and_its_end_too(tmp_path: Path) -> None:
    told = run_in_virtual_time(suffered(tmp_path))
    for fault in FAULTS:
        expected = fault.expected()
        assert expected - told[fault.tenant, "firing"] == set()
        left = expected - told[fault.tenant, "resolved"]
        assert {labels["alertname"] for labels in left} <= ALWAYS


async def suffered(folder: Path) -> dict[tuple[str, str], set[Labels]]:
    """Let every fault happen, each to a tenant of its own; return what webhooks were told."""
    async with a_town(folder) as town, asyncio.TaskGroup() as group:
        for fault in FAULTS:
            group.create_task(town.suffer(fault))
    return town.told
