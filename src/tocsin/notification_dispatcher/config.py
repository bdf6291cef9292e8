"""What receivers share in a configuration: `http_config`, TLS, and the `global` section's keys.

The names are Alertmanager's (contracts/alertmanager.md, section 8). A secret or string `x`
may have a twin `x_file`; the loader reads that file into `x`, so code here only looks at `x`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tocsin.model.secret import Secret
from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.ports import HttpOptions


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration struct of this room."""


class BasicAuth(Section, frozen=True, kw_only=True):
    """`basic_auth`: user and password of RFC 7617."""

    username: str = ""
    username_file: str = ""
    password: Secret | None = None
    password_file: str = ""

    def encoded(self) -> str:
        """Return user and password as the header carries them, in plain base64."""
        return base64.b64encode(f"{self.username}:{plain(self.password)}".encode()).decode()


class Authorization(Section, frozen=True, kw_only=True):
    """`authorization`: scheme and credentials of the Authorization header."""

    type: str = "Bearer"
    credentials: Secret | None = None
    credentials_file: str = ""


class TlsConfig(Section, frozen=True, kw_only=True):
    """`tls_config`: how to verify the server and to prove who we are."""

    ca: str = ""
    ca_file: str = ""
    cert: str = ""
    cert_file: str = ""
    key: Secret | None = None
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""

    def findings(self) -> Iterator[Finding]:
        """Return what of this section is contradictory or cannot be done."""
        if self.ca and self.ca_file:
            yield Finding(("ca",), "at most one of ca and ca_file may be given")
        if self.cert or (self.key and not self.key_file):
            yield Finding(("cert",), "inline cert and key: use cert_file and key_file")
        if bool(self.cert_file) != bool(self.key_file):
            yield Finding(("cert_file",), "cert_file and key_file go together")
        for name in ("min_version", "max_version"):
            if getattr(self, name) not in TLS_VERSIONS:
                known = ", ".join(v for v in TLS_VERSIONS if v)
                yield Finding((name,), f"unknown TLS version; use one of {known}")


_TELLING = 6  # characters; masking a shorter path would only garble what a server says
TLS_VERSIONS = ("", "TLS10", "TLS11", "TLS12", "TLS13")


class OAuth2(Section, frozen=True, kw_only=True):
    """`oauth2`: read, so that files parse; using it is a finding until it is built."""

    client_id: str = ""
    client_secret: Secret | None = None
    client_secret_file: str = ""
    client_certificate_key_id: str = ""
    client_certificate_key: Secret | None = None
    client_certificate_key_file: str = ""
    signature_algorithm: str = ""
    grant_type: str = ""
    iss: str = ""
    audience: str = ""
    claims: dict[str, Any] = {}
    scopes: list[str] = []
    token_url: str = ""
    endpoint_params: dict[str, str] = {}
    tls_config: TlsConfig | None = None
    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: dict[str, list[str]] = {}


class HttpHeader(Section, frozen=True, kw_only=True):
    """One entry of `http_headers`."""

    values: list[str] = []
    secrets: list[Secret] = []
    files: list[str] = []


class HttpConfig(Section, frozen=True, kw_only=True):
    """`http_config`: how a receiver's server is reached.

    Redirects are never followed: an alert must not be sent where its configuration does not
    say. `enable_http2` is accepted; HTTP/1.1 is spoken.
    """

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: Secret | None = None
    bearer_token_file: str = ""
    oauth2: OAuth2 | None = None
    tls_config: TlsConfig | None = None
    proxy_url: str = ""
    no_proxy: str = ""
    proxy_from_environment: bool = False
    proxy_connect_header: dict[str, list[str]] = {}
    follow_redirects: bool = True
    enable_http2: bool = True
    http_headers: dict[str, HttpHeader] = {}

    def options(self) -> HttpOptions:
        """Return what the transport needs to reach the server."""
        return http_options(self.tls_config, proxy_url=self.proxy_url)

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries, credentials in plain text."""
        own = {name: _joined(header) for name, header in self.http_headers.items()}
        credentials = self._authorization()
        return {"Authorization": credentials, **own} if credentials else own

    def _authorization(self) -> str:
        if self.basic_auth:
            return f"Basic {self.basic_auth.encoded()}"
        if self.authorization and self.authorization.credentials:
            return f"{self.authorization.type} {self.authorization.credentials.reveal().strip()}"
        return f"Bearer {self.bearer_token.reveal().strip()}" if self.bearer_token else ""

    def findings(self) -> Iterator[Finding]:
        """Return what of this section is contradictory or not supported yet."""
        ways = [self.basic_auth, self.authorization, self.oauth2, self.bearer_token]
        if sum(way is not None for way in ways) > 1:
            message = (
                "at most one of basic_auth, authorization, oauth2 and bearer_token may be given"
            )
            yield Finding((), message)
        for name in ("oauth2", "no_proxy", "proxy_from_environment", "proxy_connect_header"):
            if getattr(self, name):
                yield Finding((name,), f"{name} is not supported yet")
        for name, header in self.http_headers.items():
            if header.files:
                yield Finding(("http_headers", name, "files"), "files is not supported yet")
        if self.tls_config:
            yield from (f.under("tls_config") for f in self.tls_config.findings())


def http_options(tls: TlsConfig | None, *, proxy_url: str = "") -> HttpOptions:
    """Return a `tls_config` in the form the transport takes."""
    tls = tls or TlsConfig()
    return HttpOptions(
        insecure_skip_verify=tls.insecure_skip_verify,
        ca=tls.ca,
        ca_file=tls.ca_file,
        cert_file=tls.cert_file,
        key_file=tls.key_file,
        server_name=tls.server_name,
        min_version=tls.min_version,
        max_version=tls.max_version,
        proxy_url=proxy_url,
    )


class IntegrationConfig(Section, frozen=True, kw_only=True):
    """Base of one entry of a `…_configs` list."""

    send_resolved: bool = False


class Defaults(Section, frozen=True, kw_only=True):
    """The keys of `global` that give receivers their defaults."""

    http_config: HttpConfig | None = None
    smtp_from: str = ""
    smtp_hello: str = "localhost"
    smtp_smarthost: str = ""
    smtp_auth_username: str = ""
    smtp_auth_password: Secret | None = None
    smtp_auth_password_file: str = ""
    smtp_auth_secret: Secret | None = None
    smtp_auth_secret_file: str = ""
    smtp_auth_identity: str = ""
    smtp_require_tls: bool = True
    smtp_tls_config: TlsConfig | None = None
    smtp_force_implicit_tls: bool | None = None
    slack_api_url: Secret | None = None
    slack_api_url_file: str = ""
    slack_app_token: Secret | None = None
    slack_app_token_file: str = ""
    slack_app_url: str = "https://slack.com/api/chat.postMessage"
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    opsgenie_api_key: Secret | None = None
    opsgenie_api_key_file: str = ""
    opsgenie_api_url: str = "https://api.opsgenie.com/"
    wechat_api_url: str = "https://qyapi.weixin.qq.com/cgi-bin/"
    wechat_api_secret: Secret | None = None
    wechat_api_secret_file: str = ""
    wechat_api_corp_id: str = ""
    victorops_api_url: str = "https://alert.victorops.com/integrations/generic/20131114/alert/"
    victorops_api_key: Secret | None = None
    victorops_api_key_file: str = ""
    telegram_api_url: str = "https://api.telegram.org"
    telegram_bot_token: Secret | None = None
    telegram_bot_token_file: str = ""
    webex_api_url: str = "https://webexapis.com/v1/messages"
    rocketchat_api_url: str = "https://open.rocket.chat/"
    rocketchat_token: Secret | None = None
    rocketchat_token_file: str = ""
    rocketchat_token_id: Secret | None = None
    rocketchat_token_id_file: str = ""
    jira_api_url: str = ""
    mattermost_webhook_url: Secret | None = None
    mattermost_webhook_url_file: str = ""


def plain(secret: Secret | None) -> str:
    """Return the text of an optional secret, "" for none."""
    return secret.reveal() if secret else ""


def secrets_of(value: object) -> frozenset[str]:
    """Return every secret text held in a configuration struct, at any depth.

    Secrets in the form they have on the wire are among them: a server may echo a header.
    """
    if isinstance(value, Secret):
        return _forms(value.reveal())
    if isinstance(value, msgspec.Struct):
        wire = {value.encoded()} if isinstance(value, BasicAuth) else set()
        return _union(getattr(value, name) for name in value.__struct_fields__) | wire
    if isinstance(value, Mapping):
        return _union(value.values())
    return _union(value) if isinstance(value, list | tuple) else frozenset()


def _forms(secret: str) -> frozenset[str]:
    """Return a secret as it may be echoed: a server knows of a URL its path and query alone."""
    bare = secret.strip()
    _, scheme, rest = bare.partition("://")
    path = rest.partition("/")[2] if scheme else ""
    parts = {p for p in (path, path.partition("?")[0]) if len(p) >= _TELLING}
    return frozenset({secret, bare, *parts} - {""})


def _union(values: Any) -> frozenset[str]:
    return frozenset[str]().union(*(secrets_of(value) for value in values))


def _joined(header: HttpHeader) -> str:
    return ", ".join([*header.values, *(s.reveal() for s in header.secrets)])
