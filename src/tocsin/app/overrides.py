"""What the command line says about a configuration; it wins over the file, at every reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from tocsin.config_loader.loaded import Config
from tocsin.config_loader.server import check_server
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.settings import Duration
from tocsin.telemetry.logs import Level, LogFormat

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values of flags; None or empty where a flag was not given. `notes` are logged at start."""

    listen: tuple[str, ...] = ()
    data_dir: Path | None = None
    external_url: str | None = None
    route_prefix: str | None = None
    level: str | None = None
    style: str | None = None
    history: Duration | None = None
    behind_a_proxy: bool = False
    notes: tuple[str, ...] = ()

    def applied(self, config: Config) -> Config:
        """Return `config` with these in place of what it says.

        Raises ConfigError when an address leaves a door open that the file would not have
        been allowed to leave open. `behind_a_proxy` stands for `insecure_http: true`.
        """
        server = {
            "listen": list(self.listen) or None,
            "external_url": self.external_url,
            "route_prefix": self.route_prefix,
            "insecure_http": True if self.behind_a_proxy else None,
        }
        storage = {
            "path": str(self.data_dir.absolute()) if self.data_dir else None,
            "history": self.history,
        }
        log = {
            "level": Level(self.level) if self.level else None,
            "format": LogFormat(self.style) if self.style else None,
        }
        laid = _overlaid(config.server, server)
        if findings := check_server(laid):
            raise ConfigError(tuple(Problem(f.message, "command line") for f in findings))
        return replace(
            config,
            server=laid,
            storage=_overlaid(config.storage, storage),
            log=_overlaid(config.log, log),
        )


def _overlaid(section: S, values: Mapping[str, object]) -> S:
    given = {name: value for name, value in values.items() if value is not None}
    return msgspec.structs.replace(section, **given) if given else section
