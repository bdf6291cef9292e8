"""Unit tests of rules as structs: the file `promtool test rules` reads, unchanged.

Source: Prometheus, "Unit testing for rules". Times count from the beginning of the test.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels
from tocsin.model.sample import Sample
from tocsin.model.settings import Duration, duration
from tocsin.promql.series_notation import Point, read_metric, read_points


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file; other keys are faults."""


class InputSeries(_Strict, frozen=True, kw_only=True):
    """One series of the test's data."""

    series: str = ""
    """Name and labels, as in PromQL."""
    values: str = ""
    """Values, one per `interval`, in the expanding notation."""


class ExpectedAlert(_Strict, frozen=True, kw_only=True):
    """An alert that must fire; `alertname` goes without saying."""

    exp_labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Its labels, those of the rule included."""
    exp_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    """Its annotations, expanded."""


class AlertTest(_Strict, frozen=True, kw_only=True):
    """Which alerts of a name fire at a time."""

    eval_time: Duration = duration("0")
    """When."""
    alertname: str = ""
    """Which alert; of every group that has it."""
    exp_alerts: list[ExpectedAlert] = msgspec.field(default_factory=list)
    """All that fire; none means that nothing may."""


class ExpectedSample(_Strict, frozen=True, kw_only=True):
    """An element an expression must give."""

    labels: str = ""
    """Name and labels, as in PromQL."""
    value: float = 0.0
    """Its value; NaN equals nothing, as upstream."""
    histogram: str = ""
    """Its value as a native histogram: known here to be refused with a reason."""


class ExprTest(_Strict, frozen=True, kw_only=True):
    """What an expression gives at a time."""

    expr: str = ""
    """PromQL."""
    eval_time: Duration = duration("0")
    """When."""
    exp_samples: list[ExpectedSample] = msgspec.field(default_factory=list)
    """All elements, in any order."""


class RuleTest(_Strict, frozen=True, kw_only=True):
    """One test: data, and what the rules make of it."""

    name: str = ""
    """What reports call it."""
    interval: Duration | None = None
    """Between two values of a series; absent or 0: `evaluation_interval`."""
    input_series: list[InputSeries] = msgspec.field(default_factory=list)
    """The data."""
    alert_rule_test: list[AlertTest] = msgspec.field(default_factory=list)
    """What fires when."""
    promql_expr_test: list[ExprTest] = msgspec.field(default_factory=list)
    """What expressions give, once every round is over."""
    external_labels: dict[str, str] = msgspec.field(default_factory=dict)
    """`$externalLabels` of templates."""
    external_url: str = ""
    """`$externalURL` of templates."""

    @property
    def lasts(self) -> timedelta:
        """Return the time of the last question."""
        return max((case.eval_time for case in self.cases), default=timedelta(0))

    @property
    def cases(self) -> tuple[AlertTest | ExprTest, ...]:
        """Return every question."""
        return (*self.alert_rule_test, *self.promql_expr_test)


class RuleTestFile(_Strict, frozen=True, kw_only=True):
    """A whole file."""

    rule_files: list[str] = msgspec.field(default_factory=list)
    """Rule files, globs allowed, relative to this file."""
    evaluation_interval: Duration = duration("1m")
    """Between two rounds of the rules; 0 means 1m."""
    group_eval_order: list[str] = msgspec.field(default_factory=list)
    """Names of groups that are evaluated first, in this order."""
    tests: list[RuleTest] = msgspec.field(default_factory=list)
    """The tests; each begins with nothing."""
    fuzzy_compare: bool | None = None
    """Whether numbers may differ in their last bit; absent: as the PromQL mode has it."""

    @property
    def rhythm(self) -> timedelta:
        """Return the time between two rounds."""
        return self.evaluation_interval or timedelta(minutes=1)


def input_samples(test: RuleTest, *, interval: timedelta) -> list[Sample]:
    """Return the data of a test in order of time; its first values lie at 0.

    A series written twice is the later one; of several values at one time the first counts.
    Raises InvalidInput.
    """
    step_ms = interval // timedelta(milliseconds=1)
    series = dict(_series(given, step_ms) for given in test.input_series)
    samples = [Sample(labels, at, v) for labels, points in series.items() for at, v in points]
    return sorted(samples, key=lambda sample: sample.ts_ms)


def _series(given: InputSeries, step_ms: int) -> tuple[Labels, list[tuple[int, float]]]:
    """Return the labels of a series, and its samples as (time in ms, value)."""
    metric = read_metric(f"{given.series} {given.values}")
    points = read_points(metric.rest)
    if Point.NATIVE in points:
        raise InvalidInput(
            f"{given.series}: native histograms are not supported; write the classic form, "
            "a series for each bucket (le), _sum and _count"
        )
    found: dict[int, float] = {}
    for index, point in enumerate(points):
        if isinstance(point, float):
            found.setdefault(index * step_ms, point)
    return metric.labels, list(found.items())
