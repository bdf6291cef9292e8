"""Through which proxy a request goes."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tocsin.metrics_collector.ports import DIRECT, ProxyOptions
from tocsin.metrics_collector.proxy import is_spared, proxy_of
from tocsin.model.errors import Unreachable
from tocsin.model.secret import Secret

OURS = ProxyOptions(Secret("http://proxy:3128"))
ENVIRON = {
    "HTTP_PROXY": "http://upper:1",
    "http_proxy": "http://lower:1",
    "https_proxy": "secure:2",
    "no_proxy": "inside.example,10.0.0.0/8",
}


def test_without_a_proxy_requests_go_directly() -> None:
    assert proxy_of("http://web/", DIRECT, ENVIRON) is None


@pytest.mark.parametrize("url", ["http://web/", "https://web/", "http://localhost/"])
def test_a_proxy_of_the_job_is_for_everything(url: str) -> None:
    assert proxy_of(url, OURS, {}) == "http://proxy:3128"


def test_a_proxy_with_exceptions_is_not_for_those_nor_for_this_machine() -> None:
    options = ProxyOptions(Secret("http://proxy:3128"), "inside")
    assert proxy_of("http://outside/", options, {}) == "http://proxy:3128"
    for url in ("http://inside/", "http://localhost/", "http://127.0.0.1:9/", "http://[::1]/"):
        assert proxy_of(url, options, {}) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://web/", "http://upper:1"),
        ("https://web/", "http://secure:2"),
        ("http://a.inside.example/", None),
        ("http://10.1.2.3/", None),
        ("http://127.0.0.1/", None),
    ],
)
def test_proxies_of_the_environment_are_by_scheme(url: str, proxy: str | None) -> None:
    assert proxy_of(url, ProxyOptions(from_environment=True), ENVIRON) == proxy


def test_an_environment_without_proxies_has_none() -> None:
    assert proxy_of("http://web/", ProxyOptions(from_environment=True), {}) is None


def test_a_proxy_nobody_can_use_is_told() -> None:
    with pytest.raises(Unreachable, match="socks5"):
        proxy_of("http://web/", ProxyOptions(from_environment=True), {"HTTP_PROXY": "socks5://p"})


@pytest.mark.parametrize(
    ("without", "url"),
    [
        ("*", "http://web/"),
        ("web", "http://web/"),
        ("WEB", "http://Web./"),
        (" a , web ", "http://web/"),
        ("example.com", "http://example.com/"),
        ("example.com", "http://a.example.com/"),
        (".example.com", "http://a.example.com/"),
        ("*.example.com", "http://a.example.com/"),
        ("web:80", "http://web/"),
        ("web:443", "https://web/"),
        ("10.0.0.1", "http://10.0.0.1:9/"),
        ("10.0.0.1:9", "http://10.0.0.1:9/"),
        ("10.0.0.0/8", "http://10.9.9.9/"),
        ("fd00::/8", "http://[fd00::1]/"),
        ("fd00::1", "http://[fd00::1]/"),
        ("[fd00::1]", "http://[fd00::1]/"),
        ("[fd00::1]:80", "http://[fd00::1]/"),
    ],
)
def test_what_is_listed_is_spared(without: str, url: str) -> None:
    assert is_spared(urlsplit(url), without)


@pytest.mark.parametrize(
    ("without", "url"),
    [
        ("", "http://web/"),
        (",", "http://web/"),
        ("web", "http://aweb/"),
        (".example.com", "http://example.com/"),
        ("*.example.com", "http://example.com/"),
        ("web:81", "http://web/"),
        ("10.0.0.1", "http://10.0.0.2/"),
        ("10.0.0.0/8", "http://web/"),
        ("10.0.0.0/8", "http://11.0.0.1/"),
        ("10.0.0.0/99", "http://10.0.0.1/"),
        ("10.0.0.1", "http://web/"),
    ],
)
def test_what_is_not_listed_is_not(without: str, url: str) -> None:
    assert not is_spared(urlsplit(url), without)
