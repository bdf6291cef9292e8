"""A prometheus.yml is read as it is: its jobs, its rules, its defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config_loader.load import load
from tocsin.config_loader.loaded import Loaded, TenantSettings
from tocsin.config_loader.masked import effective_yaml
from tocsin.config_loader.report import Refused

OWN = """\
tenant: a
prometheus_file: prom/prometheus.yml
alertmanager: {route: {receiver: x}, receivers: [{name: x}]}
"""
RULES = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n"
WHOLE = """
global:
  scrape_interval: 15s
  scrape_timeout: 5s
  evaluation_interval: 20s
  external_labels: {region: eu, replica: "$HOST"}
  sample_limit: 1000
  query_log_file: queries.log
alerting:
  alertmanagers: [{static_configs: [{targets: ["am:9093"]}]}]
remote_write: [{url: "http://elsewhere/write"}]
storage: {tsdb: {out_of_order_time_window: 10m}}
rule_files: ["rules/*.yml", other.rules]
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["localhost:9090"]}]
  - job_name: files
    sample_limit: 5
    scrape_protocols: [PrometheusText0.0.4]
    tls_config: {ca_file: ca.pem}
    basic_auth: {username: u, password_file: secret}
    file_sd_configs: [{files: ["sd/*.json"]}]
    relabel_configs:
      - {source_labels: [__meta_filepath], regex: "(.*)/[^/]+", target_label: path,
         replacement: "${1}$"}
"""


def write(folder: Path, text: str = WHOLE, own: str = OWN) -> Path:
    prom = folder / "prom"
    (prom / "rules").mkdir(parents=True)
    (prom / "prometheus.yml").write_text(text)
    (prom / "rules" / "one.yml").write_text(RULES)
    (prom / "other.rules").write_text(RULES.replace("name: g", "name: h"))
    (prom / "secret").write_text("pw\n")
    (prom / "secret").chmod(0o600)
    path = folder / "tocsin.yaml"
    path.write_text(own)
    return path


def only(loaded: Loaded) -> TenantSettings:
    (tenant,) = loaded.config.tenants
    return tenant


def told(folder: Path, problems: object) -> list[str]:
    assert isinstance(problems, tuple)
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


def test_jobs_rules_and_defaults_are_those_of_the_file(tmp_path: Path) -> None:
    loaded = load(write(tmp_path), environ={})
    tenant = only(loaded)
    assert (str(tenant.metrics.scrape_interval), str(tenant.metrics.scrape_timeout)) == (
        "15s",
        "5s",
    )
    assert str(tenant.rule_settings.evaluation_interval) == "20s"
    assert tenant.external_labels == {"region": "eu", "replica": "$HOST"}
    first, files = tenant.metrics.scrape_configs
    assert (first.sample_limit, files.sample_limit) == (1000, 5)
    assert files.relabel_configs[0].replacement == "${1}$"
    assert list(tenant.rule_files) == ["prom/rules/one.yml", "prom/other.rules"]
    read = {path.relative_to(tmp_path).as_posix() for path in loaded.files}
    assert read >= {"tocsin.yaml", "prom/prometheus.yml", "prom/secret", "prom/other.rules"}


def test_paths_start_at_the_file_that_names_them(tmp_path: Path) -> None:
    _, files = only(load(write(tmp_path), environ={})).metrics.scrape_configs
    assert files.file_sd_configs[0].files == (str(tmp_path / "prom/sd/*.json"),)
    assert files.tls_config.ca_file == str(tmp_path / "prom/ca.pem")
    assert files.basic_auth is not None
    assert files.basic_auth.password is not None
    assert files.basic_auth.password.reveal() == "pw"


def test_what_is_prometheus_own_business_is_told_and_left_out(tmp_path: Path) -> None:
    loaded = load(write(tmp_path), environ={})
    assert told(tmp_path, loaded.warnings) == [
        'prom/prometheus.yml:6:42: external label "replica" is taken as it stands: variables are '
        "not expanded",
        "prom/prometheus.yml:8:19: query_log_file is ignored",
        "prom/prometheus.yml:10:3: alerting is ignored: alerts go to this tenant's own routes",
        "prom/prometheus.yml:11:15: remote_write is ignored: samples stay here",
        "prom/prometheus.yml:12:10: storage is ignored: see storage of our own file",
    ]


def test_the_configuration_in_force_says_it_all_and_reads_back(tmp_path: Path) -> None:
    loaded = load(write(tmp_path), environ={})
    again = tmp_path / "again.yaml"
    text = effective_yaml(loaded.config)
    again.write_text(text.replace("$HOST", "$$HOST").replace("${1}$", "${1}$$"))
    assert only(load(again, environ={})).metrics == only(loaded).metrics


def test_faults_bear_the_place_in_the_file(tmp_path: Path) -> None:
    text = """
global: {scrape_interval: 5s, evaluation_interval: 0s, scrape_timeout: 0s}
scrape_configs:
  - job_name: x
    scrape_timeout: 9s
    oauth2: {client_id: c}
    relabel_configs: [{action: keep, regex: "("}]
  - job_name: x
    kubernets_sd_configs: []
scrape_config_files: [more.yml]
rule_files: [missing.yml]
otlp: {ignore_resource_attributes: [a]}
"""
    with pytest.raises(Refused) as refused:
        load(write(tmp_path, text), environ={})
    found = told(tmp_path, refused.value.problems)
    assert [line.partition(" ")[0] for line in found] == [
        f"prom/prometheus.yml:{place}:"
        for place in (
            "2:52",
            "2:72",
            "5:21",
            "6:13",
            "7:45",
            "8:15",
            "9:5",
            "10:23",
            "11:14",
            "12:36",
        )
    ]
    assert "is no http or https URL" in found[3]
    assert 'did you mean "kubernetes_sd_configs"?' in found[6]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("scrape_interval: 5s\n", "scrape_interval comes from prometheus_file"),
        ("scrape_configs: []\n", "scrape_configs comes from prometheus_file"),
        ("external_labels: {a: b}\n", "external_labels comes from prometheus_file"),
    ],
)
def test_a_key_has_one_home(tmp_path: Path, own: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        load(write(tmp_path, own=OWN + own), environ={})


def test_own_rules_and_host_metrics_may_stand_beside_it(tmp_path: Path) -> None:
    more = "system_metrics: {enabled: true}\ngroups: [{name: own, rules: []}]\n"
    tenant = only(load(write(tmp_path, own=OWN + more), environ={}))
    assert tenant.metrics.system_metrics.enabled
    assert len(tenant.metrics.scrape_configs) == 2
    assert [group.name for group in tenant.rules] == ["own", "g", "h"]


@pytest.mark.parametrize("text", ["[", "- a", "scrape_configs: {a: b}"])
def test_a_file_that_is_no_prometheus_yml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused, match=r"prometheus\.yml"):
        load(write(tmp_path, text), environ={})


def test_a_missing_file_is_told_where_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "prom" / "prometheus.yml").unlink()
    with pytest.raises(Refused) as refused:
        load(path, environ={})
    [fault] = told(tmp_path, refused.value.problems)
    assert fault.startswith("tocsin.yaml:2:18: cannot read")


def test_an_empty_file_has_the_defaults_of_prometheus(tmp_path: Path) -> None:
    tenant = only(load(write(tmp_path, "global:\n"), environ={}))
    assert str(tenant.metrics.scrape_interval) == "1m"
    assert tenant.metrics.scrape_configs == []


ELSEWHERE = """
global:
  scrape_protocols: [PrometheusText0.0.4]
  metric_name_validation_scheme: legacy
  metric_name_escaping_scheme: dots
  scrape_native_histograms: true
  label_limit: 7
scrape_configs:
  - job_name: pods
    kubernetes_sd_configs: [{role: pod}]
    static_configs: [{targets: ["a:1"]}]
    extra_scrape_metrics: true
  - job_name: socks
    proxy_url: socks5://user:hunter2@proxy:1
    static_configs: [{targets: ["b:1"]}]
  - job_name: names
    scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]
    metric_name_validation_scheme: utf8
    dns_sd_configs: [{names: [a]}, {names: [b], type: A, port: 9}]
    http_sd_configs: [{url: "http://x", authorization: {credentials_ref: y}}]
scrape_config_files: ["more/*.yml", "none/*.yml"]
otlp:
  promote_resource_attributes: [host.name]
  translation_strategy: NoTranslation
"""
MORE = """
scrape_configs:
  - job_name: first
    basic_auth: {username_file: user, password_file: pass}
    tls_config: {ca_file: ca.pem}
    file_sd_configs: [{files: ["*.json"]}]
  - job_name: second
    consul_sd_configs: [{server: "localhost:8500"}]
"""


def write_elsewhere(folder: Path, more: str = MORE, text: str = ELSEWHERE) -> Path:
    path = write(folder, text)
    beside = folder / "prom" / "more"
    beside.mkdir()
    (beside / "one.yml").write_text(more)
    for name in ("user", "pass"):
        (beside / name).write_text(f"{name}\n")
        (beside / name).chmod(0o600)
    return path


def test_what_is_not_built_is_told_and_the_rest_of_the_file_counts(tmp_path: Path) -> None:
    loaded = load(write_elsewhere(tmp_path), environ={})
    missing, out = "; these targets are missing", "; the job is left out"
    use = "use file_sd_configs or http_sd_configs"
    assert told(tmp_path, loaded.warnings) == [
        "prom/prometheus.yml:6:29: scrape_native_histograms has no effect: "
        "native histograms are not scraped",
        f"prom/prometheus.yml:10:28: kubernetes_sd_configs is not built: {use}{missing}",
        "prom/prometheus.yml:14:16: a proxy by socks5 is not built: http and https are" + out,
        "prom/prometheus.yml:17:24: PrometheusProto has no effect: text formats are asked for",
        "prom/prometheus.yml:19:22: dns_sd_configs of type SRV is not built: use type A or AAAA "
        f"with a port, file_sd_configs or http_sd_configs{missing}",
        "prom/prometheus.yml:20:74: credentials_ref is not built: there is no secret manager"
        + missing,
        'prom/prometheus.yml:21:37: "none/*.yml" matches no file',
        f"prom/more/one.yml:8:24: consul_sd_configs is not built: {use}{missing}",
    ]
    jobs = {job.job_name: job for job in only(loaded).metrics.scrape_configs}
    assert list(jobs) == ["pods", "names", "first", "second"]
    assert jobs["pods"].static_configs[0].targets == ["a:1"]
    assert jobs["pods"].kubernetes_sd_configs == []
    assert [each.names for each in jobs["names"].dns_sd_configs] == [["b"]]
    assert jobs["names"].http_sd_configs == []


def test_files_of_jobs_have_places_and_paths_of_their_own(tmp_path: Path) -> None:
    loaded = load(write_elsewhere(tmp_path), environ={})
    first = only(loaded).metrics.scrape_configs[2]
    beside = tmp_path / "prom" / "more"
    assert first.file_sd_configs[0].files == (str(beside / "*.json"),)
    assert first.tls_config.ca_file == str(beside / "ca.pem")
    assert first.basic_auth is not None
    assert first.basic_auth.password is not None
    assert (first.basic_auth.username, first.basic_auth.password.reveal()) == ("user", "pass")
    assert {beside / "one.yml", beside / "pass"} <= set(loaded.files)


def test_formats_and_schemes_of_global_are_handed_down(tmp_path: Path) -> None:
    pods, names, first, _ = only(load(write_elsewhere(tmp_path), environ={})).metrics.scrape_configs
    for job in (pods, first):
        assert job.scrape_protocols == ["PrometheusText0.0.4"]
        assert job.metric_name_validation_scheme == "legacy"
        assert job.metric_name_escaping_scheme == "dots"
        assert job.label_limit == 7
    assert names.scrape_protocols == ["PrometheusProto", "OpenMetricsText1.0.0"]
    assert names.metric_name_validation_scheme == "utf8"
    assert names.metric_name_escaping_scheme == ""
    assert [job.extra_scrape_metrics for job in (pods, names)] == [True, None]


def test_extra_series_of_global_are_handed_down(tmp_path: Path) -> None:
    text = "global: {extra_scrape_metrics: true}\nscrape_configs:\n  - job_name: a\n"
    text += "  - {job_name: b, extra_scrape_metrics: false}\n"
    jobs = only(load(write(tmp_path, text), environ={})).metrics.scrape_configs
    assert [job.extra_scrape_metrics for job in jobs] == [True, False]


def test_otlp_of_the_file_counts(tmp_path: Path) -> None:
    otlp = only(load(write_elsewhere(tmp_path), environ={})).metrics.otlp
    assert otlp.promote_resource_attributes == ("host.name",)
    assert otlp.translation_strategy == "NoTranslation"


def test_otlp_stands_in_our_own_file_where_the_other_has_none(tmp_path: Path) -> None:
    own = OWN + "otlp: {promote_resource_attributes: [zone]}\n"
    otlp = only(load(write(tmp_path, own=own), environ={})).metrics.otlp
    assert otlp.promote_resource_attributes == ("zone",)


def test_otlp_has_one_home(tmp_path: Path) -> None:
    path = write_elsewhere(tmp_path)
    path.write_text(OWN + "otlp: {}\n")
    with pytest.raises(Refused, match="otlp comes from prometheus_file"):
        load(path, environ={})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[", r"one\.yml:2:1: not valid YAML"),
        ("jobs: []", r'one\.yml:1:1: unknown field "jobs"'),
        ("scrape_configs: [{job_name: pods}]", "multiple scrape configs"),
        ("scrape_configs: [{job_name: x, scheme: ftp}]", r"one\.yml:1:40: scheme must be"),
        ("scrape_configs: [{job_name: x, bearer_token_file: gone}]", r"one\.yml:1:51: cannot read"),
    ],
)
def test_faults_of_a_file_of_jobs_bear_the_place_in_it(
    tmp_path: Path, more: str, message: str
) -> None:
    with pytest.raises(Refused, match=message):
        load(write_elsewhere(tmp_path, more), environ={})


def test_a_file_of_jobs_that_cannot_be_read_is_told_where_it_is_named(tmp_path: Path) -> None:
    path = write_elsewhere(tmp_path)
    (tmp_path / "prom" / "more" / "two.yml").write_bytes(b"\xff")
    with pytest.raises(Refused, match=r"prometheus\.yml:21:23: .* is not UTF-8"):
        load(path, environ={})


def test_an_empty_file_of_jobs_has_none(tmp_path: Path) -> None:
    loaded = load(write_elsewhere(tmp_path, ""), environ={})
    assert [job.job_name for job in only(loaded).metrics.scrape_configs] == ["pods", "names"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("global: {scrape_protocols: [x]}", r"prometheus\.yml:1:29: unknown scrape protocol"),
        ("global: {metric_name_escaping_scheme: x}", "metric_name_escaping_scheme must be"),
        ("otlp: {translation_strategy: x}", r"prometheus\.yml:1:30: expected one of"),
    ],
)
def test_faults_of_defaults_bear_their_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        load(write(tmp_path, text), environ={})


def test_what_a_tenant_writes_itself_must_be_built(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(
        "tenant: a\nscrape_configs: [{job_name: x, consul_sd_configs: [{}]}]\n"
        "otlp: {convert_histograms_to_nhcb: true}\n"
    )
    with pytest.raises(Refused, match=r"tocsin\.yaml:2:51: consul_sd_configs is not built"):
        load(path, environ={})
    path.write_text("tenant: a\notlp: {convert_histograms_to_nhcb: true}\n")
    assert "has no effect" in told(tmp_path, load(path, environ={}).warnings)[-1]


EVERYTHING = """
global:
  scrape_interval: 15s
  scrape_timeout: 10s
  scrape_protocols: [OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText0.0.4]
  evaluation_interval: 30s
  rule_query_offset: 0s
  external_labels: {monitor: codelab}
  body_size_limit: 15MB
  sample_limit: 1500
  label_limit: 30
  label_name_length_limit: 200
  label_value_length_limit: 200
  target_limit: 30
  keep_dropped_targets: 10
  metric_name_validation_scheme: utf8
  metric_name_escaping_scheme: allow-utf-8
  always_scrape_classic_histograms: false
  convert_classic_histograms_to_nhcb: false
  scrape_native_histograms: false
  extra_scrape_metrics: false
runtime: {gogc: 75}
scrape_configs:
  - job_name: everything
    honor_labels: true
    honor_timestamps: false
    track_timestamps_staleness: true
    params: {module: [http, tcp]}
    scrape_interval: 50s
    scrape_timeout: 5s
    scrape_protocols: [PrometheusText1.0.0]
    fallback_scrape_protocol: PrometheusText0.0.4
    scrape_native_histograms: false
    always_scrape_classic_histograms: true
    convert_classic_histograms_to_nhcb: false
    metrics_path: /my_path
    scheme: https
    enable_compression: false
    body_size_limit: 10MB
    sample_limit: 1000
    label_limit: 35
    label_name_length_limit: 210
    label_value_length_limit: 210
    target_limit: 35
    keep_dropped_targets: 5
    metric_name_validation_scheme: legacy
    metric_name_escaping_scheme: underscores
    extra_scrape_metrics: false
    basic_auth: {username_file: user, password_file: secret}
    follow_redirects: false
    enable_http2: false
    proxy_url: http://proxy:3128
    no_proxy: localhost
    proxy_connect_header: {X-A: [b]}
    http_headers:
      X-One: {values: [a], secrets: [b], files: [secret]}
    tls_config:
      ca_file: ca.pem
      cert: "-----BEGIN CERTIFICATE-----"
      key: "-----BEGIN PRIVATE KEY-----"
      server_name: x
      insecure_skip_verify: true
      min_version: TLS12
      max_version: TLS13
    static_configs: [{targets: ["a:1"], labels: {a: b}}]
    file_sd_configs: [{files: ["*.json"], refresh_interval: 10m}]
    http_sd_configs:
      - url: http://inventory/
        refresh_interval: 10s
        follow_redirects: true
        enable_http2: true
        authorization: {type: Key, credentials_file: secret}
        proxy_from_environment: true
    dns_sd_configs: [{names: [x], type: AAAA, port: 1, refresh_interval: 15s}]
    relabel_configs: [{source_labels: [a], separator: ";", regex: b, modulus: 3,
                       target_label: c, replacement: d, action: replace}]
    metric_relabel_configs: [{regex: x, action: labeldrop}]
  - job_name: token
    oauth2:
      client_id: c
      client_secret_file: secret
      scopes: [a]
      token_url: https://login/token
      endpoint_params: {a: b}
      tls_config: {ca_file: ca.pem}
      proxy_url: http://proxy:3128
      no_proxy: a
      proxy_connect_header: {A: [b]}
  - {job_name: bearer, bearer_token_file: secret}
otlp:
  promote_all_resource_attributes: true
  ignore_resource_attributes: [host.id]
  translation_strategy: NoUTF8EscapingWithSuffixes
  keep_identifying_resource_attributes: true
  convert_histograms_to_nhcb: false
  promote_scope_metadata: true
  label_name_underscore_sanitization: false
  label_name_preserve_multiple_underscores: false
"""


def test_every_key_prometheus_3_has_for_scraping_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING)
    (tmp_path / "prom" / "user").write_text("me")
    loaded = load(path, environ={})
    assert told(tmp_path, loaded.warnings) == ["prom/prometheus.yml:22:10: runtime is ignored"]
    everything, token, bearer = only(loaded).metrics.scrape_configs
    header = everything.http_headers["X-One"]
    assert [secret.reveal() for secret in header.secrets] == ["b", "pw"]
    assert token.oauth2 is not None
    assert token.oauth2.client_secret is not None
    assert bearer.bearer_token is not None
    assert token.oauth2.client_secret.reveal() == bearer.bearer_token.reveal() == "pw"


def test_no_secret_of_a_job_stands_in_the_configuration_in_force(tmp_path: Path) -> None:
    path = write(tmp_path, EVERYTHING.replace("proxy:3128", "user:hunter2@proxy:3128"))
    (tmp_path / "prom" / "user").write_text("me")
    text = effective_yaml(load(path, environ={}).config)
    for secret in ("hunter2", "pw\n", "PRIVATE"):
        assert secret not in text
