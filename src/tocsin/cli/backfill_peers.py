"""Whom `tocsin rules backfill` talks to: an API that is asked, and where results go."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

from tocsin.cli.client import FORM_BODY, Client, Reply
from tocsin.metrics_collector.backend.encode import HEADERS, write_request
from tocsin.model.labels import Labels
from tocsin.rule_engine.backfill import Points, Recording, Rows, missing, openmetrics

_WITHIN_S = 300.0  # one question
_AT_ONCE = 5_000  # samples in a request
_TRIES = 6
_SHOWN = 300  # bytes of an answer


class Stopped(Exception):
    """The run cannot go on; the message says why."""


class Unanswered(Stopped):
    """Nobody answers."""


@dataclass(slots=True)
class Tally:
    """What became of the results of one rule, in samples; `refused` is what was said first."""

    rule: str
    group: str
    written: int = 0
    present: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """A Prometheus-compatible API, below `path` of its server."""

    client: Client
    path: str

    def values_at(self, expr: str, times: range) -> Rows:
        """Return the value of an expression at each of `times`. Raises Stopped."""
        params = {"start": times[0], "end": times[-1]}
        shown = {name: f"{value / 1000:.3f}" for name, value in params.items()}
        step = f"{times.step / 1000:.3f}"
        return self._rows("/api/v1/query_range", {"query": expr, "step": step, **shown})

    def samples(self, selector: str, times: range) -> Rows:
        """Return the samples of series from the first to the last of `times`. Raises Stopped."""
        length = times[-1] - times[0] + 1  # a range is open to the left
        asked = {"query": f"{selector}[{length}ms]", "time": f"{times[-1] / 1000:.3f}"}
        return self._rows("/api/v1/query", asked)

    def _rows(self, path: str, params: Mapping[str, str]) -> Rows:
        body = urllib.parse.urlencode(params).encode()
        reply = _answered(self.client, self.path + path, body, FORM_BODY)
        answer = reply.json()
        if not reply.ok or not isinstance(answer, dict) or answer.get("status") != "success":
            raise Stopped(f"{self.client.url}{self.path}{path}: {_told(reply)}")
        return dict(_row(series) for series in answer["data"]["result"])


class Writer(Protocol):
    """Where results go."""

    def write(self, rule: Recording, results: Rows, times: range, tally: Tally) -> None:
        """Write the results of a rule for some times. Raises Stopped."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteWriter(Writer):
    """Writes by remote write; `present` tells what is there already, None: nobody can."""

    client: Client
    path: str
    present: Api | None

    def write(self, rule: Recording, results: Rows, times: range, tally: Tally) -> None:
        """Write what is not there yet. Raises Stopped."""
        rows = results
        if self.present is not None and results:
            rows = missing(results, self.present.samples(rule.selector, times))
        tally.present += count(results) - count(rows)
        for part in _parts(rows):
            reply = _answered(self.client, self.path, write_request(part.items()), HEADERS)
            if reply.ok:
                tally.written += count(part)
            elif reply.status == 400:  # some were refused, and always will be
                tally.refused = tally.refused or _told(reply)
            else:
                raise Stopped(f"{self.client.url}{self.path}: {_told(reply)}")


@dataclass(slots=True)
class TextWriter(Writer):
    """Writes OpenMetrics text, to be ended by `end`."""

    out: IO[str]
    _family: str = ""

    def write(self, rule: Recording, results: Rows, times: range, tally: Tally) -> None:
        """Append the results of a rule for some times."""
        del times
        name = rule.rule.name
        if results and name != self._family:
            self.out.write(f"# TYPE {name} unknown\n")
            self._family = name
        self.out.writelines(openmetrics(name, results.items()))
        tally.written += count(results)

    def end(self) -> None:
        """Write what ends the text."""
        self.out.write("# EOF\n")


def count(rows: Rows) -> int:
    """Return how many samples there are."""
    return sum(map(len, rows.values()))


def _row(series: Mapping[str, Any]) -> tuple[Labels, Points]:
    if "histograms" in series:
        raise Stopped(f"{series['metric']}: native histograms are not supported")
    points = [(round(at * 1000), float(value)) for at, value in series["values"]]
    return Labels.of(series["metric"]), points


def _parts(rows: Rows) -> Iterator[dict[Labels, Points]]:
    """Yield the rows in requests of a bearable size."""
    part: dict[Labels, Points] = {}
    size = 0
    for labels, points in rows.items():
        if part and size + len(points) > _AT_ONCE:
            yield part
            part, size = {}, 0
        part[labels] = points
        size += len(points)
    if part:
        yield part


def _answered(client: Client, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Return the answer to a POST, asking again for as long as it may pass. Raises Unanswered."""
    reply, pause_s = Reply(0, b""), 0.5
    for left in reversed(range(_TRIES)):
        try:
            reply = client.send("POST", path, body, headers, timeout_s=_WITHIN_S)
        except OSError as error:
            if not left:
                raise Unanswered(f"cannot reach {client.url}: {error}") from error
        else:
            if reply.status != 429 and reply.status < 500:
                return reply
        if left:
            time.sleep(pause_s)
            pause_s *= 2
    return reply


def _told(reply: Reply) -> str:
    answer = reply.json()
    said = answer.get("error") if isinstance(answer, dict) else None
    text = str(said or reply.body[:_SHOWN].decode(errors="replace"))
    return f"HTTP {reply.status}: {' '.join(text.split())[:_SHOWN] or '(empty)'}"
