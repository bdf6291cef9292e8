"""Scrape jobs are Prometheus'; what is wrong or not built is told with its place."""

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from scrape_targets import targets_of

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.metrics_collector.config import (
    MetricsConfig,
    anchor_files,
    check_metrics,
    size_in_bytes,
)
from tocsin.metrics_collector.discovery_config import SD_NOT_BUILT
from tocsin.metrics_collector.http_config import HTTP_NOT_BUILT
from tocsin.metrics_collector.target import Target
from tocsin.model.errors import InvalidInput


def config(*jobs: dict[str, Any], **keys: Any) -> MetricsConfig:
    raw = {"scrape_configs": list(jobs), **keys}
    root = parse(json.dumps(raw), file="x").root
    assert root is not None
    converted = convert(root, MetricsConfig)
    assert converted.value is not None, converted.problems
    return converted.value


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


@pytest.mark.parametrize("name", [*SD_NOT_BUILT, *HTTP_NOT_BUILT])
def test_what_is_not_built_is_said_and_not_ignored(name: str) -> None:
    texts = {"proxy_url": "http://proxy", "no_proxy": "x", "proxy_from_environment": True}
    value = texts.get(name, [{"any": "thing"}])
    [finding] = check_metrics(config(job("web:80", **{name: value})))
    assert finding.path == ("scrape_configs", 0, name)
    assert "next release" in finding.message


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
            {"http_sd_configs": [{"url": "http://x", "oauth2": {"a": "b"}}]},
            ("http_sd_configs", 0, "oauth2"),
            "not built",
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
    assert (options.ca_file, options.server_name) == ("ca", "n")
    assert not options.verify
    assert not options.follow_redirects
