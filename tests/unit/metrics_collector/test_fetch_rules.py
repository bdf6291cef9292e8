"""Where a redirect may lead, and how TLS is done."""

import ssl

import pytest

from tocsin.metrics_collector.fetch import redirected
from tocsin.metrics_collector.ports import VERIFIED, TlsOptions
from tocsin.metrics_collector.tls import tls_context
from tocsin.model.errors import Unreachable


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/metrics", "https://web/metrics"),
        ("metrics?x=1", "https://web/a/metrics?x=1"),
        ("https://web:444/b", "https://web:444/b"),
    ],
)
def test_a_redirect_may_stay_on_the_host(location: str, target: str) -> None:
    assert redirected("https://web/a/b", location) == target


@pytest.mark.parametrize("location", ["https://other/", "http://web/", "ftp://web/", "//other/x"])
def test_a_redirect_may_not_carry_the_credential_elsewhere(location: str) -> None:
    with pytest.raises(Unreachable, match="refused"):
        redirected("https://web/a/b", location)


def test_certificates_are_verified_unless_told_otherwise() -> None:
    assert tls_context(VERIFIED).verify_mode is ssl.CERT_REQUIRED
    lax = tls_context(TlsOptions(verify=False))
    assert lax.verify_mode is ssl.CERT_NONE
    assert not lax.check_hostname
