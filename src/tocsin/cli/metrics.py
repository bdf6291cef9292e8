"""`tocsin metrics catalogue`: the metrics that rule packs and dashboards rely on."""

from __future__ import annotations

import click

from tocsin.cli.listing import OUTPUT, show
from tocsin.metrics_collector.catalogue import catalogue as known_metrics


@click.group()
def metrics() -> None:
    """Tell about metrics."""


@metrics.command("catalogue")
@click.option("--source", default="", help="Only those whose source has this in it.")
@OUTPUT
def catalogue(source: str, output: str) -> None:
    """List the metrics that rule packs and dashboards rely on, with type, unit and labels."""
    rows = [
        {
            "name": entry.name,
            "type": entry.type.value,
            "unit": entry.unit.value,
            "labels": list(entry.labels),
            "source": entry.source,
            "help": entry.help,
        }
        for entry in known_metrics()
        if source.lower() in entry.source.lower()
    ]
    show(rows, ("name", "type", "unit", "labels", "help"), output)
