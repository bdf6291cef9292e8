"""`tocsin serve` runs the platform; `tocsin alertmanager` is the same with Alertmanager's flags."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.app.lifecycle import Load, serve_forever
from tocsin.app.overrides import Overrides
from tocsin.cli.main import EXIT_ERROR
from tocsin.config_loader.kind import is_alertmanager_file
from tocsin.config_loader.load import load, load_alertmanager
from tocsin.config_loader.receivers import Dialect
from tocsin.model.errors import ConfigError, InvalidInput, TocsinError
from tocsin.model.settings import Duration
from tocsin.telemetry.logs import Level, LogFormat

_LEVELS = click.Choice([level.value for level in Level])
_FORMATS = click.Choice([style.value for style in LogFormat])

# Flags of Alertmanager that change nothing here, and why nothing is lost by it.
IGNORED = {
    "--alerts.gc-interval": "resolved alerts go as soon as nothing refers to them",
    "--data.maintenance-interval": "state is durable at once",
    "--web.get-concurrency": "requests are answered on one loop",
    "--web.timeout": "requests have budgets of their own",
    "--web.ui-path": "the pages are built in",
    "--cluster.advertise-address": "there is no gossip",
    "--cluster.gossip-interval": "there is no gossip",
    "--cluster.label": "there is no gossip",
    "--cluster.peer-name": "there is no gossip",
    "--cluster.peer-timeout": "there is no gossip",
    "--cluster.peers-resolve-timeout": "there is no gossip",
    "--cluster.probe-interval": "there is no gossip",
    "--cluster.probe-timeout": "there is no gossip",
    "--cluster.pushpull-interval": "there is no gossip",
    "--cluster.reconnect-interval": "there is no gossip",
    "--cluster.reconnect-timeout": "there is no gossip",
    "--cluster.settle-timeout": "there is no gossip",
    "--cluster.tcp-timeout": "there is no gossip",
    "--cluster.tls-config": "there is no gossip",
}
_FEATURES = ("classic-mode", "utf8-strict-mode", "auto-gomemlimit", "auto-gomaxprocs")


def _ignored(command: Any) -> Any:
    for flag, why in reversed(IGNORED.items()):
        name = flag[2:].replace(".", "_").replace("-", "_")
        help_text = f"Accepted: {why}."
        option = click.option(flag, name, multiple=True, hidden=True, help=help_text)
        command = option(command)
    return command


@click.command()
@click.option(
    "--config",
    "--config.file",
    "config",
    type=click.Path(path_type=Path),
    default=Path("tocsin.yaml"),
    show_default=True,
    help="tocsin.yaml, a single-tenant short form, or an alertmanager.yml.",
)
@click.option(
    "--data-dir",
    "--storage.path",
    "data_dir",
    type=click.Path(path_type=Path),
    help="Where data is kept; wins over storage.path.",
)
@click.option(
    "--listen",
    "--web.listen-address",
    "listen",
    multiple=True,
    metavar="HOST:PORT",
    help="Address to listen on, repeatable; wins over server.listen. Port 0 takes a free one.",
)
@click.option("--web.external-url", "external_url", help="The URL people reach this server under.")
@click.option("--web.route-prefix", "route_prefix", help="Path under which everything is served.")
@click.option("--web.enable-lifecycle", "_lifecycle", is_flag=True, hidden=True)
@click.option("--log.level", "level", type=_LEVELS, help="Least severe message to log.")
@click.option("--log.format", "style", type=_FORMATS, help="Form of a log line.")
def serve(
    *,
    config: Path,
    data_dir: Path | None,
    listen: tuple[str, ...],
    external_url: str | None,
    route_prefix: str | None,
    level: str | None,
    style: str | None,
    _lifecycle: bool,
) -> None:
    """Run the whole platform until SIGTERM or Ctrl-C; SIGHUP reloads the configuration."""
    overrides = Overrides(
        listen=listen,
        data_dir=data_dir,
        external_url=external_url,
        route_prefix=route_prefix,
        level=level,
        style=style,
    )
    if is_alertmanager_file(config):
        _run(lambda: load_alertmanager(config), overrides)
    else:
        _run(lambda: load(config), overrides)


@click.command()
@click.option(
    "--config.file", "config", type=click.Path(path_type=Path), default=Path("alertmanager.yml")
)
@click.option("--storage.path", "data_dir", type=click.Path(path_type=Path), default=Path("data"))
@click.option("--web.listen-address", "listen", multiple=True, default=("127.0.0.1:9093",))
@click.option("--web.external-url", "external_url")
@click.option("--web.route-prefix", "route_prefix")
@click.option("--cluster.listen-address", "gossip", default="", hidden=True)
@click.option("--cluster.peer", "peers", multiple=True, hidden=True)
@click.option("--enable-feature", "features", default="", help=f"One of {', '.join(_FEATURES)}.")
@click.option("--data.retention", "retention", default="120h", help="How long history is kept.")
@click.option("--web.config.file", "web_config", default="", hidden=True)
@click.option("--dispatch.start-delay", "start_delay", default="0s", help="Hold the first flush.")
@click.option("--log.level", "level", type=_LEVELS, default="info")
@click.option("--log.format", "style", type=_FORMATS, default="logfmt")
@_ignored
def alertmanager(
    *,
    config: Path,
    data_dir: Path,
    listen: tuple[str, ...],
    external_url: str | None,
    route_prefix: str | None,
    gossip: str,
    peers: tuple[str, ...],
    features: str,
    retention: str,
    web_config: str,
    start_delay: str,
    level: str,
    style: str,
    **ignored: tuple[str, ...],
) -> None:
    """Run one tenant, without tokens, from an unchanged alertmanager.yml.

    Like the program it stands for, it has no authentication: keep it behind something that has.
    """
    if web_config:
        message = "TLS of the listener is not built yet: put a TLS proxy in front"
        raise click.BadParameter(message, param_hint="--web.config.file")
    overrides = Overrides(
        listen=listen,
        data_dir=data_dir,
        external_url=external_url,
        route_prefix=route_prefix,
        level=level,
        style=style,
        history=_history(retention),
        behind_a_proxy=True,
        notes=tuple(_notes(gossip, peers, ignored)),
    )
    dialect = Dialect(_matcher_mode(features), _delay(start_delay))
    _run(lambda: load_alertmanager(config, dialect=dialect), overrides)


def _notes(gossip: str, peers: tuple[str, ...], ignored: dict[str, tuple[str, ...]]) -> list[str]:
    """Say what was asked for and is answered another way here."""
    notes = []
    if gossip or peers:
        notes.append("there is no gossip: several servers share a PostgreSQL database instead")
    given = {name for name, values in ignored.items() if values}
    for flag, why in IGNORED.items():
        if flag[2:].replace(".", "_").replace("-", "_") in given:
            notes.append(f"{flag} changes nothing: {why}")
    return notes


def _matcher_mode(features: str) -> MatcherMode:
    wanted = [name for name in features.split(",") if name]
    if unknown := set(wanted) - set(_FEATURES):
        names = ", ".join(sorted(unknown))
        raise click.BadParameter(f"unknown feature {names}", param_hint="--enable-feature")
    modes = [mode for mode in MatcherMode if mode in wanted]
    if len(modes) > 1:
        raise click.BadParameter("give one matcher mode", param_hint="--enable-feature")
    return modes[0] if modes else MatcherMode.FALLBACK


def _delay(text: str) -> timedelta:
    return _duration(text, "--dispatch.start-delay")


def _history(text: str) -> Duration:
    return _duration(text, "--data.retention")


def _duration(text: str, flag: str) -> Duration:
    try:
        return Duration.parse(text)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint=flag) from error


def _run(load: Load, overrides: Overrides) -> None:
    try:
        sys.exit(serve_forever(load, overrides))
    except ConfigError as error:
        click.echo(f"the configuration is refused:\n{error}", err=True)
        sys.exit(EXIT_ERROR)
    except (TocsinError, OSError) as error:
        click.echo(f"cannot start: {error}", err=True)
        sys.exit(EXIT_ERROR)
