"""Rule groups over the real metric store and the real PromQL engine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tocsin.app.queries import EmbeddedQueries
from tocsin.model.labels import Labels
from tocsin.model.series import Layout
from tocsin.model.settings import from_scalar
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.result import Vector
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.fakes import FakeDoor
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.telemetry.metrics import Registry
from tocsin.timeseries.store import MetricStore

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SCRAPED = Layout("target", (Labels.of({"__name__": "load", "host": "a"}),))
RULES = {
    "groups": [
        {
            "name": "g",
            "rules": [
                {"record": "host:load:max", "expr": "max by (host) (load)"},
                {
                    "alert": "Busy",
                    "expr": "host:load:max > 5",
                    "for": "2m",
                    "labels": {"severity": "page"},
                    "annotations": {
                        "summary": "{{ $labels.host }} at {{ $value | humanize }}, "
                        '{{ query "count(load)" | first | value }} in all'
                    },
                },
            ],
        }
    ]
}


class Life:
    """One life of a process over a directory."""

    def __init__(self, path: Path) -> None:
        self.store = MetricStore(path)
        self.engine = Engine(self.store)
        self.door = FakeDoor()
        near = Neighbours(
            EmbeddedQueries(self.engine),
            self.store,
            self.door,
            RuleInstruments(Registry(version="0")),
        )
        file = msgspec.convert(RULES, RuleFile, dec_hook=from_scalar)
        [group] = groups_of({"rules.yml": file}, RuleSettings())
        self.run = GroupRun(GroupSpec(ACME, group, RuleSettings(), "http://x"), near)
        self.run.restore()

    async def at(self, minutes: float, load: float) -> State:
        at = T0 + timedelta(minutes=minutes)
        self.store.append(ACME, SCRAPED, to_ms(at), np.array([load]))
        await self.run.evaluate(at)
        errors = [rule.last_error for rule in self.run.view().rules if rule.last_error]
        assert errors == []
        return self.run.view().rules[1].state

    def ask(self, expr: str, minutes: float) -> dict[Labels, float]:
        at_ms = to_ms(T0 + timedelta(minutes=minutes))
        value = self.engine.instant(ACME, expr, at_ms=at_ms).value
        assert isinstance(value, Vector)
        return dict(zip(value.labels, value.values.tolist(), strict=True))


async def test_a_recorded_series_feeds_the_alert_of_the_same_round(tmp_path: Path) -> None:
    life = Life(tmp_path)
    states = [await life.at(minute, 9) for minute in range(3)]
    assert states == [State.PENDING, State.PENDING, State.FIRING]
    [(_, alert)] = life.door.received
    assert dict(alert.annotations) == {"summary": "a at 9, 1 in all"}
    assert dict(alert.labels) == {"alertname": "Busy", "host": "a", "severity": "page"}
    life.store.close()


async def test_alerts_can_be_queried_and_end_with_their_condition(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for minute in range(3):
        await life.at(minute, 9)
    [(labels, value)] = life.ask("ALERTS", 2).items()
    assert (labels["alertstate"], value) == ("firing", 1)
    assert list(life.ask("ALERTS_FOR_STATE", 2).values()) == [T0.timestamp()]
    assert await life.at(3, 1) is State.INACTIVE
    assert life.ask("ALERTS", 3) == {}
    life.store.close()


@pytest.mark.parametrize("down_for", [1, 45])
async def test_a_firing_alert_fires_on_after_a_restart(tmp_path: Path, down_for: int) -> None:
    before = Life(tmp_path)
    for minute in range(3):
        await before.at(minute, 9)
    before.store.close()
    after = Life(tmp_path)
    assert await after.at(2 + down_for, 9) is State.FIRING
    assert after.run.view().rules[1].alerts[0].active_at == T0
    after.store.close()


async def test_an_alert_that_had_ended_before_the_restart_starts_anew(tmp_path: Path) -> None:
    before = Life(tmp_path)
    for minute, load in enumerate((9, 9, 9, 1)):
        await before.at(minute, load)
    before.store.close()
    after = Life(tmp_path)
    assert await after.at(4, 9) is State.PENDING
    after.store.close()
