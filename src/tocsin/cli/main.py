"""The `tocsin` command: verbs are found by name and loaded when called, so that --help is fast."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import click

from tocsin.model.version import VERSION

EXIT_ERROR = 1
EXIT_LINT = 3
EXIT_UNREACHABLE = 4


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb lives, and the line --help shows for it."""

    module: str
    attribute: str
    help: str


VERBS = {
    "alertmanager": Verb("serve", "alertmanager", "Run as a drop-in Alertmanager."),
    "check": Verb("check", "check", "Check configuration and rule files."),
    "config": Verb("config", "config", "Print the JSON Schema of the configuration."),
    "deliveries": Verb("deliveries", "deliveries", "List notifications and their attempts."),
    "down": Verb("daemon", "down", "Stop the server that `up` started."),
    "init": Verb("init", "init", "Write a first configuration with tenants and tokens."),
    "metrics": Verb("metrics", "metrics", "List the metrics packs and dashboards rely on."),
    "packs": Verb("packs", "packs", "Show, render and test the rule packs."),
    "query": Verb("query", "query", "Evaluate PromQL on a running server."),
    "rules": Verb("rules", "rules", "Compare, change and back-fill rules of a tenant."),
    "serve": Verb("serve", "serve", "Run the whole platform."),
    "status": Verb("daemon", "status", "Say whether the server that `up` started runs."),
    "token": Verb("token", "token", "Make a token for the configuration."),
    "test": Verb("test", "test", "Test rules before they are in force."),
    "tsdb": Verb("tsdb", "tsdb", "Look after the files of the metric store."),
    "up": Verb("up", "up", "Start the server in the background and wait until it is ready."),
    "validate": Verb("validate", "validate", "Check a running server from end to end."),
}


class Verbs(click.Group):
    """A group that knows its verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in alphabetical order."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, loading its module."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = getattr(importlib.import_module(f"tocsin.cli.{verb.module}"), verb.attribute)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in sorted(VERBS.items())])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tocsin")
def main() -> None:
    """Alerting for many tenants, from the metric to the person."""
