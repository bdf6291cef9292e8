"""The table of a rule's alerts: limits, what changed, and how little it remembers."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.output import Output
from tocsin.rule_engine.active import ActiveAlerts, Found
from tocsin.rule_engine.alert_series import AlertSeries
from tocsin.rule_engine.alerting import ActiveAlert, Seen, State, Timing
from tocsin.rule_engine.elements import Elements
from tocsin.rule_engine.ports import Answer
from tocsin.rule_engine.rows import Row, Timers

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)


def host(name: object) -> Labels:
    return Labels.of({"host": str(name)})


class Table:
    """The alerts of a rule whose elements are alerts as they are."""

    def __init__(self, timing: Timing) -> None:
        self.active = ActiveAlerts(timing, words=lambda *_: None)

    def at(self, minutes: float, names: Iterable[object], *, limit: int = 0) -> None:
        labels = tuple(host(name) for name in names)
        new = self.active.compare(Answer(labels, np.ones(len(labels))))
        found = [Found(at, labels[at], Seen(EMPTY, 1.0)) for at in new.appeared()]
        now = T0 + minutes * MIN
        self.active.step(new, found, now=now, limit=limit, since=lambda _: None)

    def states(self) -> dict[str, State]:
        return {alert.labels["host"]: alert.state for alert in self.active.all()}


def test_the_limit_counts_alerts_that_are_kept_firing_but_no_resolved_ones() -> None:
    table = Table(Timing(timedelta(0), keep_firing_for=MIN))
    table.at(0, "ab", limit=2)
    table.at(1, "bc", limit=3)
    with pytest.raises(InvalidInput, match="exceeded limit of 3 with 4 alerts"):
        table.at(1.5, "bcd", limit=3)
    assert table.states() == {}
    table.at(2, "bc", limit=2)
    table.at(4, "b", limit=2)
    table.at(6, "bd", limit=2)
    assert table.states() == {"b": State.FIRING, "c": State.INACTIVE, "d": State.FIRING}


def test_the_same_vector_begins_anew_after_alerts_were_dropped() -> None:
    table = Table(Timing(MIN))
    table.at(0, "ab")
    table.active.clear()
    table.at(1, "ab")
    assert table.states() == {"a": State.PENDING, "b": State.PENDING}


def test_a_round_without_change_says_that_nothing_changed() -> None:
    table = Table(Timing(timedelta(0)))
    table.at(0, "ab")
    assert [row.alert.labels["host"] for row in table.active.take_changed()] == ["a", "b"]
    table.at(1, "ba")
    assert table.active.take_changed() == []
    table.at(2, "b")
    assert [row.alert.state for row in table.active.take_changed()] == [State.INACTIVE]


def test_an_alert_that_would_fire_in_the_round_in_which_it_vanishes_does_not() -> None:
    table = Table(Timing(MIN))
    table.at(0, "ab")
    table.at(1, "b")
    assert table.states() == {"b": State.FIRING}


def test_alerts_that_come_and_go_leave_nothing_behind() -> None:
    table = Table(Timing(1000 * MIN))
    for number in range(300):
        table.at(number, [number, number + 1])
    assert len(table.states()) == 2
    assert len(table.active._timers._heap) < 100


def test_a_timer_is_set_anew_when_its_alert_changed() -> None:
    timers = Timers(Timing(MIN))
    row = Row(ActiveAlert(host("a"), EMPTY, 1.0, State.PENDING, active_at=T0))
    timers.set(row)
    row.alert = ActiveAlert(host("a"), EMPTY, 1.0, State.PENDING, active_at=T0 + MIN)
    timers.set(row)
    timers.set(row)
    assert timers.due(T0 + MIN) == []
    assert timers.due(T0 + 2 * MIN) == [row]
    assert timers.due(T0 + 9 * MIN) == []


def test_steady_alerts_are_written_with_the_same_layout_and_values() -> None:
    table, series, output = Table(Timing(MIN)), AlertSeries(), Output("g")
    table.at(0, "ab")
    first = series.batch(table.active, table.active.take_changed(), output)
    table.at(0.5, "ab")
    again = series.batch(table.active, table.active.take_changed(), output)
    assert first is not None
    assert again is not None
    assert again.layout is first.layout
    assert again.values is first.values
    assert series.count == len(first.values) == 4
    table.at(1, "ab")
    firing = series.batch(table.active, table.active.take_changed(), output)
    assert firing is not None
    assert len(firing.values) == 6
    assert firing.layout.labels[1] is first.layout.labels[1]


def test_equal_elements_are_known_by_the_newer_tuple() -> None:
    elements: Elements[str] = Elements()
    first, again = (host("a"), host("b")), (host("a"), host("b"))
    assert not elements.same(first)
    assert elements.find(first) == [None, None]
    elements.keep(first, ["A", "B"])
    assert elements.same(first)
    assert elements.same(again)
    assert elements.labels is again
    assert elements.find((host("b"), host("c"))) == ["B", None]
    elements.put(0, "C")
    assert elements.find((host("a"),)) == ["C"]
