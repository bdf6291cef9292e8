"""Recording rules over the past: what to ask, in which pieces, and what comes of the answers.

Pure: who asks and who writes is the caller's business. As `promtool tsdb create-blocks-from
rules`, it evaluates on whole multiples of the interval and writes no staleness markers.
Unlike it, rules are taken in the order of their files, so that one may read another's results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.settings import Duration
from tocsin.promql.format import format_value
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import RuleDef, RuleKind, groups_of
from tocsin.rule_engine.reads import metrics_read

Points = Sequence[tuple[int, float]]
"""Samples of one series, as (Unix ms, value), oldest first."""
Rows = Mapping[Labels, Points]

MOST_POINTS = 10_000  # of a series in one question; Prometheus allows 11,000
_PIECE = timedelta(hours=2)  # as promtool: a block
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording rule to be evaluated every `interval`."""

    group: str
    rule: RuleDef
    interval: timedelta

    def __str__(self) -> str:
        """Return the rule's name and group."""
        return f"{self.rule.name} ({self.group})"

    @property
    def selector(self) -> str:
        """Return what selects the series the rule writes, as far as it is known beforehand."""
        pairs = [(METRIC_NAME, self.rule.name), *self.rule.labels]
        return "{" + ",".join(f"{n}={json.dumps(v, ensure_ascii=False)}" for n, v in pairs) + "}"

    def results(self, answer: Rows) -> dict[Labels, Points]:
        """Return an answer to the rule's expression as the series it writes.

        Raises InvalidInput when two elements became the same series.
        """
        over = {**dict(self.rule.labels), METRIC_NAME: self.rule.name}
        found = {labels.merged(over): points for labels, points in answer.items()}
        if len(found) < len(answer):
            raise InvalidInput(
                "vector contains metrics with the same labelset after applying rule labels"
            )
        return found


def recordings(files: Mapping[str, RuleFile], *, interval: timedelta) -> list[Recording]:
    """Return the recording rules of `files`, in their order.

    `interval` is that of groups that do not say.
    """
    settings = RuleSettings(evaluation_interval=Duration(seconds=interval.total_seconds()))
    groups = [group for name, file in files.items() for group in groups_of({name: file}, settings)]
    return [
        Recording(group.name, rule, group.interval)
        for group in groups
        for rule in group.rules
        if rule.kind is RuleKind.RECORDING
    ]


def pieces(start_ms: int, end_ms: int, interval: timedelta) -> Iterator[range]:
    """Yield the times of a rule from `start_ms` to `end_ms` inclusive, some hours at a time.

    >>> [list(piece) for piece in pieces(30_000, 180_000, timedelta(minutes=1))]
    [[60000, 120000, 180000]]
    """
    step = max(1, interval // _MS)
    count = min(MOST_POINTS, max(1, _PIECE // interval))
    first = -(-start_ms // step) * step
    times = range(first, end_ms + 1, step)
    for begin in range(0, len(times), count):
        yield times[begin : begin + count]


def dependent(rules: Sequence[Recording]) -> Iterator[tuple[Recording, Recording]]:
    """Yield each rule that reads what an earlier one writes, with the first such one."""
    for index, rule in enumerate(rules):
        reads = metrics_read(rule.rule.expr)
        for earlier in rules[:index]:
            if reads is None or earlier.rule.name in reads:
                yield rule, earlier
                break


def missing(results: Rows, present: Rows) -> dict[Labels, Points]:
    """Return the results without the samples that are there already."""
    lacking: dict[Labels, Points] = {}
    for labels, points in results.items():
        there = {ts_ms for ts_ms, _ in present.get(labels, ())}
        rest = [point for point in points if point[0] not in there]
        if rest:
            lacking[labels] = rest
    return lacking


def openmetrics(name: str, rows: Iterable[tuple[Labels, Points]]) -> Iterator[str]:
    """Yield lines of OpenMetrics text; a family begins with its type, written by the caller."""
    for labels, points in rows:
        pairs = labels.drop((METRIC_NAME,)).pairs
        shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in pairs)
        series = f"{name}{{{shown}}}" if shown else name
        for ts_ms, value in points:
            yield f"{series} {format_value(value)} {ts_ms / 1000:.3f}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
