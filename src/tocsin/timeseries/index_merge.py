"""One label index over the series of several blocks.

Label sets are compared as rows of numbers: texts are numbered in order over all blocks, pairs
of name and value in order of those numbers, and a label set is the row of its pairs. Such rows
sort as the label sets do, so that no label set is made on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tocsin.timeseries.block_codec import Ints, Mask
from tocsin.timeseries.block_index import BlockIndex, Index
from tocsin.timeseries.sorting import in_order

Rows: TypeAlias = npt.NDArray[np.void]

DROPPED = -1


def merged_index(indexes: Sequence[BlockIndex], kept: Sequence[Mask]) -> tuple[Index, list[Ints]]:
    """Return the index of all series that are kept, and for each block the new numbers.

    `kept` marks the series of each block; the new number of another is `DROPPED`. Texts that
    only dropped series carry are dropped as well.
    """
    texts, numbered = _texts(indexes, kept)
    keys = [
        _keys(index, numbers, len(texts)) for index, numbers in zip(indexes, numbered, strict=True)
    ]
    counts = np.concatenate([index.counts for index in indexes])
    chosen = np.concatenate(kept)
    pairs, places = np.unique(np.concatenate(keys), return_inverse=True)
    rows = _rows(places + 1, counts)[chosen]
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    new = np.full(len(counts), DROPPED, np.int64)
    new[chosen] = inverse
    kept_first = np.flatnonzero(chosen)[first]
    refs = _refs(pairs[places], counts, kept_first, len(texts))
    cuts = np.cumsum([len(index) for index in indexes])[:-1]
    return (texts, counts[kept_first], refs), np.split(new, cuts)


def _texts(indexes: Sequence[BlockIndex], kept: Sequence[Mask]) -> tuple[list[bytes], list[Ints]]:
    """Return all texts in order, and for each index the new numbers of its texts."""
    held = []
    for index, mask in zip(indexes, kept, strict=True):
        used = np.unique(index.refs[np.repeat(mask, 2 * index.counts)])
        held.append((used, [index.texts.raw(number) for number in used.tolist()]))
    texts = in_order(set[bytes]().union(*(found for _, found in held)))
    number = {text: at for at, text in enumerate(texts)}
    numbered = []
    for index, (used, found) in zip(indexes, held, strict=True):
        new = np.zeros(len(index.texts), np.int64)
        new[used] = [number[text] for text in found]
        numbered.append(new)
    return texts, numbered


def _keys(index: BlockIndex, numbers: Ints, texts: int) -> Ints:
    """Return each pair of each series as one number, in order."""
    refs = numbers[index.refs]
    keys: Ints = refs[::2] * texts + refs[1::2]
    return keys


def _rows(pairs: Ints, counts: Ints) -> Rows:
    """Return one row of bytes for each series, which sort as the label sets do."""
    width = max(1, int(counts.max(initial=0)))
    table = np.zeros((len(counts), width), ">u4")
    table[np.arange(width) < counts[:, None]] = pairs
    return table.view(np.dtype((np.void, 4 * width))).ravel()


def _refs(keys: Ints, counts: Ints, series: Ints, texts: int) -> npt.NDArray[np.int32]:
    """Return the refs of the chosen series, whose pairs stand in `keys`."""
    begins = np.cumsum(counts) - counts
    chosen = counts[series]
    offsets = np.arange(int(chosen.sum())) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    mine = keys[np.repeat(begins[series], chosen) + offsets]
    refs = np.empty(2 * len(mine), np.int32)
    refs[::2], refs[1::2] = mine // max(1, texts), mine % max(1, texts)
    return refs
