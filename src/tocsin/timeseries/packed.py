"""Blocks of values at rest in memory: compressed, and opened a few columns at a time.

Rules look at rings and people at the last minutes; what is older in memory is read now and
then. So rows that are complete are coded column by column: a column of whole numbers, or of
decimals with few places, as the difference of each to the one before; any other as the XOR
with the one before. Bytes of equal weight are put beside each other and zstd does the rest:
about one byte a sample on usual targets instead of eight, every bit pattern kept.

A block is cut into tiles of some columns; a reader pays for the tiles its columns lie in.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import zstandard

from tocsin.model.series import Times, Values

Columns = npt.NDArray[np.intp]
Bits = npt.NDArray[np.uint64]
Kinds = npt.NDArray[np.uint8]
Planes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.signedinteger]

_TILE = 64  # columns: at most 64 KiB for 128 rows
_POWERS = np.array([1.0, 1e2, 1e4])  # by kind of a column: what its values are multiplied by
_SIGNED = (np.int8, np.int16, np.int32, np.int64)
_XOR = 255  # the kind of a column that no power makes whole


class _Zstd(threading.local):
    """A compressor and a decompressor for each thread: they cost more than their use here."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_ZSTD = _Zstd()


class PackedBlock:
    """An immutable block of shape (rows, width), made by `pack`. Read it in any thread."""

    __slots__ = ("kinds", "rows", "tiles")

    def __init__(self, rows: int, kinds: bytes, tiles: tuple[bytes, ...]) -> None:
        self.rows = rows
        self.kinds = kinds
        self.tiles = tiles

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return len(self.kinds)

    @property
    def nbytes(self) -> int:
        """Return the bytes of the compressed tiles."""
        return sum(map(len, self.tiles))


def pack(blocks: Sequence[Values]) -> list[PackedBlock]:
    """Return blocks compressed; all have the same number of rows, at least one.

    Many small ones together cost little more than one.
    """
    changes, kinds = _coded(np.concatenate([block.T for block in blocks]))
    packed, begin, same = [], 0, dict[bytes, bytes]()
    for block in blocks:
        end = begin + block.shape[1]
        starts = range(begin, end, _TILE)
        tiles = tuple(_compressed(changes[at : min(end, at + _TILE)]) for at in starts)
        own = kinds[begin:end].tobytes()
        packed.append(PackedBlock(len(block), same.setdefault(own, own), tiles))
        begin = end
    return packed


def unpack(wanted: Sequence[tuple[PackedBlock, Columns]]) -> list[Values]:
    """Return ascending columns of blocks, with all their rows; all have as many rows.

    Many small ones together cost little more than one.
    """
    rows = wanted[0][0].rows
    changes = np.zeros((sum(len(columns) for _, columns in wanted), rows), np.uint64)
    cells, begin = changes.view(np.uint8).reshape(-1, 8), 0
    for block, columns in wanted:
        for planes in _opened(block, columns):
            end = begin + planes.shape[1]
            cells[begin:end, : len(planes)] = planes.T
            begin = end
    kinds = [np.frombuffer(block.kinds, np.uint8)[columns] for block, columns in wanted]
    values = _decoded(changes, kinds[0] if len(kinds) == 1 else np.concatenate(kinds)).T
    ends = np.cumsum([len(columns) for _, columns in wanted]).tolist()
    return [
        values[:, end - len(columns) : end] for end, (_, columns) in zip(ends, wanted, strict=True)
    ]


def _opened(block: PackedBlock, columns: Columns) -> list[Planes]:
    """Return the low byte planes, of shape (planes, columns * rows), of some columns of a block."""
    if len(block.tiles) == 1:
        return [_opened_tile(block, 0, columns)]
    tiles = columns // _TILE
    bounds = np.searchsorted(tiles, np.arange(len(block.tiles) + 1)).tolist()
    return [
        _opened_tile(block, tile, columns[first:last] - tile * _TILE)
        for tile, (first, last) in enumerate(pairwise(bounds))
        if first < last
    ]


def _opened_tile(block: PackedBlock, tile: int, columns: Columns) -> Planes:
    planes = np.frombuffer(_ZSTD.decompress(block.tiles[tile]), np.uint8)
    width = min(_TILE, block.width - tile * _TILE)
    held = planes.reshape(-1, width, block.rows)
    return (held if len(columns) == width else held[:, columns]).reshape(len(held), -1)


class Opening:
    """Packed blocks that are opened together: ask for columns of each, open, then take them.

    Of one block only one choice of columns may be asked for.
    """

    def __init__(self) -> None:
        self.cells = 0  # asked for and not opened
        self._asked: dict[int, list[tuple[PackedBlock, Columns]]] = {}  # by rows
        self._opened: dict[int, Values] = {}  # by identity of the block

    def ask(self, block: PackedBlock, columns: Columns) -> None:
        """Ask for columns of a block, which ascend."""
        self._asked.setdefault(block.rows, []).append((block, columns))
        self.cells += block.rows * len(columns)

    def open(self) -> None:
        """Open what was asked for."""
        for asked in self._asked.values():
            for (block, _), values in zip(asked, unpack(asked), strict=True):
                self._opened[id(block)] = values
        self._asked.clear()
        self.cells = 0

    def take(self, block: PackedBlock, columns: Columns) -> Values:
        """Return the columns of a block; one that was not asked for is opened alone."""
        found = self._opened.get(id(block))
        return unpack([(block, columns)])[0] if found is None else found


class PackedTimes:
    """Ascending times at rest: what a clock of even steps says wrong. At least one."""

    __slots__ = ("_count", "_first", "_off", "_step")

    def __init__(self, times: Times) -> None:
        self._count, self._first = len(times), int(times[0])
        self._step = (int(times[-1]) - self._first) // max(1, self._count - 1)
        off = times - self._even()
        widest = int(np.abs(off).max())
        kind = next(kind for kind in _SIGNED if widest <= np.iinfo(kind).max)
        self._off: Offsets | None = off.astype(kind) if widest else None

    def all(self) -> Times:
        """Return the times; read-only."""
        times = self._even()
        if self._off is not None:
            times = times + self._off
        times.flags.writeable = False
        return times

    def _even(self) -> Times:
        return np.arange(self._count) * self._step + self._first


def _coded(values: Values) -> tuple[Bits, Kinds]:
    """Return the changes along each row of `values`, and how they were made."""
    kinds = np.zeros(len(values), np.uint8)
    whole, exact = _whole(values, 1.0)
    if exact.all():
        return _zigzag_steps(whole), kinds
    changes = np.empty(values.shape, np.uint64)
    changes[exact] = _zigzag_steps(whole[exact])
    left = np.flatnonzero(~exact)
    for kind, power in enumerate(_POWERS.tolist()[1:], 1):
        whole, exact = _whole(values[left], power)
        changes[left[exact]] = _zigzag_steps(whole[exact])
        kinds[left[exact]] = kind
        left = left[~exact]
    bits = values.view(np.uint64)[left]
    bits[:, 1:] ^= bits[:, :-1].copy()
    changes[left] = bits
    kinds[left] = _XOR
    return changes, kinds


def _whole(values: Values, power: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return `values * power` as integers, and for which rows these bring the same bits back."""
    with np.errstate(all="ignore"):
        if power == 1:
            whole = values.astype(np.int64)
            back = whole.astype(np.float64)
        else:
            whole = np.rint(values * power).astype(np.int64)
            back = whole.astype(np.float64)
            back /= power
    exact: npt.NDArray[np.bool_] = (back.view(np.uint64) == values.view(np.uint64)).all(axis=1)
    return whole, exact


def _zigzag_steps(numbers: npt.NDArray[np.int64]) -> Bits:
    steps = numbers.copy()
    steps[:, 1:] -= numbers[:, :-1]
    signs = steps >> 63
    steps <<= 1
    steps ^= signs
    return steps.view(np.uint64)


def _decoded(changes: Bits, kinds: Kinds) -> Values:
    """Return the values of which `_coded` made `changes`, which are spoiled."""
    xored = kinds == _XOR
    if xored.all():
        return np.bitwise_xor.accumulate(changes, axis=1).view(np.float64)
    if not xored.any():
        return _summed(changes, kinds)
    values = np.empty(changes.shape, np.float64)
    values[xored] = np.bitwise_xor.accumulate(changes[xored], axis=1).view(np.float64)
    values[~xored] = _summed(changes[~xored], kinds[~xored])
    return values


def _summed(changes: Bits, kinds: Kinds) -> Values:
    steps = (changes >> np.uint64(1)).view(np.int64)
    changes &= np.uint64(1)
    steps ^= -changes.view(np.int64)
    values = np.cumsum(steps, axis=1).astype(np.float64)
    if kinds.any():
        values /= _POWERS[kinds][:, None]
    return values


def _compressed(changes: Bits) -> bytes:
    """Return the byte planes of a tile, without the high ones that are all zero."""
    used = int(np.bitwise_or.reduce(changes, axis=None)).bit_length()
    cells = changes.view(np.uint8).reshape(-1, 8)[:, : max(1, -(-used // 8))]
    planes = cells.T.tobytes()
    return bytes(memoryview(_ZSTD.compress(planes)))  # what zstd returns keeps its whole buffer
