"""The reference of the metric catalogue: docs/reference/metric-catalogue.md.

python -m tocsin.metrics_collector.catalogue_reference > docs/reference/metric-catalogue.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tocsin.metrics_collector.catalogue import catalogue
from tocsin.model.catalogue import MetricEntry

_HEAD = """\
# Metric catalogue

<!-- Written by `python -m tocsin.metrics_collector.catalogue_reference`; do not edit. -->

The metrics that [rule packs](rule-packs.md) and dashboards rely on, with type, unit and the labels
they have at least. `tocsin metrics catalogue -o json` prints the same for programs. A program that
counts with [MetricsCollector](../howto/count-in-your-program.md) needs no more than the name of one
of them. What Tocsin says of itself stands in [metrics.md](metrics.md).

Names follow OpenTelemetry's translation to Prometheus: the unit is a suffix, counters end in
`_total`, shares from 0 to 1 in `_ratio`, Unix times in `_timestamp_seconds`. A histogram has
`_bucket`, `_count` and `_sum`. Host metrics are node_exporter's. `source` and `actor` are
pseudonyms of the most frequent values.
"""
_SELF = "Tocsin"


def catalogue_reference() -> str:
    """Return the reference as Markdown; what stands in metrics.md is left out."""
    sources: dict[str, list[MetricEntry]] = {}
    for entry in catalogue():
        if entry.source != _SELF:
            sources.setdefault(entry.source, []).append(entry)
    sections = (line for source, entries in sources.items() for line in _section(source, entries))
    return "\n".join([_HEAD, *sections])


def _section(source: str, entries: list[MetricEntry]) -> Iterator[str]:
    yield from (
        f"## {source}",
        "",
        "| name | type | unit | labels | meaning |",
        "|---|---|---|---|---|",
    )
    for entry in entries:
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        yield f"| `{entry.name}` | {entry.type} | {entry.unit} | {labels} | {entry.help} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(catalogue_reference())
