"""What `tocsin tsdb list` and `verify` say of a tenant's files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tocsin.cli.listing import Row
from tocsin.model.rfc3339 import format_millis
from tocsin.model.slots import from_ms
from tocsin.timeseries.block import Block, Fault
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.block_reader import BlockReader
from tocsin.timeseries.still import StillStore
from tocsin.timeseries.survey import block_faults, overlaps, segment_fault

BLOCK_COLUMNS = (
    "tenant", "block", "start", "end", "series", "samples", "chunks", "bytes", "bytes_per_sample",
    "tombstones",
)  # fmt: skip
_TIMES = ("start", "end")


def block_rows(store: StillStore) -> Iterator[dict[str, object]]:
    """Yield one row for each block and one for the log; times in ms."""
    for block in store.blocks:
        yield {
            "tenant": store.tenant,
            "block": block.name.ulid,
            "start": block.name.mint,
            "end": block.name.maxt,
            "series": block.about.series,
            "samples": block.about.samples,
            "chunks": _chunks(block),
            "bytes": block.size,
            "bytes_per_sample": round(block.size / block.about.samples, 3),
            "tombstones": len(store.tombstones.of_block(block.name.ulid)),
        }
    size, head = sum(segment.size for segment in store.segments), store.head
    yield {
        "tenant": store.tenant,
        "block": "log",
        "start": head.oldest_ms(),
        "end": head.newest_ms,
        "series": len(head.catalog),
        "samples": head.samples,
        "chunks": len(store.segments),
        "bytes": size,
        "bytes_per_sample": round(size / head.samples, 3) if head.samples else None,
        "tombstones": len(store.tombstones.of_segment(0)),
    }


def readable(row: Row) -> Row:
    """Return a row for people: times as RFC 3339, nothing as nothing."""
    shown = {key: "" if value is None else value for key, value in row.items()}
    return shown | {key: _shown(row[key]) for key in _TIMES}


@dataclass(slots=True)
class Verified:
    """What was looked at and what was found; notes are no faults."""

    blocks: int = 0
    samples: int = 0
    segments: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def content(self) -> Row:
        """Return this for programs."""
        faults = [{"file": str(fault.path), "message": fault.what} for fault in self.faults]
        counts = {"blocks": self.blocks, "samples": self.samples, "segments": self.segments}
        return {**counts, "faults": faults, "notes": self.notes}

    def lines(self) -> Iterator[str]:
        """Yield this for people."""
        yield from map(str, self.faults)
        yield from (f"note: {note}" for note in self.notes)
        looked = f"{self.blocks} blocks with {self.samples} samples, {self.segments} log segments"
        yield f"{looked}: {len(self.faults) or 'no'} fault{'s' * (len(self.faults) != 1)}"


def verified(store: StillStore, found: Verified) -> None:
    """Look through everything a tenant has, and note what is wrong."""
    found.faults += store.blocks.faults
    for block in store.blocks:
        try:
            found.faults += block_faults(block)
        except FileNotFoundError:
            continue  # merged by a server meanwhile
        found.blocks += 1
        found.samples += block.about.samples
    for one, other in overlaps(store.blocks):
        found.notes.append(f"{other.path} has times of {one.path.name}: merged in time")
    _segments(store, found)


def _chunks(block: Block) -> int | None:
    """Return how many chunks a block has, None when its index is damaged."""
    try:
        with BlockReader(block) as reader:
            return len(reader.contents().chunks)
    except BadBlock:
        return None


def _segments(store: StillStore, found: Verified) -> None:
    for segment in store.segments:
        try:
            fault = segment_fault(segment)
        except FileNotFoundError:
            continue  # sealed by a server meanwhile
        found.segments += 1
        if fault and segment is store.segments[-1]:
            found.notes.append(f"{fault}: torn by a crash, or being written")
        elif fault:
            found.faults.append(fault)


def _shown(at: object) -> str:
    return format_millis(from_ms(at)) if isinstance(at, int) else ""
