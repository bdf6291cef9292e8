"""The same rules over the same data: evaluated here, and asked at a real Prometheus."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from house import running
from rule_bench import TENANT, Bench, Elements, Peer, Wire, benches

from tocsin.model.labels import Labels
from tocsin.model.slots import to_ms
from tocsin.promql.engine import Engine
from tocsin.promql.result import Matrix
from tocsin.rule_engine.alerting import State
from tocsin.rule_engine.views import AlertView

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=15)
RULES: dict[str, Any] = {
    "groups": [
        {
            "name": "recorded",
            "rules": [
                {"record": "host:load:max", "expr": "max by (host) (load)"},
                {
                    "record": "host:load:twice",
                    "expr": "host:load:max * 2",
                    "labels": {"made": "here", "host": ""},
                },
                {"record": "count:busy", "expr": "count(host:load:max > 5) or vector(0)"},
            ],
        },
        {
            "name": "alerts",
            "labels": {"team": "x"},
            "rules": [
                {
                    "alert": "Busy",
                    "expr": "host:load:max > 5",
                    "for": "45s",
                    "labels": {"severity": "{{ if gt $value 7.0 }}page{{ else }}mail{{ end }}"},
                    "annotations": {
                        "summary": "{{ $labels.host }} at {{ $value | humanize }}, "
                        '{{ query "count(load)" | first | value }} in all'
                    },
                },
                {
                    "alert": "Lingering",
                    "expr": "rate(requests_total[1m]) > 0.5",
                    "keep_firing_for": "40s",
                },
                {"alert": "Away", "expr": 'absent(load{host="b"})', "for": "30s"},
                {"alert": "Many", "expr": "count(ALERTS{alertstate='firing'}) > 1"},
                {"alert": "Flapping", "expr": "changes(load[2m]) > 3"},
                {"alert": "Broken", "expr": "load * on () load"},
            ],
        },
        {
            "name": "limited",
            "limit": 1,
            "rules": [{"alert": "TooMany", "expr": "load > 6"}],
        },
    ]
}


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    made = Peer(tmp_path / "prometheus")
    with running(made.process):
        yield made.start()


@pytest.fixture
async def wire(peer: Peer) -> AsyncIterator[Wire]:
    made = Wire(peer)
    yield made
    await made.close()


def data(dice: random.Random, number: int) -> Elements:
    """Return what is measured at one time: hosts come and go, a counter is reset."""
    found = {}
    for host in "abc":
        if dice.random() < 0.85 and not (host == "b" and 20 <= number < 45):
            found[Labels.of({"__name__": "load", "host": host})] = float(dice.randint(3, 9))
    counted = number % 17 * dice.choice((1, 9, 20))
    found[Labels.of({"__name__": "requests_total", "code": "500"})] = float(counted)
    return found


def seen(alert: AlertView) -> tuple[object, ...]:
    """Return what must be the same of an alert in both worlds."""
    times = (alert.active_at, alert.keep_firing_since)
    return (alert.labels, alert.annotations, alert.state, alert.value, *times)


def told(bench: Bench) -> list[tuple[object, ...]]:
    """Return what the next stage was told, without the order within a round."""
    alerts = sorted((a for _, a in bench.door.received), key=lambda a: (a.ends_at, a.labels.pairs))
    return [(a.labels, a.starts_at, a.ends_at, a.annotations) for a in alerts]


def kept(bench: Bench, selector: str, at: datetime) -> dict[Labels, list[tuple[int, float]]]:
    """Return the samples of an hour up to `at` in a store of ours, without markers."""
    found = Engine(bench.store).instant(TENANT, f"{selector}[1h]", at_ms=to_ms(at)).value
    assert isinstance(found, Matrix)
    return {
        series.labels: list(zip(series.times.tolist(), series.values.tolist(), strict=True))
        for series in found.series
    }


@pytest.mark.parametrize("seed", [1, 2])
async def test_alerts_and_their_states_are_the_same(
    peer: Peer, wire: Wire, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  # repeatable, not secret
    transitions = set()
    async with (
        benches(tmp_path / "here", RULES) as here,
        benches(tmp_path / "there", RULES, peer) as there,
    ):
        before: list[tuple[object, ...]] = []
        for number in range(80):
            at, elements = T0 + number * STEP, data(dice, number)
            here.feed(at, elements)
            await wire.feed(at, elements)
            await here.round(at)
            await there.round(at)
            now = [seen(alert) for alert in here.alerts()]
            assert [seen(alert) for alert in there.alerts()] == now, number
            assert here.errors().keys() == there.errors().keys(), (here.errors(), there.errors())
            transitions |= {(old[2], new[2]) for old in before for new in now if old[0] == new[0]}
            before = now
        assert told(there) == told(here)
        end = T0 + 80 * STEP
        for selector in ("host:load:max", "count:busy", "ALERTS", "ALERTS_FOR_STATE"):
            written = await eventually_equal(wire, selector, end, kept(here, selector, end))
            assert written
    assert (State.PENDING, State.FIRING) in transitions
    assert len(told(here)) > 100


async def eventually_equal(
    wire: Wire, selector: str, at: datetime, wanted: dict[Labels, list[tuple[int, float]]]
) -> bool:
    """Wait until what was written by remote write is all there, and compare it."""
    found: dict[Labels, list[tuple[int, float]]] = {}
    for _ in range(100):
        found = await wire.samples(selector, at)
        if found == wanted:
            return bool(found)
        await asyncio.sleep(0.1)
    assert found == wanted
    return False


SIMPLE: dict[str, Any] = {
    "groups": [
        {
            "name": "g",
            "rules": [
                {"record": "load:max", "expr": "max(load)"},
                {"alert": "Busy", "expr": "load:max > 5", "for": "30s"},
                {"alert": "Slow", "expr": "load > 5", "for": "20m"},
            ],
        }
    ]
}
LOAD = Labels.of({"__name__": "load"})


async def test_an_outage_of_the_backend_resolves_nothing_and_restarts_nothing(
    peer: Peer, wire: Wire, tmp_path: Path
) -> None:
    async with benches(tmp_path / "there", SIMPLE, peer) as bench:
        for number in range(4):
            await wire.feed(T0 + number * STEP, {LOAD: 9.0})
            await bench.round(T0 + number * STEP)
        before = bench.alerts()
        assert [alert.state for alert in before] == [State.FIRING, State.PENDING]
        peer.kill()
        for number in range(4, 9):
            await bench.round(T0 + number * STEP)
            assert bench.errors().keys() == {"load:max", "Busy", "Slow"}
            assert "connect" in bench.errors()["Slow"].lower()
            assert bench.alerts() == before
        ends = [alert.ends_at for _, alert in bench.door.received]
        assert max(ends) > T0 + 9 * STEP, "it goes on being sent, so that nobody ends it"
        peer.start()
        after = T0 + 9 * STEP
        await wire.feed(after, {LOAD: 9.0})
        await bench.round(after)
        assert bench.errors() == {}
        busy, slow = bench.alerts()
        assert [busy.active_at, slow.active_at] == [T0, T0]
        assert (busy.state, slow.state) == (State.FIRING, State.PENDING)
        assert all(alert.ends_at > after for _, alert in bench.door.received)
        times = [to_ms(T0 + number * STEP) for number in (0, 1, 2, 3, 9)]
        recorded = {Labels.of({"__name__": "load:max"}): [(t, 9.0) for t in times]}
        assert await eventually_equal(wire, "load:max", after, recorded)


async def test_a_pending_period_goes_on_after_a_restart_of_ours(
    peer: Peer, wire: Wire, tmp_path: Path
) -> None:
    async with benches(tmp_path / "there", SIMPLE, peer) as bench:
        for number in range(4):
            await wire.feed(T0 + number * STEP, {LOAD: 9.0})
            await bench.round(T0 + number * STEP)
    async with benches(tmp_path / "there", SIMPLE, peer) as bench:
        at = T0 + 6 * STEP
        await wire.feed(at, {LOAD: 9.0})
        await bench.round(at)
        busy, slow = bench.alerts()
        assert (busy.state, busy.active_at) == (State.FIRING, T0)
        assert slow.state is State.PENDING
        assert slow.active_at == T0 + 3 * STEP, "the outage does not count, what was does"
