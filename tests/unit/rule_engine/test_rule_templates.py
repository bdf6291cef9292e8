"""Labels and annotations of alerts are Go templates over the element that made the alert."""

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.errors import InvalidInput, Unreachable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.sample import Sample
from tocsin.model.slots import to_ms
from tocsin.model.tenant import tenant_id
from tocsin.rule_engine.alerting import ActiveAlert, State
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup, RuleSettings
from tocsin.rule_engine.definition import RuleDef, groups_of
from tocsin.rule_engine.evaluation import AlertingRun
from tocsin.rule_engine.fakes import FakeQueries
from tocsin.rule_engine.rendering import MAX_PASSES, Renderer
from tocsin.rule_engine.rounds import Round
from tocsin.rule_engine.sending import Sender

ACME = tenant_id("acme")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
MIN = timedelta(minutes=1)
UP = Labels.of({"__name__": "up", "host": "a"})


def rule(labels: dict[str, str] | None = None, **annotations: str) -> RuleDef:
    made = Rule(alert="Down", expr="up == 0", labels=labels or {}, annotations=annotations)
    [group] = groups_of({"f": RuleFile(groups=[RuleGroup(name="g", rules=[made])])}, RuleSettings())
    return group.rules[0]


class Bench:
    """One rule, round after round, and what its templates asked and failed."""

    def __init__(self, definition: RuleDef) -> None:
        self.failures = 0.0
        self.queries = FakeQueries()
        region = Labels.of({"region": "eu"})
        renderer = Renderer(definition, region, "http://x/prom", failed=self._failed)
        sender = Sender(MIN, MIN, region, "http://x/prom")
        self._run = AlertingRun(definition, renderer, sender)
        self._rounds = 0

    def _failed(self, count: float) -> None:
        self.failures += count

    async def alerts(self, *samples: Sample) -> list[ActiveAlert]:
        self._rounds += 1
        self.queries.answers["up == 0"] = samples
        at = T0 + self._rounds * MIN
        await self._run.evaluate(Round(ACME, self.queries, at, to_ms(at) - 7, limit=0))
        return self._run.alerts()

    async def annotations(self, value: float = 0.0) -> dict[str, str]:
        [alert] = await self.alerts(Sample(UP, 7, value))
        return dict(alert.annotations)

    def asked(self) -> list[str]:
        return [expr for _, expr, _ in self.queries.asked if expr != "up == 0"]


async def test_the_variables_of_a_rule_are_there() -> None:
    text = "{{ $labels.host }} {{ $value }} {{ $externalLabels.region }} {{ $externalURL }}"
    bench = Bench(rule(a=text, b="{{ $labels.__name__ }}{{ $labels.nope }}", c="plain"))
    assert await bench.annotations(2.5) == {"a": "a 2.5 eu http://x/prom", "b": "up", "c": "plain"}


async def test_labels_are_templates_too_and_an_empty_one_removes_the_label() -> None:
    bench = Bench(rule({"who": "team-{{ $labels.host }}", "host": "{{ $labels.nope }}"}))
    assert [dict(alert.labels) for alert in await bench.alerts(Sample(UP, 7, 1))] == [
        {"alertname": "Down", "who": "team-a"}
    ]


async def test_a_failing_template_becomes_the_text_of_its_error_and_is_counted() -> None:
    bench = Bench(rule(a='{{ reReplaceAll "(" "" $labels.host }}', b="fine"))
    annotations = await bench.annotations()
    assert annotations["a"].startswith("<error expanding template: ")
    assert "__alert_Down" in annotations["a"]
    assert annotations["b"] == "fine"
    assert bench.failures == 1


async def test_a_query_is_asked_once_and_its_answer_used() -> None:
    text = (
        '{{ with query "load" }}{{ . | first | value }} on {{ . | first | label "host" }}{{ end }}'
    )
    bench = Bench(rule(a=text, b='{{ query "load" | first | value }}'))
    bench.queries.answers["load"] = [Sample(UP, 7, 4.0)]
    assert await bench.annotations() == {"a": "4 on a", "b": "4"}
    assert bench.asked() == ["load"]
    assert bench.failures == 0


async def test_a_template_asks_at_the_time_of_the_round_whatever_the_offset_of_the_rule() -> None:
    bench = Bench(rule(a='{{ query "load" | first | value }}'))
    bench.queries.answers["load"] = [Sample(UP, 7, 4.0)]
    await bench.annotations()
    (*_, of_rule), (*_, of_template) = bench.queries.asked
    assert (of_rule, of_template) == (to_ms(T0 + MIN) - 7, to_ms(T0 + MIN))


async def test_a_query_may_depend_on_the_answer_to_another() -> None:
    bench = Bench(rule(a='{{ range query "x" }}{{ query .Labels.host | first | value }}{{ end }}'))
    bench.queries.answers["x"] = [Sample(UP, 7, 4.0)]
    bench.queries.answers["a"] = [Sample(EMPTY, 7, 9.0)]
    assert await bench.annotations() == {"a": "9"}


async def test_queries_are_asked_anew_in_every_evaluation() -> None:
    bench = Bench(rule(a='{{ query "load" | first | value }}'))
    bench.queries.answers["load"] = [Sample(UP, 7, 4.0)]
    await bench.annotations()
    bench.queries.answers["load"] = [Sample(UP, 7, 5.0)]
    assert await bench.annotations() == {"a": "5"}


async def test_a_failed_query_is_the_error_of_its_template() -> None:
    bench = Bench(rule(a='{{ query "load" | first | value }}'))
    bench.queries.answers["load"] = Unreachable("no answer in 2m")
    assert "no answer in 2m" in (await bench.annotations())["a"]
    assert bench.failures == 1


async def test_a_template_cannot_ask_for_ever() -> None:
    queries = "".join(f'{{{{ range query "q{n}" }}}}' for n in range(MAX_PASSES + 5))
    bench = Bench(rule(a=queries + "x" + "{{ end }}" * (MAX_PASSES + 5)))
    for n in range(MAX_PASSES + 5):
        bench.queries.answers[f"q{n}"] = [Sample(UP, 7, 1.0)]
    assert await bench.annotations() == {}
    assert len(bench.asked()) == MAX_PASSES


async def test_an_unchanged_element_is_not_rendered_anew_but_a_changed_one_is() -> None:
    bench = Bench(rule(a="{{ $value }}"))
    [first] = await bench.alerts(Sample(UP, 7, 1.0))
    [again] = await bench.alerts(Sample(UP, 8, 1.0))
    assert again.annotations is first.annotations
    assert await bench.annotations(2.0) == {"a": "2"}


async def test_a_text_without_the_value_stays_when_the_value_changes() -> None:
    bench = Bench(rule(a="{{ $labels.host }}"))
    [first] = await bench.alerts(Sample(UP, 7, 1.0))
    [again] = await bench.alerts(Sample(UP, 8, 2.0))
    assert again.annotations is first.annotations
    assert (first.value, again.value) == (1.0, 2.0)


async def test_a_failing_text_with_the_value_is_counted_when_it_is_rendered_for_somebody() -> None:
    bench = Bench(rule(a="{{ $value.nope }}"))
    await bench.annotations(1.0)
    await bench.annotations(2.0)
    assert bench.failures == 2


async def test_a_label_with_the_value_makes_another_alert_of_the_element() -> None:
    bench = Bench(rule({"level": "{{ if gt $value 5.0 }}high{{ else }}low{{ end }}"}))
    await bench.alerts(Sample(UP, 7, 1.0))
    found = await bench.alerts(Sample(UP, 8, 9.0))
    states = {alert.labels.value("level"): alert.state for alert in found}
    assert states == {"low": State.INACTIVE, "high": State.FIRING}


async def test_two_elements_that_become_one_alert_are_an_error() -> None:
    bench = Bench(rule({"host": "same"}))
    other = UP.merged({"host": "b"})
    with pytest.raises(InvalidInput, match="same labelset"):
        await bench.alerts(Sample(UP, 7, 1.0), Sample(other, 7, 1.0))


async def test_an_element_that_comes_twice_is_an_error() -> None:
    bench = Bench(rule())
    await bench.alerts(Sample(UP, 7, 1.0))
    with pytest.raises(InvalidInput, match="same labelset"):
        await bench.alerts(Sample(UP, 7, 1.0), Sample(UP, 7, 2.0))
    assert len(await bench.alerts(Sample(UP, 7, 1.0))) == 1


async def test_very_many_new_elements_are_rendered_with_pauses_in_between() -> None:
    bench = Bench(rule(a="{{ $labels.host }} {{ $value }}"))
    hosts = [UP.merged({"host": str(number)}) for number in range(300)]
    found = await bench.alerts(*(Sample(host, 7, 1.0) for host in hosts))
    assert [a.annotations["a"] for a in found] == [f"{number} 1" for number in range(300)]
