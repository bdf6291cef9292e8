"""Columns of numbers as few bytes: how samples and times lie in a block file.

A column is the run of one series (or of one clock). Several are coded together, one behind the
other, because what they have in common then costs nothing. Every bit pattern survives.

* Integers: the difference to the number before, without the zero bits that all differences of
  the column end with, less the column's usual difference. A counter of steady rate becomes
  small numbers around zero.
* Floats: a column of which every sample is a decimal number of at most nine places is coded as
  integers (`v * 10**places`); any other as the XOR with the sample before. Samples that no
  integer can stand for (staleness markers, infinities, -0.0) stand apart and spoil no column.
* What is left is cut into byte planes, and each plane that is not all zero is compressed by
  zstd (contract metrics-engine 2.4).
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import zstandard

from tocsin.model.series import Values

Ints: TypeAlias = npt.NDArray[np.int64]
Bits: TypeAlias = npt.NDArray[np.uint64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Lengths: TypeAlias = npt.NDArray[np.int64]  # of columns, each at least 1

LEVEL = 3  # zstd
PLACES = 9  # decimal places looked for; nanoseconds as seconds have nine

_POWERS = np.array([10.0**places for places in range(PLACES + 1)])
_LARGEST = 2.0**53  # every integer up to here is a float
_XOR = 255  # in place of a number of decimal places
_MINUS_ZERO = np.uint64(1 << 63)
_PROBES = 32  # samples of a column that are asked before all are
_TOO_MANY = 4  # a column of which more than a quarter would stand apart is coded by XOR
_LENGTH = struct.Struct("<I")


class BadBlock(ValueError):
    """Bytes of a block file that mean nothing: damaged, or of another format."""


class Coder:
    """Turns columns into bytes. Not thread-safe: one for each thread."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=LEVEL).compress

    def text(self, data: bytes) -> bytes:
        """Return `data` compressed, behind its length."""
        packed = self._compress(data)
        return _LENGTH.pack(len(packed)) + packed

    def numbers(self, numbers: Ints) -> bytes:
        """Return the bytes of one run of integers; the reader must know how many they are."""
        return self._planes(_zigzag(np.diff(numbers, prepend=np.int64(0))))

    def ints(self, numbers: Ints, lengths: Lengths) -> bytes:
        """Return the bytes of columns of integers."""
        starts = _starts(lengths)
        steps = np.diff(numbers, prepend=np.int64(0))
        steps[starts] = 0
        shifts = _common_zeros(steps, starts)
        if shifts.any():
            steps >>= np.repeat(shifts, lengths)
        usual = _usual(steps, starts, lengths)
        if usual.any():
            steps -= np.repeat(usual, lengths)
            steps[starts] = 0
        heads = (numbers[starts], shifts, usual)
        return b"".join((*map(self.numbers, heads), self._planes(_zigzag(steps))))

    def floats(self, values: Values, lengths: Lengths) -> bytes:
        """Return the bytes of columns of floats."""
        plain, apart, hopeless = _set_apart(values, lengths)
        places, scaled = _decimal(plain, lengths, hopeless)
        decimal = places != _XOR
        found = [self.numbers(places)]
        if decimal.all():
            found += [self.ints(scaled, lengths), self._apart(values, apart)]
            return b"".join(found)
        chosen = np.repeat(decimal, lengths)
        if decimal.any():
            found.append(self.ints(scaled[chosen], lengths[decimal]))
            found.append(self._apart(values[chosen], np.flatnonzero(_marked(apart, chosen))))
        found.append(self._xor(values[~chosen], lengths[~decimal]))
        return b"".join(found)

    def _apart(self, values: Values, apart: Ints) -> bytes:
        """Return the bytes of the samples at the positions `apart`."""
        found = self.numbers(np.asarray([len(apart)], np.int64))
        if not len(apart):
            return found
        count = np.asarray([len(apart)], np.int64)
        return found + self.numbers(apart) + self._xor(values[apart], count)

    def _xor(self, values: Values, lengths: Lengths) -> bytes:
        starts = _starts(lengths)
        bits = values.view(np.uint64)
        change = bits.copy()
        change[1:] ^= bits[:-1]
        change[starts] = bits[starts]
        return self._planes(change)

    def _planes(self, bits: Bits) -> bytes:
        """Return which byte planes are not all zero, and those planes."""
        used = int(np.bitwise_or.reduce(bits)) if len(bits) else 0
        held = [plane for plane in range(8) if used >> (8 * plane) & 0xFF]
        columns = bits.view(np.uint8).reshape(-1, 8)
        packed = [self.text(columns[:, plane].tobytes()) for plane in held]
        return bytes((sum(1 << plane for plane in held),)) + b"".join(packed)


class Decoder:
    """Reads columns back in the order they were coded. Raises BadBlock when that fails."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._left = memoryview(data)
        self._decompress = zstandard.ZstdDecompressor().decompress

    def text(self) -> bytes:
        """Return what `Coder.text` was given."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        try:
            return self._decompress(self._take(length))
        except zstandard.ZstdError as error:
            raise BadBlock(f"compressed data cannot be read: {error}") from error

    def numbers(self, count: int) -> Ints:
        """Return what `Coder.numbers` was given."""
        return np.cumsum(_signed(self._planes(count)))

    def ints(self, lengths: Lengths) -> Ints:
        """Return what `Coder.ints` was given."""
        firsts, shifts, usual = (self.numbers(len(lengths)) for _ in range(3))
        steps = _signed(self._planes(int(lengths.sum())))
        if usual.any():
            steps += np.repeat(usual, lengths)
        if shifts.any():
            steps <<= np.repeat(shifts & 63, lengths)
        steps[_starts(lengths)] = firsts
        return _summed(steps, lengths)

    def floats(self, lengths: Lengths) -> Values:
        """Return what `Coder.floats` was given."""
        places = self.numbers(len(lengths))
        decimal = places != _XOR
        if decimal.all():
            return self._decimals(places, lengths)
        values = np.empty(int(lengths.sum()), np.float64)
        chosen = np.repeat(decimal, lengths)
        if decimal.any():
            values[chosen] = self._decimals(places[decimal], lengths[decimal])
        values[~chosen] = self._xored(lengths[~decimal])
        return values

    def _decimals(self, places: Ints, lengths: Lengths) -> Values:
        values = self.ints(lengths).astype(np.float64)
        if places.any():
            values /= np.repeat(_POWERS[places % len(_POWERS)], lengths)
        count = int(self.numbers(1)[0])
        if count:
            where = self.numbers(count)
            if where[0] < 0 or where[-1] >= len(values):
                raise BadBlock("a sample that stands apart belongs to no column")
            values[where] = self._xored(np.asarray([count], np.int64))
        return values

    def _xored(self, lengths: Lengths) -> Values:
        bits = np.bitwise_xor.accumulate(self._planes(int(lengths.sum())))
        before = bits[_starts(lengths)[1:] - 1]
        bits[lengths[0] :] ^= np.repeat(before, lengths[1:])
        return bits.view(np.float64)

    def _planes(self, count: int) -> Bits:
        (held,) = self._take(1)
        columns = np.zeros((count, 8), np.uint8)
        for plane in range(8):
            if held >> plane & 1:
                found = np.frombuffer(self.text(), np.uint8)
                if len(found) != count:
                    raise BadBlock(f"{len(found)} numbers where {count} should be")
                columns[:, plane] = found
        return columns.view(np.uint64).reshape(-1)

    def _take(self, size: int) -> memoryview:
        if size > len(self._left):
            raise BadBlock("data ends too early")
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _starts(lengths: Lengths) -> Ints:
    return np.cumsum(lengths) - lengths


def _zigzag(numbers: Ints) -> Bits:
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _signed(bits: Bits) -> Ints:
    half = (bits >> np.uint64(1)).view(np.int64)
    half ^= -(bits & np.uint64(1)).view(np.int64)
    return half


def _summed(steps: Ints, lengths: Lengths) -> Ints:
    """Return the running sum of each column."""
    if (lengths == lengths[0]).all():
        table = steps.reshape(len(lengths), -1)
        return np.cumsum(table, axis=1).reshape(-1)
    total = np.cumsum(steps)
    before = total[_starts(lengths)[1:] - 1]
    total[lengths[0] :] -= np.repeat(before, lengths[1:])
    return total


def _common_zeros(steps: Ints, starts: Ints) -> Ints:
    """Return how many zero bits all steps of a column end with; 0 when there are no steps."""
    used = np.bitwise_or.reduceat(steps, starts)
    lowest = (used & -used).view(np.uint64)
    return np.where(lowest > 0, np.frexp(lowest.astype(np.float64))[1] - 1, 0).astype(np.int64)


def _probes(starts: Ints, lengths: Lengths) -> Ints:
    """Return positions spread over each column, its first left out, as rows of a table."""
    spread = np.arange(_PROBES) * (lengths[:, None] - 1) // _PROBES
    found: Ints = starts[:, None] + np.minimum(spread + 1, lengths[:, None] - 1)
    return found


def _usual(steps: Ints, starts: Ints, lengths: Lengths) -> Ints:
    """Return about the median step of each column."""
    asked = np.sort(steps[_probes(starts, lengths)], axis=1)
    return np.ascontiguousarray(asked[:, _PROBES // 2])


def _set_apart(values: Values, lengths: Lengths) -> tuple[Values, Ints, Mask]:
    """Return the values with what is no number replaced, where that was, and lost columns."""
    odd = ~np.isfinite(values) | (values.view(np.uint64) == _MINUS_ZERO)
    if not odd.any():
        return values, np.empty(0, np.int64), np.zeros(len(lengths), np.bool_)
    starts = _starts(lengths)
    plain = np.where(odd, 0.0, values)
    source = np.where(odd, 0, np.arange(len(values)))
    source[starts] = starts
    plain = plain[np.maximum.accumulate(source)]
    return plain, np.flatnonzero(odd), np.add.reduceat(odd, starts) * _TOO_MANY > lengths


def _marked(positions: Ints, chosen: Mask) -> Mask:
    """Mark `positions` among the chosen samples only."""
    marks = np.zeros(len(chosen), np.bool_)
    marks[positions] = True
    return marks[chosen]


def _decimal(values: Values, lengths: Lengths, hopeless: Mask) -> tuple[Ints, Ints]:
    """Return the decimal places of each column, `_XOR` for none, and the scaled samples."""
    starts = _starts(lengths)
    scaled, exact = _scaled(values, 1.0)
    whole = np.logical_and.reduceat(exact, starts)
    places = np.where(whole & ~hopeless, 0, _XOR).astype(np.int64)
    for count in range(1, PLACES + 1):
        open_ = np.flatnonzero((places == _XOR) & ~hopeless)
        if not len(open_):
            break
        asked = values[_probes(starts[open_], lengths[open_])]
        likely = open_[_scaled(asked, _POWERS[count])[1].all(axis=1)]
        if len(likely):
            _try_places(count, likely, values, scaled, places=places, lengths=lengths)
    return places, scaled


def _try_places(
    count: int, likely: Ints, values: Values, scaled: Ints, *, places: Ints, lengths: Lengths
) -> None:
    """Note the columns among `likely` that `count` decimal places are right for."""
    tried = np.zeros(len(lengths), np.bool_)
    tried[likely] = True
    chosen = np.repeat(tried, lengths)
    scaled[chosen], exact = _scaled(values[chosen], _POWERS[count])
    right = np.logical_and.reduceat(exact, _starts(lengths[likely]))
    places[likely[right]] = count


def _scaled(values: Values, power: float) -> tuple[Ints, Mask]:
    """Return `values * power` as integers, and where these bring the same bits back."""
    with np.errstate(over="ignore", invalid="ignore"):
        large = np.rint(values * power)
        large[~(np.abs(large) <= _LARGEST)] = 0.0
        ints = large.astype(np.int64)
        back = ints.astype(np.float64)
        back /= power
    return ints, back.view(np.uint64) == values.view(np.uint64)
