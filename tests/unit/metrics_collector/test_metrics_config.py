"""Scrape jobs are Prometheus'; what is wrong or not built is told with its place."""

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from scrape_targets import targets_of

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.metrics_collector.config import (
    WITHOUT_EFFECT,
    MetricsConfig,
    anchor_files,
    buildable,
    check_metrics,
    gaps_of_metrics,
    notes_on_metrics,
    size_in_bytes,
)
from tocsin.metrics_collector.discovery_config import SD_NOT_BUILT
from tocsin.metrics_collector.negotiation import is_openmetrics
from tocsin.metrics_collector.ports import DIRECT, ProxyOptions, TlsOptions, TokenOptions
from tocsin.metrics_collector.target import Target
from tocsin.model.errors import InvalidInput
from tocsin.model.secret import Secret


def config(*jobs: dict[str, Any], **keys: Any) -> MetricsConfig:
    raw = {"scrape_configs": list(jobs), **keys}
    root = parse(json.dumps(raw), file="x").root
    assert root is not None
    converted = convert(root, MetricsConfig)
    assert converted.value is not None, converted.problems
    return converted.value


TOKEN = {"client_id": "c", "token_url": "https://login/token"}


def job(*targets: str, **keys: Any) -> dict[str, Any]:
    return {"job_name": "shop", "static_configs": [{"targets": list(targets)}], **keys}


def target(**keys: Any) -> Target:
    [made] = targets_of(config(job("web:80", **keys))).values()
    return made


def test_an_ordinary_job_has_no_faults() -> None:
    tls = {"cert_file": "a", "key_file": "b"}
    whole = job("web:80", "[::1]:90", scheme="https", tls_config=tls, body_size_limit="10MB")
    assert check_metrics(config(whole, {**whole, "job_name": "other"})) == []


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"job_name": ""}, ("job_name",), "job_name is empty"),
        ({"scrape_interval": "5s", "scrape_timeout": "6s"}, ("scrape_timeout",), "greater than"),
        ({"scheme": "ftp"}, ("scheme",), "http"),
        ({"sample_limit": -1}, ("sample_limit",), "negative"),
        ({"body_size_limit": "big"}, ("body_size_limit",), "not a size"),
        ({"authorization": {"type": "Basic"}}, ("authorization", "type"), "basic_auth"),
        ({"tls_config": {"cert_file": "a"}}, ("tls_config",), "go together"),
        ({"tls_config": {"key": "a"}}, ("tls_config",), "go together"),
        ({"tls_config": {"ca": "a", "ca_file": "b"}}, ("tls_config", "ca"), "not both"),
        ({"tls_config": {"min_version": "1.2"}}, ("tls_config", "min_version"), "TLS12"),
        (
            {"tls_config": {"min_version": "TLS13", "max_version": "TLS12"}},
            ("tls_config", "min_version"),
            "newer than",
        ),
        ({"basic_auth": {}, "oauth2": TOKEN}, (), "at most one of"),
        ({"oauth2": {"token_url": "http://t"}}, ("oauth2",), "client_id"),
        ({"oauth2": {**TOKEN, "token_url": "t"}}, ("oauth2", "token_url"), "URL"),
        ({"oauth2": {**TOKEN, "token_url": "http://[t"}}, ("oauth2", "token_url"), "URL"),
        (
            {"oauth2": {**TOKEN, "endpoint_params": {"scope": "x"}}},
            ("oauth2", "endpoint_params", "scope"),
            "a key of its own",
        ),
        (
            {"oauth2": {**TOKEN, "tls_config": {"key": "x"}}},
            ("oauth2", "tls_config"),
            "go together",
        ),
        ({"oauth2": {**TOKEN, "no_proxy": "x"}}, ("oauth2", "no_proxy"), "needs a proxy_url"),
        ({"proxy_url": "proxy:3128"}, ("proxy_url",), "no URL"),
        ({"proxy_url": "http://p:x"}, ("proxy_url",), "no URL"),
        ({"no_proxy": "x"}, ("no_proxy",), "needs a proxy_url"),
        (
            {"proxy_from_environment": True, "proxy_url": "http://p"},
            ("proxy_url",),
            "exclude one another",
        ),
        (
            {"proxy_from_environment": True, "no_proxy": "x"},
            ("no_proxy",),
            "exclude one another",
        ),
        (
            {"proxy_connect_header": {"A": ["b"]}},
            ("proxy_connect_header",),
            "needs a proxy_url",
        ),
        (
            {"proxy_url": "http://p", "proxy_connect_header": {"a b": ["c"]}},
            ("proxy_connect_header", "a b"),
            "no name of a header",
        ),
        ({"http_headers": {"a b": {}}}, ("http_headers", "a b"), "no name of a header"),
        ({"http_headers": {"Host": {}}}, ("http_headers", "Host"), "may not be set"),
        ({"scrape_protocols": ["Text"]}, ("scrape_protocols", 0), "unknown scrape protocol"),
        (
            {"scrape_protocols": ["PrometheusText0.0.4"] * 2},
            ("scrape_protocols", 1),
            "twice",
        ),
        (
            {"fallback_scrape_protocol": "PrometheusProto"},
            ("fallback_scrape_protocol",),
            "cannot be fallen back to",
        ),
        (
            {"metric_name_validation_scheme": "x"},
            ("metric_name_validation_scheme",),
            "must be one of utf8, legacy",
        ),
        (
            {"metric_name_escaping_scheme": "x"},
            ("metric_name_escaping_scheme",),
            "must be one of",
        ),
        (
            {
                "metric_name_validation_scheme": "legacy",
                "metric_name_escaping_scheme": "allow-utf-8",
            },
            ("metric_name_escaping_scheme",),
            "needs metric_name_validation_scheme: utf8",
        ),
        ({"basic_auth": {}, "bearer_token": "x"}, (), "at most one of"),
        (
            {"static_configs": [{"targets": ["http://x/"]}]},
            ("static_configs", 0, "targets", 0),
            "not a valid hostname",
        ),
        (
            {"static_configs": [{"labels": {"a-b": "c"}}]},
            ("static_configs", 0, "labels", "a-b"),
            "not a valid label name",
        ),
    ],
)
def test_a_fault_of_a_job_is_told_with_its_place(
    keys: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    [finding] = check_metrics(config({**job("web:80"), **keys}))
    assert finding.path == ("scrape_configs", 0, *path)
    assert message in finding.message


@pytest.mark.parametrize("name", SD_NOT_BUILT)
def test_discovery_that_is_not_built_is_said_and_not_ignored(name: str) -> None:
    written = config(job("web:80", **{name: [{"any": "thing"}]}))
    assert check_metrics(written) == []
    [finding] = gaps_of_metrics(written)
    assert finding.path == ("scrape_configs", 0, name)
    assert finding.message == f"{name} is not built: use file_sd_configs or http_sd_configs"
    assert buildable(written) == config(job("web:80"))


REF = "there is no secret manager"


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"basic_auth": {"password_ref": "x"}}, ("basic_auth", "password_ref"), REF),
        ({"authorization": {"credentials_ref": "x"}}, ("authorization", "credentials_ref"), REF),
        ({"tls_config": {"ca_ref": "x"}}, ("tls_config", "ca_ref"), REF),
        ({"proxy_url": "socks5://p:1"}, ("proxy_url",), "a proxy by socks5 is not built"),
        ({"oauth2": {"client_secret_ref": "x"}}, ("oauth2", "client_secret_ref"), REF),
        ({"oauth2": {"grant_type": "jwt"}}, ("oauth2", "grant_type"), "client_credentials is"),
        ({"oauth2": {"proxy_url": "socks5://p:1"}}, ("oauth2", "proxy_url"), "socks5"),
    ],
)
def test_a_job_that_cannot_be_reached_as_asked_is_left_out(
    keys: dict[str, Any], path: tuple[str, ...], message: str
) -> None:
    written = config(job("web:80", **keys))
    [finding] = gaps_of_metrics(written)
    assert finding.path == ("scrape_configs", 0, *path)
    assert message in finding.message
    assert buildable(written).scrape_configs == []


def test_of_a_job_with_other_sources_the_missing_ones_are_left_out() -> None:
    servers = [{"url": "http://a"}, {"url": "http://b", "proxy_url": "socks5://p:1"}]
    names = [{"names": ["a"]}, {"names": ["b"], "type": "a", "port": 1}]
    written = config(job("web:80", http_sd_configs=servers, dns_sd_configs=names))
    assert [finding.path for finding in gaps_of_metrics(written)] == [
        ("scrape_configs", 0, "dns_sd_configs", 0, "type"),
        ("scrape_configs", 0, "http_sd_configs", 1, "proxy_url"),
    ]
    [left] = buildable(written).scrape_configs
    assert [server.url for server in left.http_sd_configs] == ["http://a"]
    assert [each.names for each in left.dns_sd_configs] == [["b"]]
    assert left.static_configs == written.scrape_configs[0].static_configs


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_has_no_effect_is_said(name: str) -> None:
    values = {"scrape_failure_log_file": "x"}
    written = config(job("web:80", **{name: values.get(name, 1 if "histogram_" in name else True)}))
    assert check_metrics(written) == []
    [note] = notes_on_metrics(written)
    assert note.path == ("scrape_configs", 0, name)
    assert "has no effect" in note.message


def test_what_changes_nothing_is_not_worth_a_word() -> None:
    keys = {name: False for name in WITHOUT_EFFECT if name.startswith(("scrape_n", "conv"))}
    assert notes_on_metrics(config(job("web:80", **keys))) == []


def test_histograms_of_otlp_stay_classic() -> None:
    [note] = notes_on_metrics(config(otlp={"convert_histograms_to_nhcb": True}))
    assert note.path == ("otlp", "convert_histograms_to_nhcb")


def test_a_fault_of_the_otlp_section_is_told_with_its_place() -> None:
    [finding] = check_metrics(config(otlp={"promote_resource_attributes": ["a", "a"]}))
    assert finding.path == ("otlp", "promote_resource_attributes", 1)


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"relabel_configs": [{}]}, ("relabel_configs", 0), "needs a target_label"),
        (
            {"metric_relabel_configs": [{"action": "keep", "regex": "("}]},
            ("metric_relabel_configs", 0, "regex"),
            "bad regular expression",
        ),
        ({"file_sd_configs": [{}]}, ("file_sd_configs", 0), "at least one path"),
        (
            {"file_sd_configs": [{"files": ["a.json", "b.txt"]}]},
            ("file_sd_configs", 0, "files", 1),
            "not valid for file discovery",
        ),
        (
            {"file_sd_configs": [{"files": ["*/a.json"]}]},
            ("file_sd_configs", 0, "files", 0),
            "not valid for file discovery",
        ),
        (
            {"file_sd_configs": [{"files": ["a.json"], "refresh_interval": "10ms"}]},
            ("file_sd_configs", 0, "refresh_interval"),
            "at least 1s",
        ),
        ({"http_sd_configs": [{}]}, ("http_sd_configs", 0, "url"), "no http or https URL"),
        ({"http_sd_configs": [{"url": "http://[x"}]}, ("http_sd_configs", 0, "url"), "URL"),
        (
            {"http_sd_configs": [{"url": "http://x", "oauth2": {"client_id": "c"}}]},
            ("http_sd_configs", 0, "oauth2", "token_url"),
            "no http or https URL",
        ),
        (
            {"dns_sd_configs": [{"type": "A", "port": 1}]},
            ("dns_sd_configs", 0),
            "at least one name",
        ),
        (
            {"dns_sd_configs": [{"names": ["a"], "type": "TXT"}]},
            ("dns_sd_configs", 0, "type"),
            "A or AAAA",
        ),
        (
            {"dns_sd_configs": [{"names": ["a"], "type": "AAAA"}]},
            ("dns_sd_configs", 0, "port"),
            "a port is needed",
        ),
        (
            {"dns_sd_configs": [{"names": ["a"], "refresh_interval": "1ms"}]},
            ("dns_sd_configs", 0, "refresh_interval"),
            "at least 1s",
        ),
        ({"target_limit": -1}, ("target_limit",), "negative"),
        ({"keep_dropped_targets": -1}, ("keep_dropped_targets",), "negative"),
    ],
)
def test_a_fault_of_relabelling_or_discovery_is_told_with_its_place(
    keys: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    [finding] = check_metrics(config({**job("web:80"), **keys}))
    assert finding.path == ("scrape_configs", 0, *path)
    assert message in finding.message


def test_a_target_may_be_anything_where_rules_make_the_address() -> None:
    rules = [{"target_label": "__address__", "replacement": "prober:1"}]
    assert check_metrics(config(job("http://shop/", relabel_configs=rules))) == []


def test_files_of_discovery_are_seen_from_the_folder_of_the_configuration() -> None:
    written = config(job(file_sd_configs=[{"files": ["sd/*.json", "/abs.yml"]}]))
    [anchored] = anchor_files(written, PurePosixPath("/etc/tocsin")).scrape_configs
    assert anchored.file_sd_configs[0].files == ("/etc/tocsin/sd/*.json", "/abs.yml")


def test_job_names_are_unique() -> None:
    [finding] = check_metrics(config(job("a:1"), job("b:1")))
    assert finding.path == ("scrape_configs", 1, "job_name")


def test_intervals_of_nothing_are_refused() -> None:
    keys: dict[str, Any] = {
        "scrape_interval": 0,
        "collector_interval": 0,
        "system_metrics": {"interval": 0},
    }
    assert len(check_metrics(config(**keys))) == 3


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10MB", 10 << 20), ("1.5KiB", 1536), ("2 GB", 2 << 30), ("7", 7), ("7B", 7)],
)
def test_sizes_count_in_steps_of_1024(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


def test_a_size_needs_a_number() -> None:
    with pytest.raises(InvalidInput):
        size_in_bytes("MB")


def test_a_target_has_job_and_instance_and_its_static_labels() -> None:
    static = [{"targets": ["web:80"], "labels": {"zone": "a", "__metrics_path__": "m x"}}]
    made = target(static_configs=static)
    assert dict(made.labels) == {"job": "shop", "instance": "web:80", "zone": "a"}
    assert made.url == "http://web:80/m%20x"
    assert made.discovered["__address__"] == "web:80"
    assert made.discovered["__scrape_interval__"] == "1m"


def test_a_static_label_may_name_the_instance() -> None:
    static = [{"targets": ["web:80"], "labels": {"instance": "web"}}]
    assert target(static_configs=static).labels["instance"] == "web"


def test_parameters_stand_in_the_url_and_labels_may_add_some() -> None:
    static = [{"targets": ["web:80"], "labels": {"__param_module": "icmp", "__param_x": "y"}}]
    made = target(params={"module": ["http", "tcp"], "none": []}, static_configs=static)
    assert made.url == "http://web:80/metrics?module=http&module=tcp&x=y"
    assert target(params={"a": ["b c"]}).url == "http://web:80/metrics?a=b+c"


def test_the_timeout_is_at_most_the_interval_unless_written() -> None:
    assert str(target(scrape_interval="5s").timeout) == "5s"
    assert str(target(scrape_interval="30s").timeout) == "10s"
    assert str(target(scrape_timeout="20s").timeout) == "20s"


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ({"basic_auth": {"username": "u", "password": "p"}}, "Basic dTpw"),
        ({"basic_auth": {"username": "u"}}, "Basic dTo="),
        ({"authorization": {"credentials": "tok\n"}}, "Bearer tok"),
        ({"authorization": {"type": "Key", "credentials": "k"}}, "Key k"),
        ({"authorization": {}}, None),
        ({"bearer_token": "old"}, "Bearer old"),
        ({}, None),
    ],
)
def test_credentials_become_one_header_and_never_show(
    keys: dict[str, Any], header: str | None
) -> None:
    made = target(**keys)
    assert made.headers().get("Authorization") == header
    assert not header or header not in repr(made)


def test_the_headers_say_what_is_understood_and_how_long_it_may_take() -> None:
    headers = target(scrape_timeout="2500ms").headers()
    assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5"
    assert headers["Accept-Encoding"] == "gzip"
    assert "openmetrics" in headers["Accept"]
    assert target(enable_compression=False).headers()["Accept-Encoding"] == "identity"


def test_the_same_target_twice_is_one() -> None:
    assert len(targets_of(config(job("a:1", "a:1", "b:1")))) == 2


def test_tls_and_redirects_are_handed_to_who_fetches() -> None:
    options = target(
        follow_redirects=False,
        tls_config={"ca_file": "ca", "server_name": "n", "insecure_skip_verify": True},
    ).options
    assert options.tls == TlsOptions(verify=False, ca_file="ca", server_name="n")
    assert not options.follow_redirects
    assert options.token is None
    assert options.proxy == DIRECT


def test_texts_of_tls_are_handed_on_and_a_key_never_shows() -> None:
    tls = {"ca": "CA", "cert": "CERT", "key": "KEY", "min_version": "TLS12", "max_version": "TLS13"}
    made = target(tls_config=tls)
    assert made.options.tls == TlsOptions(
        ca="CA", cert="CERT", key=Secret("KEY"), min_version="TLS12", max_version="TLS13"
    )
    assert "KEY" not in repr(made)


def test_tokens_are_fetched_by_who_fetches() -> None:
    oauth2 = {
        **TOKEN,
        "client_secret": "S3cret",
        "scopes": ["a", "b"],
        "endpoint_params": {"audience": "x"},
        "tls_config": {"ca_file": "ca"},
        "proxy_url": "http://u:S3cret@p",
    }
    made = target(oauth2=oauth2)
    assert made.options.token == TokenOptions(
        client_id="c",
        client_secret=Secret("S3cret"),
        url="https://login/token",
        scopes=("a", "b"),
        parameters=(("audience", "x"),),
        tls=TlsOptions(ca_file="ca"),
        proxy=ProxyOptions(Secret("http://u:S3cret@p")),
    )
    assert made.authorization is None
    assert "S3cret" not in repr(made)
    assert target(oauth2=TOKEN).options.token == TokenOptions("c", Secret(""), TOKEN["token_url"])


def test_proxies_are_handed_to_who_fetches() -> None:
    proxy = target(
        proxy_url="http://p:3128", no_proxy="a,b", proxy_connect_header={"X": ["1", "2"]}
    ).options.proxy
    assert proxy == ProxyOptions(Secret("http://p:3128"), "a,b", headers=(("X", Secret("1, 2")),))
    assert target(proxy_from_environment=True).options.proxy == ProxyOptions(from_environment=True)


def test_further_headers_are_sent_and_their_secrets_never_show() -> None:
    given = {"X-A": {"values": ["1", "2"], "secrets": ["S3cret"]}, "accept": {"values": ["x/y"]}}
    made = target(http_headers={**given, "X-None": {}})
    headers = made.headers()
    assert headers["X-A"] == "1, 2, S3cret"
    assert headers["Accept"].endswith(",*/*;q=0.2, x/y")
    assert not {"X-None", "accept"} & headers.keys()
    assert "S3cret" not in repr(made)


def test_formats_are_asked_for_in_the_order_of_the_job() -> None:
    given = ["PrometheusText0.0.4", "PrometheusProto", "OpenMetricsText1.0.0"]
    made = target(scrape_protocols=given, fallback_scrape_protocol="OpenMetricsText1.0.0")
    assert made.headers()["Accept"] == (
        "text/plain;version=0.0.4;q=0.6,"
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4"
    )
    assert made.fallback == "OpenMetricsText1.0.0"
    [note] = notes_on_metrics(config(job("web:80", scrape_protocols=given)))
    assert note.path == ("scrape_configs", 0, "scrape_protocols", 1)
    assert target(scrape_protocols=["PrometheusProto"]).accept == target().accept


@pytest.mark.parametrize(
    ("keys", "scheme"),
    [
        ({}, "allow-utf-8"),
        ({"metric_name_validation_scheme": "legacy"}, "underscores"),
        ({"metric_name_escaping_scheme": "dots"}, "dots"),
    ],
)
def test_names_are_asked_for_as_the_schemes_say(keys: dict[str, str], scheme: str) -> None:
    accepted = target(**keys).headers()["Accept"].split(",")
    assert [f"escaping={scheme}" in part for part in accepted] == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("content_type", "fallback", "openmetrics"),
    [
        ("application/openmetrics-text; version=1.0.0", "", True),
        ("text/plain", "OpenMetricsText1.0.0", False),
        ("", "OpenMetricsText0.0.1", True),
        ("text/html", "PrometheusText1.0.0", False),
        ("", "", False),
    ],
)
def test_an_answer_that_does_not_tell_its_format_is_read_as_the_job_says(
    content_type: str, fallback: str, *, openmetrics: bool
) -> None:
    assert is_openmetrics(content_type, fallback) is openmetrics
