"""From a target's answer to what is stored: the pure part of scraping.

Each scrape gives the page's samples under the target's labels, staleness markers for what
vanished, and the five series about the scrape itself (eight where the job asks for them). A
page that breaks a limit or the grammar fails as a whole: `up` is 0 and every series of the
target ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from tocsin.metrics_collector.exposition import PageParser, PageSamples
from tocsin.metrics_collector.known_series import KnownSeries, Samples
from tocsin.metrics_collector.negotiation import is_openmetrics
from tocsin.metrics_collector.page_shape import Places
from tocsin.metrics_collector.ports import TOO_LARGE, Page
from tocsin.metrics_collector.relabel import relabel
from tocsin.metrics_collector.target import Target, check_labels, with_target_labels
from tocsin.metrics_collector.timed_ends import TimedEnds
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.output import Batch, Output
from tocsin.model.sample import Metadata

REPORT_NAMES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
EXTRA_NAMES = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")
_SPARE = 1000  # series a target may have shown before and no longer, until they are forgotten
_HTTP_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 500: "Server Error"}


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Samples with times of the target's own; `samples` are numbered by `series`."""

    series: KnownSeries
    samples: Samples


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one scrape has to store. `error` is "" when it went well.

    `duplicates` counts samples of a series that stood on the page before; the first one counts,
    as in Prometheus.
    """

    batches: tuple[Batch, ...]
    timed: Timed | None = None
    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    exemplars: int = 0
    duplicates: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How a page with the same series in the same order is stored.

    `labels` are the series that share the time of the scrape, `positions` says where on the page
    they are, None for everywhere. `given` are the positions of samples with times, `timed` those
    that are stored, under the labels of `series`. `kept` is what relabelling leaves.
    """

    numbers: list[int]
    labels: tuple[Labels, ...]
    positions: Places | None
    kept: int = 0
    given: list[int] = field(default_factory=list)
    timed: Places | None = None
    series: KnownSeries = field(default_factory=KnownSeries)

    def serves(self, numbers: list[int], given: list[int]) -> bool:
        """Tell whether a page has the same series, and times at the same positions."""
        same = numbers is self.numbers or numbers == self.numbers
        return same and given == self.given


@dataclass(frozen=True, slots=True)
class _Counts:
    """What is told about a scrape: samples scraped, left by relabelling, of new series.

    `body` is the size of the page in bytes, -1 when it was too large.
    """

    up: float = 0.0
    scraped: int = 0
    kept: int = 0
    added: int = 0
    body: int = 0


class TargetSeries:
    """The series of one target from scrape to scrape."""

    def __init__(self, target: Target) -> None:
        """Begin with nothing known; `target` gives labels and limits."""
        self._target = target
        self._parser = PageParser()
        self._labels: list[Labels | None] = []  # None: a rule drops the series
        self._output = Output(f"scrape/{target.key}")
        self._plan: _Plan | None = None
        names = (*REPORT_NAMES, *(EXTRA_NAMES if target.extra else ()))
        reports = tuple(target.labels.merged({METRIC_NAME: name}) for name in names)
        self._reports = Output(f"scrape/{target.key}/report")
        self._report_labels = reports
        self._timed = TimedEnds(f"scrape/{target.key}/timed")
        self._seen: frozenset[Labels] = frozenset()

    def take(self, page: Page, *, took: timedelta) -> Scraped:
        """Return what a page gives; `took` is how long the answer took."""
        if page.status != 200:
            reason = _HTTP_REASONS.get(page.status, "")
            return self.fail(
                f"server returned HTTP status {page.status} {reason}".strip(), took=took
            )
        content_type = page.headers.get("content-type", "")
        openmetrics = is_openmetrics(content_type, self._target.fallback)
        try:
            found = self._parser.parse(page.body, openmetrics=openmetrics)
            plan = self._planned(found)
        except InvalidInput as error:
            self._forget()
            return self.fail(str(error), took=took)
        return self._stored(found, plan, took, body=len(page.body))

    def fail(self, error: str, *, took: timedelta) -> Scraped:
        """Return what a failed scrape gives: an end to every series, and `up` 0."""
        ends = (self._output.end(), self._timed.end())
        self._seen = frozenset()
        self._plan = None
        body = -1 if error.startswith(TOO_LARGE) else 0
        report = self._report(_Counts(body=body), took)
        return Scraped(tuple(b for b in (*ends, report) if b is not None), error=error)

    def adopt(self, before: TargetSeries) -> None:
        """Go on with the series of the same target as it was before a reload."""
        self._output = before._output
        self._reports = before._reports
        self._timed = before._timed
        self._seen = before._seen

    def end(self) -> tuple[Batch, ...]:
        """Return the end of every series, those about the scrape too: the target is gone."""
        ends = (self._output.end(), self._timed.end(), self._reports.end())
        return tuple(batch for batch in ends if batch is not None)

    def _planned(self, found: PageSamples) -> _Plan:
        """Return how to store the page: as last time, while it has the same series.

        Raises InvalidInput when a limit is broken.
        """
        numbers = found.numbers
        given = list(found.times) if self._target.honor_timestamps else []
        if self._plan is not None and self._plan.serves(numbers, given):
            return self._plan
        if not self._target.rules:  # a page far beyond the limit need not be looked into
            self._check_count(len(numbers))
        known = len(self._labels)
        self._labels += [self._relabelled(series) for series in self._parser.series[known:]]
        self._parser.release()
        plan = self._made(numbers, given)
        self._check_count(plan.kept)
        return plan

    def _check_count(self, count: int) -> None:
        limit = self._target.limits.samples
        if limit and count > limit:
            raise InvalidInput(f"sample limit exceeded ({count} samples)")

    def _relabelled(self, series: Labels) -> Labels | None:
        """Return the labels a series is stored under, None when a rule drops it."""
        target = self._target
        labels = with_target_labels(series, target.labels, honor=target.honor_labels)
        if target.rules:
            made = relabel(labels, target.rules)
            if not made:
                return None
            labels = Labels.of(made)
            if METRIC_NAME not in labels:
                raise InvalidInput(f"relabelling took the metric name from {series}"[:300])
        broken = check_labels(labels, target.limits)
        if broken:
            raise InvalidInput(f"{broken} in series {labels}"[:300])
        return labels

    def _forget(self) -> None:
        self._parser.forget()
        self._labels.clear()
        self._plan = None

    def _stored(self, found: PageSamples, plan: _Plan, took: timedelta, *, body: int) -> Scraped:
        values = found.values if plan.positions is None else found.values[plan.positions]
        batch = self._output.write(plan.labels, values)
        timed = None if plan.timed is None else _timed(found, plan.series, plan.timed)
        ended = self._ended(plan)
        count = len(found.numbers)
        report = self._report(_Counts(1.0, count, plan.kept, self._added(plan), body), took)
        if len(self._labels) > 2 * count + _SPARE:
            self._forget()
        batches = tuple(b for b in (batch, ended, report) if b is not None)
        duplicates = plan.kept - len(plan.labels) - len(plan.series.labels)
        return Scraped(batches, timed, found.metadata, found.exemplars, duplicates)

    def _ended(self, plan: _Plan) -> Batch | None:
        """Return the end of series with times of their own that are gone, if they are tracked."""
        if plan is self._plan or not self._target.track:
            return None
        return self._timed.write(plan.series.labels, beside=plan.labels)

    def _made(self, numbers: list[int], given: list[int]) -> _Plan:
        """Return how to store a page; O(samples), and all labels must be known."""
        first: dict[Labels, int] = {}
        timed: list[int] = []
        series, own, kept = KnownSeries(), set(given), 0
        for at, number in enumerate(numbers):
            labels = self._labels[number]
            if labels is None:
                continue
            kept += 1
            if at in own:
                timed.append(at)
                series.add(b"", labels)
            else:
                first.setdefault(labels, at)
        whole = len(first) == len(numbers)
        positions = None if whole else np.fromiter(first.values(), np.intp, len(first))
        places = np.array(timed, np.intp) if timed else None
        return _Plan(numbers, tuple(first), positions, kept, given, places, series)

    def _added(self, plan: _Plan) -> int:
        if plan is self._plan:
            return 0
        seen = frozenset(plan.labels)
        added = len(seen - self._seen)
        self._seen, self._plan = seen, plan
        return added

    def _report(self, counts: _Counts, took: timedelta) -> Batch | None:
        values = [
            counts.up,
            took.total_seconds(),
            float(counts.scraped),
            float(counts.kept),
            float(counts.added),
        ]
        if self._target.extra:
            target = self._target
            limit, body = float(target.limits.samples), float(counts.body)
            values += [target.timeout.total_seconds(), limit, body]
        return self._reports.write(self._report_labels, values)


def _timed(found: PageSamples, series: KnownSeries, places: Places) -> Timed:
    numbers = np.arange(len(places), dtype=np.int32)
    times = np.fromiter(map(found.times.__getitem__, places.tolist()), np.int64, len(places))
    return Timed(series, Samples(numbers, times, found.values[places]))


def scrape_time(slot: datetime, now: datetime, interval: timedelta) -> datetime:
    """Return the time of a scrape: its slot, unless it began late by over 1 % of the interval.

    Times on the grid compress far better (Prometheus does the same within 2 ms).
    """
    return slot if now - slot <= interval / 100 else now
