"""Remote write requests that come again with other values and times, and nothing else changed.

A sender that puts the same series in the same order into each request need not be read at all:
the bytes of values and times stand where they stood. Every other byte is compared, never only a
length or a hash (contract metrics-engine 6). Memory is bounded, and a sender whose requests
differ each time hardly takes any.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.remote_write_frames import Places, have_times, sample_ends
from tocsin.model.sample import Metadata

Bytes: TypeAlias = npt.NDArray[np.uint8]
_Key: TypeAlias = tuple[Hashable, int, bytes]

_TAG, _VALUE, _TIME = 3, 8, 6  # bytes: of a sample before its value, of a value, of a time
_WITH_VALUE, _WITHOUT_VALUE = b"\x12\x10\x09", b"\x12\x07\x10"  # how a sample begins
_MOST_SEEN = 4096  # requests that were seen once
_LONGEST_BEGIN = 64 << 10  # bytes
_IDLE = 4096  # requests after which a template that did not fit makes room for others


@dataclass(slots=True, eq=False)
class Template:
    """A request that was read: its series by number, and where their samples lie."""

    body: Bytes
    fixed: Bytes  # 0 where values and times are, else 0xFF
    samples: Places
    numbers: npt.NDArray[np.int32]
    metadata: dict[str, Metadata]
    used: int  # when it fitted last, counted in requests

    def fits(self, body: bytes) -> bool:
        """Tell whether a request of the same length is the same but for values and times."""
        differs = np.frombuffer(body, np.uint8) ^ self.body
        differs &= self.fixed
        return not differs.any() and have_times(body, sample_ends(body, self.samples))


@dataclass(slots=True)
class Templates:
    """The requests of one tenant that may come again. Not thread-safe."""

    most_bytes: int = 16 << 20
    _bytes: int = 0
    _requests: int = 0
    _seen: set[_Key] = field(default_factory=set)
    _kept: dict[_Key, Template] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything: numbers mean other series from now on."""
        self._bytes = 0
        self._seen.clear()
        self._kept.clear()

    def find(self, kind: Hashable, body: bytes) -> Template | None:
        """Return the template of a request of some kind, None when there is none that fits."""
        self._requests += 1
        key = _key(kind, body)
        found = self._kept.get(key)
        if found is None:
            return None
        if not found.fits(body):
            self._drop(key)
            self._seen.discard(key)
            return None
        found.used = self._requests
        return found

    def learn(
        self,
        kind: Hashable,
        body: bytes,
        *,
        samples: Places,
        numbers: npt.NDArray[np.int32],
        metadata: dict[str, Metadata],
    ) -> None:
        """Keep a request whose series all have the usual form, when its length comes again."""
        key = _key(kind, body)
        if key not in self._seen:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(key)
            return
        self._drop(key)
        if self._make_room(2 * len(body)):
            raw, fixed = np.frombuffer(body, np.uint8), _fixed(body, samples)
            made = Template(raw, fixed, samples, numbers, metadata, used=self._requests)
            self._kept[key] = made
            self._bytes += 2 * len(body)

    def _make_room(self, size: int) -> bool:
        """Drop what is idle if there is no room; tell whether `size` fits now."""
        if self._bytes + size > self.most_bytes:
            since = self._requests - _IDLE
            for key in [key for key, each in self._kept.items() if each.used < since]:
                self._drop(key)
        return self._bytes + size <= self.most_bytes

    def _drop(self, key: _Key) -> None:
        if self._kept.pop(key, None) is not None:
            self._bytes -= 2 * key[1]


def _key(kind: Hashable, body: bytes) -> _Key:
    """Return what requests have in common that may be alike: length, and all before a sample."""
    with_value = body.find(_WITH_VALUE, 0, _LONGEST_BEGIN)
    without = body.find(_WITHOUT_VALUE, 0, with_value if with_value >= 0 else _LONGEST_BEGIN)
    return kind, len(body), body[: max(0, with_value if without < 0 else without)]


def _fixed(body: bytes, samples: Places) -> Bytes:
    fixed = np.full(len(body), 0xFF, np.uint8)
    ends = sample_ends(body, samples)
    fixed[(ends[:, None] - _TIME + np.arange(_TIME)).ravel()] = 0
    valued = samples[ends - samples > _TAG + _VALUE]
    fixed[(valued[:, None] + _TAG + np.arange(_VALUE)).ravel()] = 0
    return fixed
