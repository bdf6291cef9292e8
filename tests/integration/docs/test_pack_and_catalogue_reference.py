"""The references of rule packs and metrics are those that packs and catalogue give."""

from __future__ import annotations

from pathlib import Path

from tocsin.config_loader.pack_reference import pack_reference
from tocsin.config_loader.packs import pack_names, read_pack
from tocsin.metrics_collector.catalogue import catalogue
from tocsin.metrics_collector.catalogue_reference import catalogue_reference

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"


def test_the_reference_of_packs_is_up_to_date() -> None:
    again = "run python -m tocsin.config_loader.pack_reference > docs/reference/rule-packs.md"
    assert (REFERENCE / "rule-packs.md").read_text() == pack_reference(), again


def test_the_reference_of_metrics_is_up_to_date() -> None:
    again = "run python -m tocsin.metrics_collector.catalogue_reference > docs/reference/…"
    assert (REFERENCE / "metric-catalogue.md").read_text() == catalogue_reference(), again


def test_every_alert_has_a_runbook_and_every_parameter_a_row() -> None:
    page = pack_reference()
    for name in pack_names():
        pack = read_pack(name)
        assert all(f"\n### {alert}\n" in page for alert in pack.alerts)
        assert all(f"\n| `{parameter}` | " in page for parameter in pack.head.parameters)


def test_every_metric_has_a_row_but_what_another_page_has() -> None:
    page = catalogue_reference()
    missing = [e.name for e in catalogue() if f"\n| `{e.name}` | " not in page]
    assert all(name.startswith(("tocsin_", "alertmanager_")) for name in missing)
