"""The reference that is shipped is the one the structs give, and dumps of files are whole."""

from __future__ import annotations

from pathlib import Path

import yaml

from tocsin.config_loader.load import load
from tocsin.config_loader.masked import effective_yaml
from tocsin.config_loader.reference import reference

ROOT = Path(__file__).parents[3]


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    assert written == reference(), "run python -m tocsin.config_loader.reference > docs/…"


def test_the_effective_configuration_is_a_configuration(tmp_path: Path) -> None:
    first = load(ROOT / "examples" / "tocsin.yaml", environ={})
    path = tmp_path / "tocsin.yaml"
    path.write_text(effective_yaml(first.config))
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "x.tmpl").write_text("")
    again = load(path, environ={})
    assert yaml.safe_load(effective_yaml(again.config)) == yaml.safe_load(
        effective_yaml(first.config)
    )
