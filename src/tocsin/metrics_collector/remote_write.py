"""Decodes remote write requests, versions 1.0 and 2.0: bytes to label sets, times and values.

Nothing is stored here. Whatever the bytes are, the outcome is a `Request` or InvalidInput, and
memory stays in proportion to `LARGEST`.
"""

from __future__ import annotations

from enum import StrEnum

import cramjam

from tocsin.metrics_collector.known_series import KnownSeries
from tocsin.metrics_collector.remote_write_decoder import Decoder
from tocsin.metrics_collector.remote_write_v1 import FirstVersion
from tocsin.metrics_collector.remote_write_v2 import SecondVersion
from tocsin.model.errors import InvalidInput

LARGEST = 32 << 20  # bytes; contract security-compliance 7: what a snappy body may become


class Version(StrEnum):
    """Which message a request holds."""

    V1 = "1.0"
    V2 = "2.0"


def decompressed(body: bytes) -> bytes:
    """Return the content of a snappy block.

    Raises InvalidInput when it is none, or says that it holds more than `LARGEST`: the
    length is read first, because the library would take the memory at once.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > LARGEST:
            raise InvalidInput(f"the request holds {size} bytes, more than {LARGEST}")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise InvalidInput(f"the body is no snappy block: {error}") from error


def decoder(content: bytes, version: Version, known: KnownSeries) -> Decoder:
    """Return what reads an uncompressed request."""
    if version is Version.V1:
        return FirstVersion(content, known)
    return SecondVersion(content, known)
