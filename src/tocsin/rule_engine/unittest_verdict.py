"""What is judged in a unit test of rules, and how a failure is told. Pure.

A failure reads as `promtool test rules` writes it: where, what was expected, what was got.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import ALERT_NAME, Labels, Pairs
from tocsin.promql.format import format_value
from tocsin.promql.series_notation import read_pairs
from tocsin.rule_engine.unittest_file import AlertTest, ExprTest


@dataclass(frozen=True, slots=True, order=True)
class Fired:
    """A firing alert, told or expected; empty annotations count."""

    labels: Pairs
    annotations: Pairs

    @classmethod
    def of(cls, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Fired:
        """Return what two mappings say."""
        return cls(tuple(sorted(labels.items())), tuple(sorted(annotations.items())))

    def __str__(self) -> str:
        """Return labels and annotations on two lines."""
        return f"Labels:{_pairs(self.labels)}\nAnnotations:{_pairs(self.annotations)}"


def alert_failure(case: AlertTest, got: Iterable[Fired]) -> str | None:
    """Return how the alerts that fire differ from those expected, None if they do not."""
    name = {ALERT_NAME: case.alertname}
    expected = sorted(
        Fired.of({**alert.exp_labels, **name}, alert.exp_annotations) for alert in case.exp_alerts
    )
    found = sorted(got)
    if expected == found:
        return None
    return (
        f"    alertname: {case.alertname}, time: {case.eval_time},\n"
        f"        exp:{_alerts(expected)},\n"
        f"        got:{_alerts(found)}"
    )


def expr_failure(case: ExprTest, got: Iterable[tuple[Labels, float]], *, fuzzy: bool) -> str | None:
    """Return how an answer differs from the one expected, None if it does not."""
    if any(sample.histogram for sample in case.exp_samples):
        return expr_error(case, "exp_samples: native histograms are not supported")
    try:
        expected = [(read_pairs(sample.labels), sample.value) for sample in case.exp_samples]
    except InvalidInput as error:
        return expr_error(case, str(error))
    expected.sort(key=_by_labels)
    found = sorted(((labels.pairs, value) for labels, value in got), key=_by_labels)
    if _same(expected, found, fuzzy=fuzzy):
        return None
    return f"{_asked(case)},\n        exp: {_samples(expected)}\n        got: {_samples(found)}"


def expr_error(case: ExprTest, reason: str) -> str:
    """Return how an expression failed."""
    return f"{_asked(case)}, err: {reason}"


def equal(left: float, right: float, *, fuzzy: bool) -> bool:
    """Tell whether two values are the same; `fuzzy` allows for the last bit. NaN never is.

    >>> equal(0.1 + 0.2, 0.3, fuzzy=False), equal(0.1 + 0.2, 0.3, fuzzy=True)
    (False, True)
    """
    near = math.nextafter(left, -math.inf), math.nextafter(left, math.inf)
    return left == right or (fuzzy and right in near)


_Element = tuple[Pairs, float]  # labels without a value count


def _same(expected: Sequence[_Element], got: Sequence[_Element], *, fuzzy: bool) -> bool:
    if len(expected) != len(got):
        return False
    pairs = zip(expected, got, strict=True)
    return all(a[0] == b[0] and equal(a[1], b[1], fuzzy=fuzzy) for a, b in pairs)


def _by_labels(element: _Element) -> Pairs:
    return element[0]


def _asked(case: ExprTest) -> str:
    shown = case.expr.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'    expr: "{shown}", time: {case.eval_time}'


def _samples(elements: Sequence[_Element]) -> str:
    return ", ".join(f"{_pairs(pairs)} {format_value(value)}" for pairs, value in elements) or "nil"


def _alerts(alerts: Sequence[Fired]) -> str:
    if not alerts:
        return "[]"
    rows = (
        f"{i}:\n  {str(alert).replace(chr(10), chr(10) + '  ')}" for i, alert in enumerate(alerts)
    )
    whole = "[\n" + ",\n".join(rows) + "\n]"
    return whole.replace("\n", "\n            ")


def _pairs(pairs: Pairs) -> str:
    inner = ", ".join(f"{name}={_quoted(value)}" for name, value in pairs)
    return "{" + inner + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
