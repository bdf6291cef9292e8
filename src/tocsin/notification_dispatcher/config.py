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
    """User name."""
    username_file: str = ""
    """File that holds `username`."""
    password: Secret | None = None
    """Password."""
    password_file: str = ""
    """File that holds `password`."""

    def encoded(self) -> str:
        """Return user and password as the header carries them, in plain base64."""
        return base64.b64encode(f"{self.username}:{plain(self.password)}".encode()).decode()


class Authorization(Section, frozen=True, kw_only=True):
    """`authorization`: scheme and credentials of the Authorization header."""

    type: str = "Bearer"
    """Scheme of the header."""
    credentials: Secret | None = None
    """What follows the scheme."""
    credentials_file: str = ""
    """File that holds `credentials`."""


class TlsConfig(Section, frozen=True, kw_only=True):
    """`tls_config`: how to verify the server and to prove who we are."""

    ca: str = ""
    """Certificates of authorities to trust in place of the system's, PEM text."""
    ca_file: str = ""
    """File of certificates of authorities, PEM. At most one of `ca` and `ca_file`."""
    cert: str = ""
    """Inline certificate: not supported, use `cert_file`."""
    cert_file: str = ""
    """File of the client certificate, PEM; together with `key_file`."""
    key: Secret | None = None
    """Inline key: not supported, use `key_file`."""
    key_file: str = ""
    """File of the client key, PEM; together with `cert_file`."""
    server_name: str = ""
    """Name the server's certificate must have. Empty: the host of the address."""
    insecure_skip_verify: bool = False
    """Accept any certificate. Whoever is in between can then read what is sent."""
    min_version: str = ""
    """Oldest TLS version to speak: `TLS10`, `TLS11`, `TLS12` or `TLS13`. Empty: TLS 1.2."""
    max_version: str = ""
    """Newest TLS version to speak. Empty: the newest known."""

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
    """Client id."""
    client_secret: Secret | None = None
    """Client secret."""
    client_secret_file: str = ""
    """File that holds `client_secret`."""
    client_certificate_key_id: str = ""
    """Id of the key that signs assertions."""
    client_certificate_key: Secret | None = None
    """Key that signs assertions."""
    client_certificate_key_file: str = ""
    """File that holds `client_certificate_key`."""
    signature_algorithm: str = ""
    """How assertions are signed."""
    grant_type: str = ""
    """Grant to ask for."""
    iss: str = ""
    """Issuer of assertions."""
    audience: str = ""
    """Audience of assertions."""
    claims: dict[str, Any] = {}
    """Further claims of assertions."""
    scopes: list[str] = []
    """Scopes to ask for."""
    token_url: str = ""
    """Where tokens are given."""
    endpoint_params: dict[str, str] = {}
    """Further parameters of the request for a token."""
    tls_config: TlsConfig | None = None
    """How the token server is verified."""
    proxy_url: str = ""
    """Proxy to the token server."""
    no_proxy: str = ""
    """Hosts reached without the proxy."""
    proxy_from_environment: bool = False
    """Take the proxy from the environment."""
    proxy_connect_header: dict[str, list[str]] = {}
    """Headers of the request to the proxy."""


class HttpHeader(Section, frozen=True, kw_only=True):
    """One entry of `http_headers`."""

    values: list[str] = []
    """Values, joined with commas."""
    secrets: list[Secret] = []
    """Secret values, after `values`."""
    files: list[str] = []
    """Files that hold values: not supported yet."""


class HttpConfig(Section, frozen=True, kw_only=True):
    """`http_config`: how a receiver's server is reached.

    Redirects are never followed: an alert must not be sent where its configuration does not
    say. `enable_http2` is accepted; HTTP/1.1 is spoken.
    """

    basic_auth: BasicAuth | None = None
    """Prove who we are by user and password. At most one way of proving may be given."""
    authorization: Authorization | None = None
    """Prove who we are by an Authorization header."""
    bearer_token: Secret | None = None
    """Old form of `authorization`: a bearer token."""
    bearer_token_file: str = ""
    """File that holds `bearer_token`."""
    oauth2: OAuth2 | None = None
    """Read, so that files parse; refused until it is built."""
    tls_config: TlsConfig | None = None
    """How the server is verified."""
    proxy_url: str = ""
    """Proxy to go through, such as `http://proxy:3128`. Empty: none."""
    no_proxy: str = ""
    """Read, so that files parse; refused until it is built."""
    proxy_from_environment: bool = False
    """Read, so that files parse; refused until it is built."""
    proxy_connect_header: dict[str, list[str]] = {}
    """Read, so that files parse; refused until it is built."""
    follow_redirects: bool = True
    """Accepted and ignored: redirects are never followed."""
    enable_http2: bool = True
    """Accepted and ignored: HTTP/1.1 is spoken."""
    http_headers: dict[str, HttpHeader] = {}
    """Further headers of every request, by name."""

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
    """Whether it is told that alerts are resolved."""


class Defaults(Section, frozen=True, kw_only=True):
    """The keys of `global` that give receivers their defaults."""

    http_config: HttpConfig | None = None
    """How servers are reached by receivers without an `http_config` of their own."""
    smtp_from: str = ""
    """Sender of mails."""
    smtp_hello: str = "localhost"
    """Name we greet the mail server with."""
    smtp_smarthost: str = ""
    """Mail server to submit to, `host:port`; port 465 means implicit TLS."""
    smtp_auth_username: str = ""
    """User at the mail server. Empty: no login."""
    smtp_auth_password: Secret | None = None
    """Password for PLAIN and LOGIN."""
    smtp_auth_password_file: str = ""
    """File that holds `smtp_auth_password`."""
    smtp_auth_secret: Secret | None = None
    """Secret for CRAM-MD5."""
    smtp_auth_secret_file: str = ""
    """File that holds `smtp_auth_secret`."""
    smtp_auth_identity: str = ""
    """Identity to act as, for PLAIN."""
    smtp_require_tls: bool = True
    """Whether mail is only sent over TLS (STARTTLS)."""
    smtp_tls_config: TlsConfig | None = None
    """How the mail server is verified."""
    smtp_force_implicit_tls: bool | None = None
    """Speak TLS from the first byte, or never do. Not given: on port 465."""
    slack_api_url: Secret | None = None
    """Incoming webhook of Slack."""
    slack_api_url_file: str = ""
    """File that holds `slack_api_url`."""
    slack_app_token: Secret | None = None
    """Token of a Slack app, in place of a webhook."""
    slack_app_token_file: str = ""
    """File that holds `slack_app_token`."""
    slack_app_url: str = "https://slack.com/api/chat.postMessage"
    """Method that posts with `slack_app_token`."""
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    """For `pagerduty_configs`, which are not built yet."""
    opsgenie_api_key: Secret | None = None
    """For `opsgenie_configs`, which are not built yet."""
    opsgenie_api_key_file: str = ""
    """For `opsgenie_configs`, which are not built yet."""
    opsgenie_api_url: str = "https://api.opsgenie.com/"
    """For `opsgenie_configs`, which are not built yet."""
    wechat_api_url: str = "https://qyapi.weixin.qq.com/cgi-bin/"
    """For `wechat_configs`, which are not built yet."""
    wechat_api_secret: Secret | None = None
    """For `wechat_configs`, which are not built yet."""
    wechat_api_secret_file: str = ""
    """For `wechat_configs`, which are not built yet."""
    wechat_api_corp_id: str = ""
    """For `wechat_configs`, which are not built yet."""
    victorops_api_url: str = "https://alert.victorops.com/integrations/generic/20131114/alert/"
    """For `victorops_configs`, which are not built yet."""
    victorops_api_key: Secret | None = None
    """For `victorops_configs`, which are not built yet."""
    victorops_api_key_file: str = ""
    """For `victorops_configs`, which are not built yet."""
    telegram_api_url: str = "https://api.telegram.org"
    """For `telegram_configs`, which are not built yet."""
    telegram_bot_token: Secret | None = None
    """For `telegram_configs`, which are not built yet."""
    telegram_bot_token_file: str = ""
    """For `telegram_configs`, which are not built yet."""
    webex_api_url: str = "https://webexapis.com/v1/messages"
    """For `webex_configs`, which are not built yet."""
    rocketchat_api_url: str = "https://open.rocket.chat/"
    """For `rocketchat_configs`, which are not built yet."""
    rocketchat_token: Secret | None = None
    """For `rocketchat_configs`, which are not built yet."""
    rocketchat_token_file: str = ""
    """For `rocketchat_configs`, which are not built yet."""
    rocketchat_token_id: Secret | None = None
    """For `rocketchat_configs`, which are not built yet."""
    rocketchat_token_id_file: str = ""
    """For `rocketchat_configs`, which are not built yet."""
    jira_api_url: str = ""
    """For `jira_configs`, which are not built yet."""
    mattermost_webhook_url: Secret | None = None
    """For `mattermost_configs`, which are not built yet."""
    mattermost_webhook_url_file: str = ""
    """For `mattermost_configs`, which are not built yet."""


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
