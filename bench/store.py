"""What the metric store itself takes: pushed samples by number, rows with rings, a start.

    python bench/store.py [--calls 300] [--samples 2000000]

Nothing else runs: no HTTP, no decoding. CPU seconds of one thread. The last line is one JSON
object:

* `append_refs`: million samples/s for calls of 2,000 samples of so many origins, in the median
  call and over all of them (compression of finished rows falls on some calls);
* `row_us`: a row of 20 series, without and with rings of its five metrics;
* `recovery`: million samples/s read back from the log, by how the samples were written.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tocsin.model.labels import Labels
from tocsin.model.series import Columns, Layout
from tocsin.model.tenant import TenantId
from tocsin.timeseries.store import MetricStore

Rows = npt.NDArray[np.float64]

TENANT = TenantId("bench")
STEP_MS = 15_000
A_CALL = 2_000
METRICS = 50
RINGED = ("m0", "m1", "m2", "m3", "m4")


class Source:
    """Targets whose counters rise by whole numbers; half of them stand still in a round."""

    def __init__(self, targets: int, width: int, metrics: int = METRICS) -> None:
        self.layouts = [
            Layout(f"t{t}", tuple(_labels(t, i, metrics) for i in range(width)))
            for t in range(targets)
        ]
        self._random = np.random.default_rng(20260101)
        self._values = self._random.integers(0, 10**6, (targets, width)).astype(np.float64)
        self._now = 1_767_225_600_000
        self.phases = self._random.integers(0, STEP_MS, targets)

    def next(self) -> tuple[int, Rows]:
        """Return the time of the next round and the values of all targets."""
        shape = self._values.shape
        self._values += self._random.integers(0, 100, shape) * (self._random.random(shape) < 0.5)
        self._now += STEP_MS
        return self._now, self._values.copy()


def _labels(target: int, number: int, metrics: int) -> Labels:
    name = f"m{number % metrics}"
    return Labels.of({"__name__": name, "n": str(number), "job": "j", "instance": f"i{target}"})


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds of `work`."""
    began = time.process_time()
    work()
    return time.process_time() - began


def append_refs(root: Path, origins: int, calls: int) -> dict[str, float]:
    """Return million samples/s of calls of 2,000 samples from so many origins."""
    store, source = MetricStore(root), Source(origins, A_CALL // origins)
    known = store.resolve(TENANT, [labels for each in source.layouts for labels in each.labels])
    took = []
    for _ in range(calls):
        now, values = source.next()
        times = np.repeat(now + source.phases, values.shape[1])
        columns = Columns(known.refs, times, values.ravel())
        took.append(timed(partial(store.append_refs, TENANT, known.epoch, columns)))
    store.close()
    return {
        "median": round(A_CALL / statistics.median(took) / 1e6, 2),
        "mean": round(A_CALL / statistics.mean(took) / 1e6, 2),
    }


def append_rows(root: Path, targets: int, rows: int, *, ringed: bool) -> float:
    """Return microseconds for a row of 20 series."""
    store, source = MetricStore(root), Source(targets, 20, metrics=len(RINGED))
    took = []
    for _ in range(rows):
        now, values = source.next()
        took.append(timed(partial(_append_all, store, source.layouts, now, values)))
        for metric in RINGED if ringed else ():
            store.ring(TENANT, metric, depth_ms=600_000)
    store.close()
    return round(statistics.median(took) / targets * 1e6, 1)


def _append_all(store: MetricStore, layouts: list[Layout], now: int, values: Rows) -> None:
    for at, layout in enumerate(layouts):
        store.append(TENANT, layout, now, values[at])


def recovery(root: Path, width: int, samples: int, *, pushed: bool) -> float:
    """Return million samples/s of a start on a log of rows, or of pushed samples."""
    targets = max(1, A_CALL // width) * 5
    store, source = MetricStore(root), Source(targets, width)
    known = store.resolve(TENANT, [labels for each in source.layouts for labels in each.labels])
    for _ in range(max(2, samples // (targets * width))):
        now, values = source.next()
        if not pushed:
            _append_all(store, source.layouts, now, values)
        for begin in range(0, targets * width if pushed else 0, A_CALL):
            some = slice(begin, begin + A_CALL)
            times = np.full(len(known.refs[some]), now)
            columns = Columns(known.refs[some], times, values.ravel()[some])
            store.append_refs(TENANT, known.epoch, columns)
    written = store.stats(TENANT).samples
    store.close()
    took = timed(lambda: MetricStore(root).close())
    return round(written / took / 1e6, 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--samples", type=int, default=2_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        report = {
            "bench": "store",
            "machine": platform.machine(),
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "append_refs": {
                str(origins): append_refs(root / f"refs{origins}", origins, options.calls)
                for origins in (10, 50, 100)
            },
            "row_us": {
                "plain": append_rows(root / "plain", 200, 150, ringed=False),
                "rings": append_rows(root / "rings", 200, 150, ringed=True),
            },
            "recovery": {
                "rows_of_20": recovery(root / "r20", 20, options.samples, pushed=False),
                "rows_of_1000": recovery(root / "r1000", 1000, options.samples, pushed=False),
                "pushed_20": recovery(root / "p20", 20, options.samples, pushed=True),
            },
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
