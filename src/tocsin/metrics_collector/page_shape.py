"""A page that differs from the one before in its values alone: nothing else of it is read.

The shape of a page is every byte of it but values and times: what stands before them, comments,
empty lines, and the order of all that. A page of the same shape holds the same series at the
same places. Bytes are told apart with NumPy; all that is done for each sample is `float`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Values

Places: TypeAlias = npt.NDArray[np.intp]
Mask: TypeAlias = npt.NDArray[np.bool_]

_OF_NUMBERS = b"0123456789+-.eEnNaAiIfFtTyY"  # `float` takes a little more than these
_BLANK = b" \t\r"
_FEED = ord("\n")
_BYTES, _LINES = 64 << 10, 1024  # looked at together: arrays that stay in the cache
_HEAD_AND_REST = np.tile(np.array([True, False]), _LINES)
_QUIET, _PLAIN, _TIMED, _UNLIKE = range(4)  # kinds of lines
_BEHIND = {_QUIET: b"", _PLAIN: b"\n", _TIMED: b" \n", _UNLIKE: b""}  # its numbers


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """What a page of a known shape held: values in page order, and times by their place.

    `unlike` are the lines that are to be read by themselves; their values are not filled in.
    """

    values: Values
    times: dict[int, int]
    unlike: list[bytes]


@dataclass(frozen=True, slots=True, eq=False)
class PageShape:
    """What stays the same from page to page.

    A plain line is a prefix, a space and a value; in a timed one a space and a time follow. A
    quiet line holds no sample. An unlike line holds one, but otherwise (an exemplar, odd
    spaces): whoever reads the page reads it, and checks that its series is the same. `numbers`
    are the series of all samples, in page order, `lines` are where the unlike ones stand.
    """

    numbers: list[int]
    lines: list[int]
    unlike: Places  # the places of their samples
    plain: Places
    timed: Places
    heads: Places  # bytes of each line that stay: up to its value, or all of a quiet one
    quiet: Mask
    fixed: list[bytes]  # these bytes, one line behind the other, for each `_LINES` lines
    behind: bytes  # what stands behind each number
    is_time: bytes  # 1 for each number that is a time

    def figures(self, page: bytes, *, openmetrics: bool) -> Figures | None:
        """Return the numbers of a page, None when it has another shape."""
        stops = _line_ends(page)
        if len(stops) != len(self.heads) or (page and not page.endswith(b"\n")):
            return None
        sizes = np.diff(stops, prepend=0)
        rests = sizes - self.heads
        if (rests < 0).any() or ((rests == 0) != self.quiet).any():
            return None
        left, begin = [], 0
        for first, fixed in zip(range(0, len(stops), _LINES), self.fixed, strict=True):
            lines = slice(first, first + _LINES)
            raw = np.frombuffer(page, np.uint8, int(sizes[lines].sum()), begin)
            begin += len(raw)
            spans = np.stack((self.heads[lines], rests[lines]), axis=1).ravel()
            stays = np.repeat(_HEAD_AND_REST[: len(spans)], spans)
            if raw[stays].tobytes() != fixed:
                return None
            left.append(raw[~stays].tobytes())
        return self._read(b"".join(left), rests, openmetrics=openmetrics)

    def _read(self, text: bytes, sizes: Places, *, openmetrics: bool) -> Figures | None:
        """Return the numbers in what is left of a page, None when it is something else."""
        unlike, text = _apart(text, sizes, self.lines)
        if text.translate(None, _OF_NUMBERS) != self.behind:
            return None
        numbers = text.split()
        if len(numbers) != len(self.is_time):
            return None
        try:
            values, times = self._floats(numbers), self._times(numbers, openmetrics=openmetrics)
        except (ValueError, OverflowError):
            return None
        return Figures(values, times, unlike)

    def _floats(self, numbers: Sequence[bytes]) -> Values:
        if len(numbers) == len(self.numbers) == len(self.plain):
            return np.fromiter(map(float, numbers), np.float64, len(numbers))
        values = np.empty(len(self.numbers), np.float64)
        is_value = self.is_time.translate(bytes((1, 0)) + bytes(254))
        found = np.fromiter(map(float, compress(numbers, is_value)), np.float64)
        values[np.sort(np.concatenate((self.plain, self.timed)))] = found
        return values

    def _times(self, numbers: Sequence[bytes], *, openmetrics: bool) -> dict[int, int]:
        if not len(self.timed):
            return {}
        given = compress(numbers, self.is_time)
        read = map(_milliseconds, given) if openmetrics else map(int, given)
        times = np.fromiter(read, np.int64, len(self.timed))
        return dict(zip(self.timed.tolist(), times.tolist(), strict=True))


def shape_of(
    page: bytes, numbers: list[int], times: Container[int], known: Container[bytes]
) -> PageShape | None:
    """Return the shape of a page that was read, None when its last line does not end.

    `times` are the places of samples with times, `known` the prefixes of its series.
    """
    lines = page.split(b"\n")
    if lines.pop():
        return None
    kinds, heads, place = list[int](), list[int](), 0
    for line in lines:
        kind, head = _seen(line, timed=place in times, known=known)
        kinds.append(kind)
        heads.append(head)
        place += kind != _QUIET
    of = np.array(kinds, np.uint8)
    samples = of[of != _QUIET]
    stays = [(line + b"\n")[:head] for line, head in zip(lines, heads, strict=True)]
    behind = [_BEHIND[kind] for kind in kinds]
    return PageShape(
        numbers=numbers,
        lines=np.flatnonzero(of == _UNLIKE).tolist(),
        unlike=np.flatnonzero(samples == _UNLIKE),
        plain=np.flatnonzero(samples == _PLAIN),
        timed=np.flatnonzero(samples == _TIMED),
        heads=np.array(heads, np.intp),
        quiet=of == _QUIET,
        fixed=[b"".join(stays[first : first + _LINES]) for first in range(0, len(lines), _LINES)],
        behind=b"".join(behind),
        is_time=b"".join(b"\0\1"[: len(each)] for each in behind),
    )


def _line_ends(page: bytes) -> Places:
    """Return the places behind the line feeds of a page."""
    raw = np.frombuffer(page, np.uint8)
    blocks = range(0, len(raw), _BYTES)
    found = [np.flatnonzero(raw[first : first + _BYTES] == _FEED) + (first + 1) for first in blocks]
    return np.concatenate(found) if found else np.empty(0, np.intp)


def _seen(line: bytes, *, timed: bool, known: Container[bytes]) -> tuple[int, int]:
    """Return the kind of a line, and how many bytes of it stay."""
    if not line.strip(_BLANK) or line.startswith(b"#"):
        return _QUIET, len(line) + 1
    prefix = line.rsplit(b" ", 2 if timed else 1)[0]
    if prefix not in known:
        return _UNLIKE, 0
    return _TIMED if timed else _PLAIN, len(prefix) + 1


def _apart(text: bytes, sizes: Places, lines: Sequence[int]) -> tuple[list[bytes], bytes]:
    """Return some lines without their line feeds, and the text without these lines."""
    if not lines:
        return [], text
    ends = np.cumsum(sizes)
    stops, begins = ends[lines].tolist(), (ends - sizes)[lines].tolist()
    taken = [text[begin : stop - 1] for begin, stop in zip(begins, stops, strict=True)]
    left = zip([0, *stops], [*begins, len(text)], strict=True)
    return taken, b"".join([text[begin:stop] for begin, stop in left])


def _milliseconds(seconds: bytes) -> int:
    return round(float(seconds) * 1000)
