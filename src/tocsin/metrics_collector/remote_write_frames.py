"""Where the series of a remote write request lie and where their samples, found with NumPy.

Nearly every series of a request has one sample, and that takes one of two forms (`value` and
`timestamp` are the same fields of `Sample` in both versions):

    12 10 09 <8 bytes of value> 10 <6 bytes of time>
    12 07 10 <6 bytes of time>                        the value is 0 and was left out

The six bytes of time are those of a date between 1971 and 2109. Every place that looks like
such a sample is taken for one, and then the lengths of all messages must bear that out: where
they do, protobuf leaves no choice. All work is done on arrays, none for a single series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Values

Words: TypeAlias = npt.NDArray[np.uint64]
Places: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Chosen: TypeAlias = npt.NDArray[np.intp]

NOWHERE = -1
_WORD = 8  # bytes
_TIME_MASK = 0x80_80_80_80_80_80_FF_00  # of the last eight bytes: the tag, then the marks that a
_TIME_FORM = 0x00_80_80_80_80_80_10_00  # varint goes on, which the sixth of its bytes has not


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of a sample: its first three bytes, the first one lowest, and its size."""

    begin: int
    size: int


_WITHOUT_VALUE = _Form(0x10_07_12, size=9)
_WITH_VALUE = _Form(0x09_10_12, size=18)
_FORMS = (_WITHOUT_VALUE, _WITH_VALUE)
_BLOCK = 128 << 10  # bytes looked through at once: twice as fast as 300 kB, which leave the cache


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Where the contents of the series of a request begin and end, and the sample in each.

    `samples` are NOWHERE where there is more or less than one, or it has no usual form.
    """

    starts: Places
    ends: Places
    samples: Places

    def __len__(self) -> int:
        """Return how many series there are."""
        return len(self.starts)

    def __getitem__(self, chosen: Mask) -> Frames:
        """Return those of some series; all of them are the same object."""
        if chosen.all():
            return self
        return Frames(self.starts[chosen], self.ends[chosen], self.samples[chosen])


def words(body: bytes) -> Words:
    """Return the eight bytes from each place on as one number, the first byte lowest."""
    return np.ndarray((max(0, len(body) - _WORD + 1),), "<u8", body, 0, (1,))


def sample_places(body: bytes, begin: int = 0) -> Places:
    """Return every place from `begin` on where the bytes look like a sample, ascending."""
    raw, text = np.frombuffer(body, np.uint8), words(body)
    blocks = range(begin, len(body) - 2, _BLOCK)
    found = [_likely(raw[first : first + _BLOCK + 2]) + first for first in blocks]
    at = np.concatenate(found) if found else np.empty(0, np.int64)
    fits = np.zeros(len(at), np.bool_)
    for form in _FORMS:
        room = np.searchsorted(at, len(body) - form.size, "right")
        fits[:room] |= _fits(text, at[:room], form)
    return at[fits]


def _likely(raw: npt.NDArray[np.uint8]) -> Places:
    """Return where 0x12 stands before two bytes that add up like those of a form of a sample."""
    sums = raw[1:-1] + raw[2:]
    sums -= 0x17  # 0x07 + 0x10; the other form has two more
    sums &= 0xFD
    likely = sums == 0
    likely &= raw[:-2] == 0x12
    return np.flatnonzero(likely)


def last_samples(body: bytes, starts: Places, ends: Places) -> Places:
    """Return where the sample lies that ends each message, NOWHERE where it has no usual form."""
    text = words(body)
    samples = np.full(len(starts), NOWHERE, np.int64)
    for form in _FORMS:
        enough = np.flatnonzero(ends - starts > form.size)
        at = ends[enough] - form.size
        fits = _fits(text, at, form)
        samples[enough[fits]] = at[fits]
    return samples


def sample_ends(body: bytes, samples: Places) -> Places:
    """Return where samples end."""
    size = np.where(_have_values(words(body), samples), _WITH_VALUE.size, _WITHOUT_VALUE.size)
    return samples + size


def framed(body: bytes, begin: int, samples: Places, ends: Places, *, tag: int) -> Frames | None:
    """Return the frames of messages that follow each other from `begin` up to the end of a body.

    `samples` and `ends` are one for each message, `tag` stands before it. None when its length
    does not bear that out for each of them, and when one has 2**14 bytes or more.
    """
    if not len(ends) or ends[-1] != len(body):
        return None
    heads = np.concatenate((np.array([begin], np.int64), ends[:-1]))
    if (ends - heads < _WORD).any():
        return None
    head = (words(body)[heads] & 0xFF_FF_FF).astype(np.int64)
    long = head >> 15 & 1  # the length has two bytes
    sizes = (head >> 8 & 0x7F) | (head >> 9 & 0x3F80) * long
    starts = heads + 2 + long
    right = (head & 0xFF == tag) & (starts + sizes == ends) & (head >> 23 & long == 0)
    return Frames(starts, ends, samples) if right.all() else None


def taken(body: bytes, samples: Places) -> tuple[Places, Values]:
    """Return times in ms and values of the samples at these places."""
    text = words(body)
    valued = _have_values(text, samples)
    values = np.zeros(len(samples), np.float64)
    values[valued] = text[samples[valued] + 3].view("<f8")
    ends = samples + np.where(valued, _WITH_VALUE.size, _WITHOUT_VALUE.size)
    return _times(text[ends - _WORD]), values


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Numbers of several packed fields; those of field i lie in `bounds[i:i + 2]`."""

    numbers: Places
    bounds: Places


def packed_numbers(body: bytes, begins: Places, ends: Places) -> Packed | None:
    """Return the varints that lie between each begin and end, of which none is empty.

    None when one of the fields does not end with a varint, or one varint has over three bytes.
    """
    sizes = ends - begins
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    places = np.repeat(begins - bounds[:-1], sizes)
    places += np.arange(bounds[-1])
    raw = np.frombuffer(body, np.uint8)[places]
    closing = raw < 0x80
    open_at = np.flatnonzero(~closing)
    numbers, of = raw[closing].astype(np.int64), open_at - np.arange(len(open_at))
    if not closing[bounds[1:] - 1].all() or (of[2:] == of[:-2]).any():
        return None
    follows = np.zeros(len(of), np.bool_)
    follows[1:] = of[1:] == of[:-1]
    for these in (follows, ~follows):  # the lowest seven bits of a number come first
        numbers[of[these]] = numbers[of[these]] << 7 | raw[open_at[these]] & 0x7F
    return Packed(numbers, bounds - np.searchsorted(open_at, bounds))


def _have_values(text: Words, samples: Places) -> Mask:
    begins: Mask = text[samples] & 0xFF_FF_FF == _WITH_VALUE.begin
    return begins


def have_times(body: bytes, ends: Places) -> bool:
    """Tell whether all samples that end there end with a time of the usual form."""
    return bool((words(body)[ends - _WORD] & _TIME_MASK == _TIME_FORM).all())


def _fits(text: Words, at: Places, form: _Form) -> Mask:
    """Tell where a form begins and ends; there must be room for it."""
    fits: Mask = text[at] & 0xFF_FF_FF == form.begin
    last = text[at[fits] + (form.size - _WORD)]
    fits[fits] = last & _TIME_MASK == _TIME_FORM
    return fits


def _times(last: Words) -> Places:
    """Return the numbers in the last six bytes of words: seven bits of each, taken in pairs."""
    digits = last.astype(np.int64) >> 16
    pairs = digits & 0x7F_00_7F_00_7F | (digits & 0x7F_00_7F_00_7F_00) >> 1
    low, middle, high = pairs & 0x3FFF, pairs >> 2 & 0x3FFF << 14, pairs >> 4 & 0x3FFF << 28
    return low | middle | high
