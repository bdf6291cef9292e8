"""Samples out of OpenMetrics text, some lines at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tocsin.metrics_collector.exposition import PageParser
from tocsin.model.errors import InvalidInput
from tocsin.model.sample import Sample

_LINES = 20_000
_END = b"# EOF"


def batches(file: Iterable[bytes]) -> Iterator[list[Sample]]:
    """Yield the samples of a file that ends with `# EOF`.

    Raises InvalidInput for a line that is no sample, for a sample without a time, and for a
    file that is cut short.
    """
    parser, lines, done = PageParser(), iter(file), 0
    while part := list(islice(lines, _LINES)):
        end = next((at for at, line in enumerate(part) if line.rstrip(b"\r\n") == _END), None)
        yield _samples(parser, part[:end], done)
        if end is not None:
            if part[end + 1 :] or any(lines):
                raise InvalidInput(f"line {done + end + 2}: there is more behind # EOF")
            return
        done += len(part)
    raise InvalidInput("the file does not end with # EOF: it may be cut short")


def _samples(parser: PageParser, part: list[bytes], done: int) -> list[Sample]:
    try:
        page = parser.parse(b"".join(part) + _END + b"\n", openmetrics=True)
    except InvalidInput as error:
        raise InvalidInput(f"in the {len(part)} lines from line {done + 1} on: {error}") from error
    if len(page.times) < len(page.numbers):
        raise InvalidInput(f"a sample from line {done + 1} on has no time")
    values = page.values.tolist()
    return [
        Sample(parser.series[number], page.times[at], value)
        for at, (number, value) in enumerate(zip(page.numbers, values, strict=True))
    ]
