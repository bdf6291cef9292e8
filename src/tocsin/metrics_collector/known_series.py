"""Series that senders repeat: numbered here, stored by the refs the store gives them.

A sender repeats the same label sets in every request. Their bytes as they stand on the wire
are the key by which the number of a series is found, which spares reading them again; by the
number the store's ref is found, which spares it to look the label set up. Memory is bounded:
when there are too many series, all are forgotten between two requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import repeat
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.ports import SampleSink
from tocsin.metrics_collector.remote_write_template import Templates
from tocsin.model.errors import NotDurable
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Appended, Columns, Refs, Values
from tocsin.model.tenant import TenantId

Numbers: TypeAlias = npt.NDArray[np.int32]
Chosen: TypeAlias = slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]

UNKNOWN = -1  # no number, no ref: never seen, or refused
_LONGEST_KEY = 64 << 10  # bytes of a label set that are worth remembering
_FIRST = 64  # series there is room for at first
_ATTEMPTS = 3  # an epoch may end while series are resolved, hardly twice


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples as three arrays of one length: of which series by our numbers, when (ms), what."""

    numbers: Numbers
    times: npt.NDArray[np.int64]
    values: Values

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.numbers)

    def __getitem__(self, chosen: Chosen) -> Samples:
        """Return some of them."""
        return Samples(self.numbers[chosen], self.times[chosen], self.values[chosen])


NO_SAMPLES = Samples(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


class KnownSeries:
    """The series one tenant's senders named so far. Not thread-safe.

    `labels[n]` is the label set of number n; several numbers may stand for one label set.
    """

    def __init__(self, *, most: int = 200_000, most_bytes: int = 64 << 20) -> None:
        """Hold about `most` series, whose keys have about `most_bytes`."""
        self.labels: list[Labels] = []
        self.templates = Templates()
        """Remote write requests that may come again."""
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._numbers: dict[bytes, int] = {}
        self._symbols: dict[bytes, int] = {}
        self._names: dict[str, int] = {}
        self._epoch = 0
        self._refs: Refs = np.empty(0, np.int32)
        self.metrics: Numbers = np.empty(0, np.int32)
        """By number, a number of the metric; has room for more."""
        self.get: Callable[[bytes], int | None] = self._numbers.get
        """Return the number of the series with this key."""

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._numbers)

    def find(self, keys: Sequence[bytes]) -> Numbers:
        """Return the numbers of series by their keys, UNKNOWN for those not seen before."""
        found = map(self._numbers.get, keys, repeat(UNKNOWN))
        return np.fromiter(found, np.int32, len(keys))

    def add(self, key: bytes, labels: Labels) -> int:
        """Return a new number for a label set; its key is remembered unless it is empty or long."""
        number = len(self.labels)
        if number == len(self._refs):
            self._grow()
        self.labels.append(labels)
        name = labels.value(METRIC_NAME)
        self.metrics[number] = self._names.setdefault(name, len(self._names))
        if 0 < len(key) <= _LONGEST_KEY:
            self._bytes += len(key)
            self._numbers[key] = number
        return number

    def symbols(self, texts: Sequence[bytes]) -> Numbers:
        """Return numbers for texts of which labels are made: the same text has the same one."""
        known = self._symbols
        found = np.fromiter(map(known.get, texts, repeat(UNKNOWN)), np.int32, len(texts))
        for at in np.flatnonzero(found == UNKNOWN).tolist():
            text = texts[at]
            self._bytes += len(text)
            found[at] = known.setdefault(text, len(known))
        return found

    def make_room(self) -> bool:
        """Forget everything when there is too much; tell whether. Numbers mean nothing after it.

        Not during a request: what one adds is bounded by its own limits.
        """
        most = max(len(self.labels), len(self._symbols))
        if most < self._most and self._bytes < self._most_bytes:
            return False
        self.labels = []
        self.templates.clear()
        self._numbers.clear()
        self._symbols.clear()
        self._names.clear()
        self._bytes = 0
        self._refs.fill(UNKNOWN)
        return True

    def store(
        self,
        sink: SampleSink,
        tenant: TenantId,
        samples: Samples,
        *,
        window: timedelta | None = None,
    ) -> Appended:
        """Store samples; what is older than `window` allows is refused. Raises NotDurable.

        None leaves the window to the store.
        """
        for _ in range(_ATTEMPTS):
            refused = self._resolve(sink, tenant, samples.numbers)
            columns = self._columns(samples, whole=not refused)
            if not len(columns.refs):
                return Appended(0, refused)
            done = sink.append_refs(tenant, self._epoch, columns, out_of_order_window=window)
            if done is not None:
                return Appended(done.stored, _sum(refused, done.refused))
            self._refs.fill(UNKNOWN)
        raise NotDurable("the store forgets series faster than it takes their samples")

    def _grow(self) -> None:
        more = np.full(max(_FIRST, len(self._refs) // 2), UNKNOWN, np.int32)
        self._refs = np.concatenate((self._refs, more))
        self.metrics = np.concatenate((self.metrics, more))

    def _resolve(self, sink: SampleSink, tenant: TenantId, numbers: Numbers) -> dict[str, int]:
        """Get the refs that are missing; return how many samples are refused for want of one."""
        asked = numbers[self._refs[numbers] < 0]
        if not asked.size:
            return {}
        resolved = sink.resolve(tenant, [self.labels[number] for number in asked.tolist()])
        if resolved.epoch != self._epoch:
            self._epoch = resolved.epoch
            self._refs.fill(UNKNOWN)
            if asked.size < numbers.size:
                return self._resolve(sink, tenant, numbers)
        self._refs[asked] = resolved.refs
        return resolved.refused

    def _columns(self, samples: Samples, *, whole: bool) -> Columns:
        """Return what to store, without the samples of refused series unless it is the whole."""
        refs = self._refs[samples.numbers]
        if whole:
            return Columns(refs, samples.times, samples.values)
        kept = refs >= 0
        return Columns(refs[kept], samples.times[kept], samples.values[kept])


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in {**one, **other}}
