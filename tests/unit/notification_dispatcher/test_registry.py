"""A `receivers:` section is read by the providers there are."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from receiver_setup import read_receiver

from tocsin.model.errors import ConfigError
from tocsin.model.secret import Secret
from tocsin.notification_dispatcher.config import (
    Authorization,
    BasicAuth,
    Defaults,
    HttpConfig,
    HttpHeader,
    OAuth2,
    TlsConfig,
    secrets_of,
)
from tocsin.notification_dispatcher.providers import webhook
from tocsin.notification_dispatcher.registry import (
    BUILTIN,
    NOT_BUILT,
    Providers,
    Receiver,
    announced,
    providers,
)

KNOWN = providers()
HOOK = {"url": "http://hook.test/"}


def messages(*found: Receiver, defaults: Defaults | None = None) -> list[str]:
    listed = KNOWN.findings(found, defaults or Defaults())
    return [f"{'.'.join(map(str, f.path))}: {f.message}" for f in listed]


def test_every_entry_is_an_integration_in_order() -> None:
    team = read_receiver(
        email_configs=[{"to": "a@b.test"}], webhook_configs=[HOOK, {"url": "http://two.test/"}]
    )
    found = KNOWN.integrations(team, Defaults(smtp_from="f@b.test", smtp_smarthost="mx:25"))
    assert [i.name for i in found] == ["webhook[0]", "webhook[1]", "email[0]"]
    assert [i.config.send_resolved for i in found] == [True, True, False]


def test_entries_are_seen_with_the_defaults_of_global() -> None:
    team = read_receiver(email_configs=[{"to": "a@b.test", "hello": "own"}], slack_configs=[{}])
    defaults = Defaults(
        smtp_from="f@b.test",
        smtp_smarthost="mx:25",
        smtp_require_tls=False,
        slack_api_url=Secret("http://slack.test/hook"),
    )
    assert messages(team, defaults=defaults) == []
    email, slack_config = (i.config for i in KNOWN.integrations(team, defaults))
    assert msgspec.structs.asdict(email)["from_"] == "f@b.test"
    assert msgspec.structs.asdict(email)["hello"] == "own"
    assert msgspec.structs.asdict(email)["require_tls"] is False
    assert msgspec.structs.asdict(slack_config)["api_url"] == Secret("http://slack.test/hook")


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"webhok_configs.*did you mean"):
        read_receiver(webhok_configs=[])


@pytest.mark.parametrize("key", NOT_BUILT)
def test_a_receiver_kind_to_come_is_told_apart_from_a_misspelt_one(key: str) -> None:
    lists: dict[str, Any] = {key: [{"anything": 1}]}
    (told,) = messages(read_receiver(**lists))
    assert told.startswith(f"0.{key}: {key.removesuffix('_configs')} receivers are not built yet")


def test_names_are_there_and_unique() -> None:
    team = read_receiver()
    nameless = msgspec.structs.replace(team, name="")  # type: ignore[type-var]  # a struct
    assert messages(team, nameless, team) == [
        "1.name: a receiver needs a name",
        "2.name: a receiver named 'team' exists already",
    ]


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"webhook_configs": [{}]}, "0.webhook_configs.0: one of url and url_file must be given"),
        ({"webhook_configs": [{"url": "ftp://x"}]}, "0.webhook_configs.0.url: url must be"),
        ({"webhook_configs": [{"url": "http://[x"}]}, "0.webhook_configs.0.url: url must be"),
        ({"webhook_configs": [{"url": "http:///p"}]}, "0.webhook_configs.0.url: url must be"),
        ({"webhook_configs": [{**HOOK, "max_alerts": -1}]}, "0.webhook_configs.0.max_alerts: "),
        ({"email_configs": [{"from": "a@b", "smarthost": "mx:25"}]}, "0.email_configs.0: to is"),
        ({"email_configs": [{"to": "a@b", "smarthost": "mx:25"}]}, "0.email_configs.0: from is"),
        ({"email_configs": [{"to": "a@b", "from": "a@b"}]}, "0.email_configs.0: smarthost is"),
        ({"slack_configs": [{}]}, "0.slack_configs.0: one of api_url and api_url_file must"),
    ],
)
def test_a_faulty_entry_is_found(lists: dict[str, Any], told: str) -> None:
    (found,) = messages(read_receiver(**lists))
    assert found.startswith(told)


MAIL = {"to": "a@b", "from": "a@b", "smarthost": "mx:25"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"smarthost": "mx"}, ".smarthost: 'mx' is not of the form host:port"),
        ({"smarthost": "mx:0"}, ".smarthost: "),
        ({"smarthost": "mx:99999999"}, ".smarthost: "),
        ({"headers": {"X-A": "", "x-a": ""}}, ".headers: two headers differ only in case"),
        ({"headers": {"a b": ""}}, ".headers.a b: 'a b' cannot be set as a mail header"),
        ({"headers": {"Date": ""}}, ".headers.Date: "),
        ({"threading": {"thread_by_date": "x"}}, ".threading.thread_by_date: "),
        ({"tls_config": {"min_version": "SSL3"}}, ".tls_config.min_version: unknown TLS version"),
        ({"tls_config": {"ca": "x", "ca_file": "y"}}, ".tls_config.ca: at most one of"),
        ({"tls_config": {"cert": "x"}}, ".tls_config.cert: inline cert and key"),
        ({"tls_config": {"cert_file": "x"}}, ".tls_config.cert_file: cert_file and key_file go"),
    ],
)
def test_a_faulty_mail_setting_is_found(more: dict[str, Any], told: str) -> None:
    (found,) = messages(read_receiver(email_configs=[{**MAIL, **more}]))
    assert found.startswith(f"0.email_configs.0{told}")


CHAT = {"api_url": "https://slack.test/x"}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({**CHAT, "app_token": "t"}, ".app_token: at most one of api_url and app_token"),
        ({**CHAT, "update_message": True}, ".update_message: update_message is not supported yet"),
        ({**CHAT, "actions": [{"type": "button", "text": "x"}]}, ".actions.0: an action needs"),
        ({"app_token": "t", "app_url": "slack"}, ".app_url: app_url must be of the form"),
        (
            {**CHAT, "http_config": {"oauth2": {"client_id": "x"}}},
            ".http_config.oauth2: oauth2 is not supported yet",
        ),
    ],
)
def test_a_faulty_slack_setting_is_found(entry: dict[str, Any], told: str) -> None:
    (found,) = messages(read_receiver(slack_configs=[entry]))
    assert found.startswith(f"0.slack_configs.0{told}")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"no_proxy": "x"}, "no_proxy: no_proxy is not supported yet"),
        ({"proxy_from_environment": True}, "proxy_from_environment: "),
        ({"proxy_connect_header": {"a": ["b"]}}, "proxy_connect_header: "),
        ({"http_headers": {"X": {"files": ["f"]}}}, "http_headers.X.files: files is not"),
        ({"basic_auth": {}, "bearer_token": "x"}, ": at most one of basic_auth,"),
        ({"tls_config": {"cert": "x"}}, "tls_config.cert: "),
    ],
)
def test_a_faulty_http_config_is_found(config: dict[str, Any], told: str) -> None:
    (found,) = messages(read_receiver(webhook_configs=[{**HOOK, "http_config": config}]))
    assert found.removeprefix("0.webhook_configs.0.http_config").lstrip(".").startswith(told)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (HttpConfig(), {}),
        (HttpConfig(authorization=Authorization(credentials=Secret("c\n"))), "Bearer c"),
        (HttpConfig(authorization=Authorization(type="Token", credentials=Secret("c"))), "Token c"),
        (HttpConfig(authorization=Authorization()), {}),
        (HttpConfig(bearer_token=Secret("b\n")), "Bearer b"),
        (
            HttpConfig(basic_auth=BasicAuth(username="u", password=Secret("p"))),
            "Basic dTpw",
        ),
    ],
)
def test_credentials_become_a_header(config: HttpConfig, expected: object) -> None:
    wanted = {"Authorization": expected} if isinstance(expected, str) else expected
    assert config.headers() == wanted


def test_own_headers_are_joined() -> None:
    header = HttpHeader(values=["a", "b"], secrets=[Secret("c")])
    assert HttpConfig(http_headers={"X-Team": header}).headers() == {"X-Team": "a, b, c"}


def test_tls_and_proxy_settings_reach_the_transport() -> None:
    tls = TlsConfig(ca="pem", server_name="s", insecure_skip_verify=True, min_version="TLS13")
    options = HttpConfig(tls_config=tls, proxy_url="http://p:1").options()
    assert (options.ca, options.server_name, options.min_version) == ("pem", "s", "TLS13")
    assert options.insecure_skip_verify
    assert options.proxy_url == "http://p:1"
    assert "http://p:1" not in repr(options)


def test_every_secret_of_a_configuration_is_known() -> None:
    config = HttpConfig(
        oauth2=OAuth2(client_secret=Secret("one")),
        http_headers={"X": HttpHeader(secrets=[Secret("two\n")])},
    )
    assert secrets_of(config) == {"one", "two", "two\n"}
    assert secrets_of(BasicAuth(username="u", password=Secret("p"))) == {"p", "dTpw"}
    assert secrets_of(Authorization(credentials=Secret(""))) == frozenset()


def test_two_providers_cannot_claim_one_key() -> None:
    with pytest.raises(ValueError, match="two providers claim webhook_configs"):
        Providers((*BUILTIN, webhook.SPEC))


def test_a_provider_of_a_third_party_joins_the_built_in_ones() -> None:
    own = dataclasses.replace(webhook.SPEC, key="own_configs")
    fields = Providers((*BUILTIN, own)).receiver_type().__struct_fields__
    assert "own_configs" in fields
    assert "webhook_configs" in fields


def test_installed_packages_are_asked_for_providers() -> None:
    assert list(announced()) == []
