"""What reading and storing samples costs in process, without HTTP.

    python bench/reading.py [--rounds 40]

2,000 series of one sample in a remote write request, and a page of 10,000 counters, once read
before:

    alike    each request has the same series in the same order
    anew     each request begins at another series, as of a sender that fills requests up
    stored   read and stored, log included
    new      series that come for the first time

Numbers are microseconds of CPU for a sample, medians. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
from ingest import PAGE_SERIES, Pages, chunk, labels_of, layouts_of, varint
from peer import machine

from tocsin.metrics_collector.exposition import PageParser
from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.ports import Page
from tocsin.metrics_collector.remote_write import Version, decoder, decompressed
from tocsin.metrics_collector.scrape import TargetSeries
from tocsin.metrics_collector.target import Target
from tocsin.model.labels import Labels
from tocsin.model.settings import Duration
from tocsin.model.tenant import tenant_id
from tocsin.timeseries.store import MetricStore

SEED = 20261125
TENANT = tenant_id("bench")
SERIES, PER_TARGET, STEP_MS = 2_000, 100, 15_000
BEGIN_MS = 1_800_000_000_000
WINDOW = timedelta(minutes=5)
WARM = 5  # rounds before the first that counts

Bodies = Iterator[bytes]


def first_version(rounds: int, layouts: int) -> Bodies:
    """Yield requests of version 1.0, as they are sent."""
    values, ways = np.random.default_rng(SEED), layouts_of(SERIES, PER_TARGET, layouts)
    for number in range(rounds):
        [request] = ways[number % layouts]
        yield request.packed(BEGIN_MS + number * STEP_MS, values.integers(1, 10**9, SERIES) / 100)


def second_version(rounds: int, layouts: int) -> Bodies:
    """Yield requests of version 2.0 with metadata, not compressed."""
    values = np.random.default_rng(SEED)
    for number in range(rounds):
        shift = number % layouts * (SERIES // layouts)
        order = [(place + shift) % SERIES for place in range(SERIES)]
        drawn = (values.integers(1, 10**9, SERIES) / 100).view(np.uint8).reshape(-1, 8)
        yield second_request(order, BEGIN_MS + number * STEP_MS, drawn)


def second_request(order: Sequence[int], at_ms: int, values: np.ndarray) -> bytes:
    """Return one request; its table has the symbols in the order of their first use."""
    symbols = {"": 0}
    rows = []
    for place, number in enumerate(order):
        pairs = labels_of(number, PER_TARGET).items()
        refs = [symbols.setdefault(text, len(symbols)) for pair in pairs for text in pair]
        about = symbols.setdefault(f"About {number % 4}.", len(symbols))
        sample = b"\x09" + values[place].tobytes() + b"\x10" + varint(at_ms)
        told = b"\x08\x01\x18" + varint(about)
        packed = b"".join(map(varint, refs))
        rows.append(chunk(5, chunk(1, packed) + chunk(2, sample) + chunk(5, told)))
    return b"".join([*(chunk(4, text.encode()) for text in symbols), *rows])


def timed(work: Callable[[bytes], object], bodies: Bodies, samples: int) -> float:
    """Return the microseconds of CPU for a sample, the median after the warm-up."""
    took = []
    for body in bodies:
        began = time.process_time()
        work(body)
        took.append(time.process_time() - began)
    return round(statistics.median(took[WARM:]) / samples * 1e6, 3)


def reading(version: Version, *, packed: bool) -> Callable[[bytes], object]:
    """Return what reads requests of one sender."""
    known = KnownSeries()

    def read(body: bytes) -> object:
        return decoder(decompressed(body) if packed else body, version, known).decode()

    return read


def storing(store: MetricStore, version: Version) -> Callable[[bytes], object]:
    """Return what reads and stores the requests of one sender."""
    known = KnownSeries()

    def take(body: bytes) -> object:
        samples = decoder(decompressed(body), version, known).decode().samples
        done = known.store(store, TENANT, samples, window=WINDOW)
        if done.stored != SERIES:
            sys.exit(f"not stored: {done}")
        return done

    return take


def parsing() -> Callable[[bytes], object]:
    """Return what reads the pages of one target."""
    return PageParser().parse


def scraping(store: MetricStore) -> Callable[[bytes], object]:
    """Return what reads and stores the pages of one target."""
    labels, minute = Labels.of({"job": "bench", "instance": "a:80"}), Duration(minutes=1)
    target = Target("bench", "http://a:80/metrics", minute, minute, labels, labels)
    series, turns = TargetSeries(target), count()

    def take(body: bytes) -> object:
        at_ms = BEGIN_MS + next(turns) * STEP_MS
        scraped = series.take(Page(200, {}, body), took=timedelta(seconds=1))
        for batch in scraped.batches:
            store.append(TENANT, batch.layout, at_ms, batch.values)
        return scraped

    return take


def measured(folder: Path, rounds: int) -> dict[str, float]:
    """Return microseconds for a sample by what was done."""
    total, found = WARM + rounds, dict[str, float]()
    for name, layouts in (("alike", 1), ("anew", 40)):
        read = reading(Version.V1, packed=True)
        found[f"remote write 1.0, {name}"] = timed(read, first_version(total, layouts), SERIES)
        read = reading(Version.V2, packed=False)
        found[f"remote write 2.0, {name}"] = timed(read, second_version(total, layouts), SERIES)
        with closing(MetricStore(folder / name)) as store:
            take = storing(store, Version.V1)
            took = timed(take, first_version(total, layouts), SERIES)
            found[f"remote write 1.0, {name}, stored"] = took
    pages = Pages().texts
    held = [pages[number % len(pages)] for number in range(total)]
    found["page"] = timed(parsing(), iter(held), PAGE_SERIES)
    with closing(MetricStore(folder / "page")) as store:
        found["page, stored"] = timed(scraping(store), iter(held), PAGE_SERIES)
    afresh = (parsing()(body) for body in held)
    found["page, new"] = timed(lambda _: next(afresh), iter(held[:9]), PAGE_SERIES)
    new = (reading(Version.V1, packed=True)(body) for body in first_version(9, 1))
    found["remote write 1.0, new"] = timed(lambda _: next(new), iter([b""] * 9), SERIES)
    return found


def main(args: Sequence[str]) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="CPU of reading and storing, in process.")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given.rounds)
    for name, took in found.items():
        print(f"{name:34} {took:8.3f} us  {1 / took:6.2f} M/s")
    print(json.dumps({"bench": "reading", "unit": "us", "machine": machine(), "samples": found}))


if __name__ == "__main__":
    main(sys.argv[1:])
