"""What a round of one rule costs besides its query: alerts, series, sending, status.

    python bench/rounds.py [--sizes 0,100,1000,10000] [--rounds 40]

The query's answer is there already, what is written and sent is thrown away. A case is one
rule with N elements, evaluated every 15 s for ten minutes and more; firing alerts are sent
again each minute, so three rounds of four are quiet:

    plain      alerts fire, annotations do not use the value, values stay
    value      as above, but every value changes and the annotations use it
    record     a recording rule, every value changes
    churn      one alert in a hundred goes and another comes, every round
    unequal    plain, but every round brings other label objects with the same labels

Numbers are milliseconds of CPU, medians. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import numpy as np

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.series import Appended, Layout, Values
from tocsin.model.settings import from_scalar
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.rule_engine.config import RuleFile, RuleSettings
from tocsin.rule_engine.definition import groups_of
from tocsin.rule_engine.group import GroupRun, GroupSpec, Neighbours
from tocsin.rule_engine.instruments import RuleInstruments
from tocsin.rule_engine.ports import Answer, Queries, RuleSink
from tocsin.telemetry.metrics import Registry

SEED = 20261123
STEP = timedelta(seconds=15)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WARM = 9  # rounds before the first that counts; the first of all is told apart

PLAIN = {"summary": "{{ $labels.instance }} of {{ $labels.job }} is down", "runbook": "see wiki"}
VALUE = {
    "summary": "{{ $labels.instance }} of {{ $labels.job }} is at {{ $value | humanize }}",
    "detail": 'now {{ printf "%.2f" $value }}, look at {{ $labels.instance }}',
}

Vectors = Iterator[Answer]


class Given(Queries):
    """Answers every query with the next vector of a case."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self.next = next(vectors)

    def prepare(self) -> None:
        """Make the next answer, outside of what is timed."""
        self.next = next(self._vectors)

    async def instant(self, tenant: TenantId, expr: str, *, at_ms: int) -> Answer:
        """Return the vector prepared."""
        return self.next


class Nowhere(RuleSink):
    """Takes every sample and keeps none."""

    def append(self, tenant: TenantId, layout: Layout, ts_ms: int, values: Values) -> Appended:
        """Count what came."""
        return Appended(len(values))


async def nobody(_tenant: TenantId, _alerts: Sequence[Alert]) -> None:
    """Be told, and forget."""


def elements(size: int, *, first: int = 0) -> tuple[Labels, ...]:
    """Return label sets such as a threshold over scraped series leaves."""
    return tuple(
        Labels.of(
            {
                "__name__": "load",
                "job": "node",
                "instance": f"host-{number:06}:9100",
                "dc": f"dc{number % 7}",
            }
        )
        for number in range(first, first + size)
    )


def steady(size: int) -> Vectors:
    """Yield the same elements with the same values."""
    answer = Answer(elements(size), np.random.default_rng(SEED).uniform(0.5, 900, size))
    while True:
        yield answer


def moving(size: int) -> Vectors:
    """Yield the same elements with new values."""
    rng, labels = np.random.default_rng(SEED), elements(size)
    while True:
        yield Answer(labels, rng.uniform(0.5, 900, size))


def churning(size: int) -> Vectors:
    """Yield elements of which one in a hundred is replaced each time."""
    rng, labels = np.random.default_rng(SEED), list(elements(size))
    for fresh in count(size, max(1, size // 100)):
        yield Answer(tuple(labels), rng.uniform(0.5, 900, size))
        new = elements(size // 100, first=fresh)
        for place, each in zip(rng.choice(size, len(new), replace=False), new, strict=True):
            labels[place] = each


def unequal(size: int) -> Vectors:
    """Yield equal elements that are other objects each time."""
    values = np.random.default_rng(SEED).uniform(0.5, 900, size)
    while True:
        yield Answer(elements(size), values)


ALERT = {"alert": "Loaded", "expr": "load > 0.5", "labels": {"severity": "page"}}
CASES: dict[str, tuple[dict[str, Any], Callable[[int], Vectors]]] = {
    "plain": ({**ALERT, "annotations": PLAIN}, steady),
    "value": ({**ALERT, "annotations": VALUE}, moving),
    "record": ({"record": "host:load", "expr": "load"}, moving),
    "churn": ({**ALERT, "annotations": PLAIN}, churning),
    "unequal": ({**ALERT, "annotations": PLAIN}, unequal),
}


def group_run(rule: dict[str, Any], queries: Queries) -> GroupRun:
    """Return a group of one rule."""
    raw = {"groups": [{"name": "g", "interval": "15s", "rules": [rule]}]}
    file = msgspec.convert(raw, RuleFile, dec_hook=from_scalar)
    settings = RuleSettings(external_labels={"region": "eu"})
    [group] = groups_of({"f": file}, settings)
    near = Neighbours(queries, Nowhere(), nobody, RuleInstruments(Registry(version="0")))
    return GroupRun(GroupSpec(tenant_id("bench"), group, settings, "http://tocsin"), near)


async def measured(case: str, size: int, rounds: int) -> dict[str, float]:
    """Return the milliseconds of the first round, of quiet rounds and of those that send."""
    rule, vectors = CASES[case]
    queries = Given(vectors(size))
    run = group_run(rule, queries)
    took = []
    for number in range(WARM + rounds):
        began = time.process_time()
        await run.evaluate(BEGIN + number * STEP)
        took.append((time.process_time() - began) * 1e3)
        queries.prepare()
    every = int(timedelta(minutes=1) / STEP)
    sending = [ms for number, ms in enumerate(took) if number >= WARM and not number % every]
    quiet = [ms for number, ms in enumerate(took) if number >= WARM and number % every]
    return {
        "first": took[0],
        "quiet": statistics.median(quiet),
        "sending": statistics.median(sending),
        "mean": statistics.fmean(took[WARM:]),
    }


def main(args: Sequence[str]) -> None:
    """Measure every case at every size."""
    parser = argparse.ArgumentParser(description="CPU of a rule round besides its query.")
    parser.add_argument("--sizes", default="0,100,1000,10000")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args(args)
    sizes = [int(size) for size in given.sizes.split(",")]
    print(f"python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}")
    print(f"{'case':8} {'alerts':>7} {'first':>9} {'quiet':>9} {'sending':>9} {'mean':>9}  (ms)")
    table: dict[str, dict[str, dict[str, float]]] = {}
    for case in CASES:
        for size in sizes:
            found = asyncio.run(measured(case, size, given.rounds))
            table.setdefault(case, {})[str(size)] = {k: round(v, 4) for k, v in found.items()}
            shown = " ".join(f"{ms:9.3f}" for ms in found.values())
            print(f"{case:8} {size:7} {shown}", flush=True)
    print(json.dumps({"bench": "rounds", "unit": "ms", "rounds": given.rounds, "cases": table}))


if __name__ == "__main__":
    main(sys.argv[1:])
