"""The metric catalogue, read from the YAML files in `known_metrics`.

`node.yml` has the host's names (node_exporter), `adopted.yml` those of OpenTelemetry and
Prometheus, `ours.yml` those no standard has: engagement, recommendation, models, access, audit.
`tocsin.yml` is what this program says of itself; it is written by
`python tests/integration/docs/test_server_reference.py`.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator

import msgspec
import yaml

from tocsin.model.catalogue import Catalogue, MetricEntry, MetricType, Unit

FILES = ("adopted.yml", "node.yml", "ours.yml", "tocsin.yml")


class _Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; its `source` may stand above it."""

    name: str
    type: MetricType
    unit: Unit
    help: str
    labels: tuple[str, ...] = ()
    source: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file; `source` is that of entries that do not say."""

    source: str
    metrics: tuple[_Metric, ...]


@functools.cache
def catalogue() -> Catalogue:
    """Return every metric of the catalogue; the files are read at the first call."""
    return Catalogue(entry for name in FILES for entry in _entries(name))


def _entries(name: str) -> Iterator[MetricEntry]:
    path = importlib.resources.files("tocsin.metrics_collector") / "known_metrics" / name
    raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    file = msgspec.convert(raw, _File)
    for m in file.metrics:
        yield MetricEntry(m.name, m.type, m.unit, m.help, m.labels, m.source or file.source)
