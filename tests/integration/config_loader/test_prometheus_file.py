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
    consul_sd_configs: [{server: "localhost:8500"}]
    relabel_configs: [{action: keep, regex: "("}]
  - job_name: x
    kubernets_sd_configs: []
scrape_config_files: [more.yml]
rule_files: [missing.yml]
"""
    with pytest.raises(Refused) as refused:
        load(write(tmp_path, text), environ={})
    found = told(tmp_path, refused.value.problems)
    assert [line.partition(" ")[0] for line in found] == [
        f"prom/prometheus.yml:{place}:"
        for place in ("2:52", "2:72", "5:21", "6:24", "7:45", "8:15", "9:5", "10:22", "11:14")
    ]
    assert "consul_sd_configs is not built yet" in found[3]
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
