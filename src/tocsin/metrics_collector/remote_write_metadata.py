"""What the series of a remote write 2.0 request say of their metrics.

Every series repeats type, help and unit of its metric family. Series of one family stand side
by side in most requests, so messages are read with NumPy, and equal ones of a metric are looked
at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tocsin.metrics_collector.known_series import Numbers
from tocsin.metrics_collector.protobuf import LEAF, VARINT, expect, fields
from tocsin.metrics_collector.remote_write_frames import Chosen, Places, packed_numbers, words
from tocsin.metrics_collector.write_request import metadata_of
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Metadata

_FIELDS = (1, 3, 4)  # type, help_ref, unit_ref: all varints
_PARTS = {
    "histogram": ("_bucket", "_sum", "_count"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "summary": ("_sum", "_count"),
}


def metadata_fields(body: bytes, begins: Places, ends: Places) -> npt.NDArray[np.int64] | None:
    """Return the three fields of each message, 0 where one is absent; shape (n, 3).

    None when a message holds anything else. None of them is empty.
    """
    packed = packed_numbers(body, begins, ends)
    if packed is None:
        return None
    counts = np.diff(packed.bounds)
    if (counts % 2).any() or (counts > 2 * LEAF).any():
        return None
    tags, values = packed.numbers.reshape(-1, 2).T
    messages = np.repeat(np.arange(len(begins)), counts // 2)
    found = np.zeros((len(begins), len(_FIELDS)), np.int64)
    known = 0
    for column, number in enumerate(_FIELDS):
        rows = np.flatnonzero(tags == number << 3 | VARINT)
        found[messages[rows], column] = values[rows]
        known += len(rows)
    return found if known == len(tags) else None


def last_said(body: bytes, begins: Places, ends: Places, metrics: Numbers) -> Chosen:
    """Return which messages need to be read, ascending: of equal ones of a metric only the last.

    Those of more than eight bytes are taken for unequal. Each message ends eight bytes or more
    behind the beginning of the body.
    """
    sizes = ends - begins
    unused = 8 * np.clip(8 - sizes, 0, 7).astype(np.uint64)  # bits of the word that are none
    content = words(body)[ends - 8] >> unused
    order = np.lexsort((sizes, content, metrics))
    here, following = order[:-1], order[1:]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (content[here] != content[following]) | (metrics[here] != metrics[following])
    last[:-1] |= (sizes[here] != sizes[following]) | (sizes[here] > 8)
    return np.sort(order[last])


def read_fields(body: bytes, start: int, end: int) -> tuple[int, int, int]:
    """Metadata: type = 1, help_ref = 3, unit_ref = 4. Raises InvalidInput."""
    given = dict.fromkeys(_FIELDS, 0)
    for number, kind, value, _ in fields(body, start, end, most=LEAF):
        if number in given:
            expect(kind, VARINT, "metadata")
            given[number] = value
    kind_number, help_ref, unit_ref = given.values()
    return kind_number, help_ref, unit_ref


def described(given: tuple[int, int, int], symbols: Sequence[bytes]) -> Metadata | None:
    """Return what the fields mean, None when they say nothing. Raises InvalidInput."""
    if not any(given):
        return None
    kind, *refs = given
    help_text, unit = (symbol_at(symbols, ref) if ref else b"" for ref in refs)
    return metadata_of(kind, help_text, unit)


def symbol_at(symbols: Sequence[bytes], ref: int) -> bytes:
    """Return the text a reference stands for. Raises InvalidInput."""
    try:
        return symbols[ref]
    except IndexError:
        raise InvalidInput(f"there is no symbol {ref}") from None


def family(name: str, kind: str) -> str:
    """Return the name of the family that a series of a histogram or summary belongs to."""
    for part in _PARTS.get(kind, ()):
        if name.endswith(part):
            return name.removesuffix(part)
    return name
