"""Flags win over the file, and obey the same checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.app.overrides import Overrides
from tocsin.config_loader.loaded import Config
from tocsin.config_loader.server import (
    Auth,
    LogConfig,
    ReloadConfig,
    ServerConfig,
    StorageConfig,
)
from tocsin.model.errors import ConfigError
from tocsin.model.settings import Duration
from tocsin.telemetry.logs import Level, LogFormat

CONFIG = Config(
    Path("tocsin.yaml"),
    ServerConfig(listen=["127.0.0.1:1"], external_url="http://x.test"),
    StorageConfig(path="/var/lib/tocsin"),
    LogConfig(level=Level.WARN),
    ReloadConfig(),
    (),
)


def test_without_flags_the_file_stands() -> None:
    assert Overrides().applied(CONFIG) == CONFIG


def test_each_flag_replaces_its_setting_and_no_other() -> None:
    laid = Overrides(
        listen=("127.0.0.1:2", "127.0.0.1:3"),
        data_dir=Path("/tmp/x"),  # noqa: S108 - a name, never opened
        external_url="http://y.test",
        route_prefix="/base",
        level="debug",
        style="json",
        history=Duration.parse("1h"),
    ).applied(CONFIG)
    assert laid.server.listen == ["127.0.0.1:2", "127.0.0.1:3"]
    assert (laid.server.external_url, laid.server.route_prefix) == ("http://y.test", "/base")
    assert (laid.storage.path, str(laid.storage.history)) == ("/tmp/x", "1h")  # noqa: S108
    assert laid.storage.retention == CONFIG.storage.retention
    assert (laid.log.level, laid.log.format) == (Level.DEBUG, LogFormat.JSON)
    assert laid.server.auth is Auth.TOKEN


def test_a_data_directory_is_made_absolute() -> None:
    laid = Overrides(data_dir=Path("data")).applied(CONFIG)
    assert laid.storage.path == str(Path("data").absolute())


def test_an_address_that_others_reach_is_refused_unless_a_proxy_stands_before_it() -> None:
    with pytest.raises(ConfigError, match=r"command line: .* is reachable from other machines"):
        Overrides(listen=("0.0.0.0:9093",)).applied(CONFIG)
    laid = Overrides(listen=(":9093",), behind_a_proxy=True).applied(CONFIG)
    assert laid.server.listen == [":9093"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (Overrides(listen=("nowhere",)), "is no address"),
        (Overrides(external_url="x"), "is no http or https URL"),
        (Overrides(route_prefix="base"), "begins with"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(flags: Overrides, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        flags.applied(CONFIG)
