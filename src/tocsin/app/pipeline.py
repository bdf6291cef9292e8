"""How an alert travels, on one screen. Read from below upward; every arrow is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.instruments import Instruments, StageCollector
from tocsin.app.budgets import Budgets
from tocsin.app.queries import EmbeddedQueries
from tocsin.app.remote_rules import TenantQueries, TenantSink
from tocsin.correlation_engine.correlate import Correlator
from tocsin.metrics_collector.backend.backends import Backends, Surroundings
from tocsin.metrics_collector.backend.instruments import BackendInstruments
from tocsin.metrics_collector.backend.ports import Exchange
from tocsin.metrics_collector.loop import Collector
from tocsin.metrics_collector.otlp.receiver import OtlpReceiver
from tocsin.metrics_collector.ports import Fetch
from tocsin.metrics_collector.process import ProcessMetrics
from tocsin.metrics_collector.receiver import Receiver
from tocsin.model.clock import Clock
from tocsin.notification_dispatcher.backoff import Rng
from tocsin.notification_dispatcher.dispatch import Dispatcher
from tocsin.notification_dispatcher.provider import Wire
from tocsin.notification_dispatcher.submit import submit
from tocsin.promql.engine import Engine
from tocsin.promql.plans.plans import Plans
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.reads import metrics_read
from tocsin.rule_engine.schedule import RuleGroups
from tocsin.storage.stores import Stores
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.store import MetricStore


@dataclass(frozen=True, slots=True)
class Outside:
    """The world beyond the process, and what makes one run differ from the next."""

    wire: Wire
    fetch: Fetch
    exchange: Exchange
    process: ProcessMetrics
    clock: Clock
    rng: Rng
    ids: Callable[[], str]


@dataclass(frozen=True, slots=True)
class House:
    """The stages, in the order an alert passes them."""

    metrics: Collector
    received: Receiver
    otlp: OtlpReceiver
    backends: Backends
    budgets: Budgets
    rules: RuleGroups
    alerts: Alerts
    correlate: Correlator
    notify: Dispatcher


def assemble(stores: Stores, series: MetricStore, outside: Outside, registry: Registry) -> House:
    """metric -> rule -> alert -> incident -> notification; escalation and report will follow."""
    clock = outside.clock
    notify = Dispatcher(
        outside.wire, outbox=stores.outbox, clock=clock, rng=outside.rng, registry=registry
    )
    correlate = Correlator(stores.incidents, submit=submit)
    alerts = Alerts(
        log=stores.alerts,
        snapshots=stores.snapshots,
        grouped=correlate.receive,
        clock=clock,
        ids=outside.ids,
        instruments=Instruments(registry.collectors),
    )
    registry.collectors.register(
        StageCollector(lambda: {t: alerts.status(t, clock.now()) for t in alerts.tenants()})
    )
    around = Surroundings(outside.exchange, clock, outside.rng, outside.ids, metrics_read)
    backends = Backends(around, BackendInstruments(registry))
    budgets = Budgets()
    plans = Plans(Engine(series, options_of=budgets.options), series, series)
    budgets.on_change(plans.forget)
    here = EmbeddedQueries(plans, lambda tenant: budgets.config(tenant).timeout)
    rules = RuleGroups(
        TenantQueries(here, backends),
        TenantSink(series, backends),
        alerts.receive,
        clock=clock,
        instruments=RuleInstruments(registry),
        memory=here,
    )
    metrics = Collector(
        series, outside.fetch, clock=clock, registry=registry, process=outside.process
    )
    received = Receiver(series, clock=clock, instruments=metrics.instruments)
    otlp = OtlpReceiver(series, clock=clock, instruments=metrics.instruments)
    return House(metrics, received, otlp, backends, budgets, rules, alerts, correlate, notify)
