"""`tocsin config schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json

import click

from tocsin.config_loader.json_schema import config_schema


@click.group()
def config() -> None:
    """Tell about the configuration."""


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of tocsin.yaml and of its single-tenant short form."""
    click.echo(json.dumps(config_schema(), indent=2))
