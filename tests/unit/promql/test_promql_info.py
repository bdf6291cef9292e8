"""info() adds the labels of info series."""

import pytest

from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ExecutionError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.options import Options
from tocsin.promql.result import Matrix, Vector

TENANT = TenantId("a")
ME = {"instance": "a", "job": "1"}


def series(**extra: dict[str, str]) -> MemorySeries:
    """Hold metric{}, target_info{} with two data labels, and whatever is given, at time 0."""
    memory = MemorySeries()
    given = {"metric": {"label": "value"}, "target_info": {"data": "x", "other": "y"}} | extra
    for name, labels in given.items():
        memory.add(TENANT, Labels.of({"__name__": name, **ME, **labels}), [(0, 1.0)])
    return memory


def ask(query: str, memory: MemorySeries) -> list[dict[str, str]]:
    found = Engine(memory, options=Options(experimental=True)).instant(TENANT, query, at_ms=0)
    assert isinstance(found.value, Vector)
    gone = {"__name__", "instance", "job"}
    return [{k: v for k, v in labels.pairs if k not in gone} for labels in found.value.labels]


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("info(metric)", [{"label": "value", "data": "x", "other": "y"}]),
        ('info(metric, {data=~".+"})', [{"label": "value", "data": "x"}]),
        ('info(metric, {data=~".*"})', [{"label": "value", "data": "x"}]),
        ('info(metric, {data="z"})', []),
        ('info(metric, {none=~".*"})', [{"label": "value"}]),
        ('info(metric, {none=~".+"})', []),
        ('info(metric, {__name__="build_info"})', [{"label": "value", "version": "3"}]),
        (
            'info(metric, {__name__=~".+_info"})',
            [{"label": "value", "data": "x", "other": "y", "version": "3"}],
        ),
        ('info(build_info, {__name__="build_info"})', [{"version": "3"}]),
        ("info(nope)", []),
    ],
)
def test_labels_are_added(query: str, labels: list[dict[str, str]]) -> None:
    assert ask(query, series(build_info={"version": "3"})) == labels


def test_an_element_keeps_its_own_labels() -> None:
    assert ask("info(metric)", series(metric={"data": "mine"})) == [{"data": "mine", "other": "y"}]


def test_an_element_without_info_series_stays_as_it_is() -> None:
    assert ask("info(metric)", series(target_info={"job": "2"})) == [{"label": "value"}]


def test_two_info_series_that_disagree_are_an_error() -> None:
    memory = series(more_info={"data": "z"})
    with pytest.raises(ExecutionError, match="conflicting label: data"):
        ask('info(metric, {__name__=~".+_info"})', memory)


def test_two_info_series_of_one_name_and_time_are_an_error() -> None:
    memory = series()
    again = Labels.of({"__name__": "target_info", **ME, "data": "z"})
    memory.add(TENANT, again, [(0, 1.0)])
    with pytest.raises(ExecutionError, match="duplicate series for info metric target_info"):
        ask("info(metric)", memory)


def test_the_newest_info_series_applies_at_each_step() -> None:
    memory = series()
    memory.add(TENANT, Labels.of({"__name__": "metric", **ME, "label": "value"}), [(60_000, 2.0)])
    memory.add(TENANT, Labels.of({"__name__": "target_info", **ME, "data": "z"}), [(50_000, 1.0)])
    engine = Engine(memory, options=Options(experimental=True))
    query = 'info(metric, {data=~".+"})'
    found = engine.range(TENANT, query, start_ms=0, end_ms=60_000, step_ms=60_000).value
    assert isinstance(found, Matrix)
    assert [(s.labels.value("data"), s.values.tolist()) for s in found.series] == [
        ("x", [1]),
        ("z", [2]),
    ]
