"""Dumps show defaults and no secret."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
import yaml

from tocsin.config_loader.convert import convert
from tocsin.config_loader.masked import masked
from tocsin.config_loader.schema import AlertmanagerFile, schema_for
from tocsin.config_loader.tree import parse
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration, duration
from tocsin.notification_dispatcher.registry import BUILTIN, Providers


class Mode(enum.StrEnum):
    """A choice."""

    FAST = "fast"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind of field."""

    name: str
    text: str = ""
    host: str = "localhost"
    flag: bool = True
    off: bool = False
    wait: Duration = duration("90s")
    hold: Duration = msgspec.field(name="for", default_factory=Duration)
    mode: Mode = Mode.FAST
    key: Secret | None = None
    key_file: str = ""
    url: Secret | None = None
    keys: list[Secret] = []
    named: dict[str, Secret] = {}
    timeout: Duration = duration("5s")
    inner: Section | None = None


def test_defaults_are_filled_in_and_empty_ones_left_out() -> None:
    assert masked(Section(name="")) == {
        "name": "",
        "host": "localhost",
        "flag": True,
        "wait": "1m30s",
        "mode": "fast",
    }


def test_what_differs_from_its_default_shows_even_when_empty() -> None:
    shown = masked(Section(name="x", host="", flag=False, hold=Duration(minutes=1)))
    assert (shown["host"], shown["flag"], shown["for"]) == ("", False, "1m")


def test_secrets_are_masked_wherever_they_stand() -> None:
    secret = Secret("hunter2")
    inner = Section(name="y", key=secret, url=secret)
    value = Section(name="x", keys=[secret], named={"a": secret}, inner=inner)
    assert "hunter2" not in str(masked(value))
    assert masked(value)["keys"] == ["<secret>"]
    assert masked(value)["named"] == {"a": "<secret>"}
    assert masked(inner)["key"] == "<secret>"


def test_a_secret_url_keeps_a_scheme_for_clients_that_parse_it() -> None:
    assert masked(Section(name="x", url=Secret("https://h/s3cret")))["url"] == "http://<secret>"


def test_a_secret_from_a_file_shows_as_the_file() -> None:
    shown = masked(Section(name="x", key=Secret("hunter2"), key_file="/run/key"))
    assert shown["key_file"] == "/run/key"
    assert "key" not in shown


def test_a_key_younger_than_old_clients_shows_only_when_it_is_set() -> None:
    assert "timeout" not in masked(Section(name="x"))
    assert masked(Section(name="x", timeout=Duration(seconds=7)))["timeout"] == "7s"


def test_what_is_dumped_can_be_read_again() -> None:
    text = """
route: {receiver: x, routes: [{matchers: ['a="b"'], continue: true, group_wait: 5s}]}
receivers:
  - name: x
    webhook_configs: [{url: "http://x", http_config: {authorization: {credentials: s3cret}}}]
"""
    kind = schema_for(Providers(BUILTIN)).alertmanager
    first = read(text, kind)
    again = read(yaml.safe_dump(masked(first)), kind)
    assert masked(again) == masked(first)
    assert "s3cret" not in str(masked(first))


def read(text: str, kind: type[AlertmanagerFile]) -> Any:
    root = parse(text, file="f").root
    assert root is not None
    converted = convert(root, kind)
    assert converted.problems == ()
    return converted.value


def test_equal_providers_share_one_schema() -> None:
    assert schema_for(Providers(BUILTIN)) is schema_for(Providers(BUILTIN))
