"""`/prometheus/federate`: the newest samples of the series selected, as a page to scrape.

A sample counts for five minutes, unless a staleness marker ended its series. Every sample
stands with its own time. As Prometheus does, the page gives no types: a part of a family may
be all that was selected. Sources: Prometheus "Federation"; "Exposition formats"; OpenMetrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Protocol

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint
from tocsin.api.prometheus_form import Form
from tocsin.model.clock import Clock
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher
from tocsin.model.sample import Sample, is_stale
from tocsin.model.series import Series
from tocsin.model.slots import to_ms
from tocsin.model.tenant import TenantId
from tocsin.promql.format import general
from tocsin.security.permissions import Permission

LOOKBACK = timedelta(minutes=5)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_TEXT = "text/plain"
_OPENMETRICS = "application/openmetrics-text"
_LEVELS = {_TEXT: ("", "0.0.4", "1.0.0"), _OPENMETRICS: ("", "0.0.1", "1.0.0")}


class Selected(Protocol):
    """The samples that can be federated."""

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return the samples with start <= t <= end of the series that satisfy every matcher."""
        ...


@dataclass(frozen=True, slots=True)
class PageFormat:
    """A format of pages: which of the two, and whether names may be any UTF-8."""

    openmetrics: bool
    any_name: bool

    @property
    def content_type(self) -> str:
        """Return how the page is called."""
        if self.openmetrics:
            kind = f"{_OPENMETRICS}; version=1.0.0; charset=utf-8"
        else:
            level = "1.0.0" if self.any_name else "0.0.4"
            kind = f"{_TEXT}; version={level}; charset=utf-8"
        return f"{kind}; escaping=allow-utf-8" if self.any_name else kind


@dataclass(frozen=True, slots=True)
class FederationApi:
    """The route that lets another Prometheus collect from us."""

    selected: Selected
    clock: Clock

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes, to stand below `/prometheus`."""
        return (Endpoint("/federate", ("GET",), Permission.QUERY, self.federate),)

    async def federate(self, call: Call) -> Response:
        """Answer with the newest sample of every series that a `match[]` selects."""
        form = await Form.of(call)
        page = format_of(call.request.headers.get("accept", ""))
        found = self._newest(call.tenant, form.selectors())
        text = "".join(_lines(found, page))
        return Response(text, headers={"Content-Type": page.content_type})

    def _newest(self, tenant: TenantId, selectors: list[tuple[Matcher, ...]]) -> list[Sample]:
        """Return the newest sample of each series, by metric name and labels."""
        now_ms = to_ms(self.clock.now())
        start_ms = to_ms(self.clock.now() - LOOKBACK) + 1
        found: dict[Labels, Sample] = {}
        for matchers in selectors:
            for each in self.selected.select(tenant, matchers, start_ms=start_ms, end_ms=now_ms):
                value = float(each.values[-1])
                if not is_stale(value):
                    found[each.labels] = Sample(each.labels, int(each.times[-1]), value)
        named = [sample for sample in found.values() if METRIC_NAME in sample.labels]
        return sorted(named, key=_order)


def format_of(accept: str) -> PageFormat:
    """Return the format that a scraper likes best; text 0.0.4 where it names none we have."""
    best, chosen = 0.0, PageFormat(openmetrics=False, any_name=False)
    for offer in accept.split(","):
        media, *rest = [part.strip() for part in offer.split(";")]
        named = dict(part.partition("=")[::2] for part in rest)
        weight = _weight(named.get("q", "1"))
        if named.get("version", "") in _LEVELS.get(media.lower(), ()) and weight > best:
            any_name = named.get("escaping") == "allow-utf-8"
            best, chosen = weight, PageFormat(media.lower() == _OPENMETRICS, any_name)
    return chosen


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _order(sample: Sample) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample.labels.value(METRIC_NAME), sample.labels.pairs


def _lines(samples: Iterable[Sample], page: PageFormat) -> Iterator[str]:
    kind = "unknown" if page.openmetrics else "untyped"
    for name, family in groupby(samples, key=lambda sample: sample.labels.value(METRIC_NAME)):
        shown = name if page.any_name else _plain(name, _METRIC)
        quoted = shown if _METRIC.fullmatch(shown) else f'"{shown.translate(_ESCAPES)}"'
        yield f"# TYPE {quoted} {kind}\n"
        for sample in family:
            yield _line(quoted, sample, page)
    if page.openmetrics:
        yield "# EOF\n"


def _line(name: str, sample: Sample, page: PageFormat) -> str:
    """Return one sample; a name that needs quotes stands between the braces."""
    pairs = [_pair(*pair, page) for pair in sample.labels.pairs if pair[0] != METRIC_NAME]
    inner = ",".join([name, *pairs] if name.startswith('"') else pairs)
    braces = f"{{{inner}}}" if inner else ""
    before = braces if name.startswith('"') else name + braces
    return f"{before} {general(sample.value)} {_time(sample.ts_ms, page)}\n"


def _pair(name: str, value: str, page: PageFormat) -> str:
    shown = name if page.any_name else _plain(name, _LABEL)
    quoted = shown if _LABEL.fullmatch(shown) else f'"{shown.translate(_ESCAPES)}"'
    return f'{quoted}="{value.translate(_ESCAPES)}"'


def _plain(name: str, form: re.Pattern[str]) -> str:
    """Return a name with underscores for what the old formats do not allow in one."""
    if form.fullmatch(name):
        return name
    first = "_" if name[0].isdigit() else ""
    return first + "".join(char if form.fullmatch("_" + char) else "_" for char in name)


def _time(ts_ms: int, page: PageFormat) -> str:
    """Return a time: milliseconds in the text format, seconds in OpenMetrics."""
    if not page.openmetrics:
        return str(ts_ms)
    sign, (whole, rest) = "-" if ts_ms < 0 else "", divmod(abs(ts_ms), 1000)
    return f"{sign}{whole}.{rest:03d}" if rest else f"{sign}{whole}"
