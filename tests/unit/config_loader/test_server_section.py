"""The process section: addresses, and doors left open."""

import typing

import pytest

from tocsin.config_loader.server import (
    Auth,
    PlatformRole,
    PlatformTokenConfig,
    ServerConfig,
    TenantRole,
    check_server,
    is_loopback,
    split_address,
)
from tocsin.security.permissions import Role

ROOT = PlatformTokenConfig(name="root", role="platform-admin", sha256="0" * 64)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:9093", ("127.0.0.1", 9093)),
        (":9093", ("", 9093)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
        ("example.org:80", ("example.org", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize("address", ["", "9093", "x:", "x:y", "::1:80", "x:65536", "x:-1", "[::1]"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        split_address(address)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104  # that is the point
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_only_loopback_is_out_of_reach_for_others(host: str, local: bool) -> None:  # noqa: FBT001  # a table
    assert is_loopback(host) is local


def test_the_defaults_are_sound() -> None:
    assert check_server(ServerConfig()) == []


def test_an_open_address_is_refused_unless_it_is_said_to_be_meant() -> None:
    for auth in Auth:
        server = ServerConfig(listen=["127.0.0.1:1", ":9093"], auth=auth)
        assert [finding.path for finding in check_server(server)] == [("listen", 1)]
        meant = ServerConfig(listen=[":9093"], auth=auth, insecure_http=True)
        assert check_server(meant) == []


@pytest.mark.parametrize(
    ("server", "path"),
    [
        (ServerConfig(listen=[]), ("listen",)),
        (ServerConfig(listen=["x"]), ("listen", 0)),
        (ServerConfig(external_url="example.org"), ("external_url",)),
        (ServerConfig(external_url="http://[::1"), ("external_url",)),
        (ServerConfig(external_url="http://"), ("external_url",)),
        (ServerConfig(route_prefix="x"), ("route_prefix",)),
        (ServerConfig(tokens=[ROOT, ROOT]), ("tokens", 1, "name")),
    ],
)
def test_what_is_wrong_is_told_with_its_path(server: ServerConfig, path: tuple[object]) -> None:
    assert [finding.path for finding in check_server(server)] == [path]


def test_a_complete_section_is_sound() -> None:
    server = ServerConfig(
        listen=["127.0.0.1:9093", "[::1]:9093"],
        external_url="https://alerts.example.org/tocsin",
        route_prefix="/tocsin",
        tokens=[ROOT],
    )
    assert check_server(server) == []


def test_a_file_may_give_every_role_but_those_that_no_token_stands_for() -> None:
    given = {*typing.get_args(TenantRole), *typing.get_args(PlatformRole)}
    assert given == set(Role) - {Role.NOBODY, Role.OWNER}
