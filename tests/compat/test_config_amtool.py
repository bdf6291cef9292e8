"""What we give out as the configuration in force is one that amtool reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tocsin.config_loader.load import load_alertmanager
from tocsin.config_loader.masked import original_yaml

AMTOOL = shutil.which("amtool")
EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed")

FULL = """
global:
  resolve_timeout: 3m
  smtp_smarthost: 127.0.0.1:25
  smtp_from: a@example.org
  smtp_auth_username: me
  smtp_auth_password: hunter2
  slack_api_url: https://hooks.slack.com/services/hunter2
  http_config: {proxy_url: "http://127.0.0.1:3128"}
route:
  receiver: all
  group_by: ['...']
  routes:
    - receiver: mail
      match: {severity: critical, version: 1.10}
      match_re: {service: "a|b"}
      continue: true
      active_time_intervals: [hours]
    - receiver: all
      matchers: ['team=~"db|storage"', 'env!="test"', foo = bar]
      mute_time_intervals: [nights]
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 1h30m
inhibit_rules:
  - source_match: {severity: critical}
    target_match_re: {severity: "warning|info"}
    equal: [alertname]
time_intervals:
  - name: hours
    time_intervals:
      - times: [{start_time: 09:00, end_time: 17:00}]
        weekdays: ['monday:friday']
        days_of_month: ['1:5', '-3:-1']
        months: [january, '5:7']
        years: [2030]
        location: Europe/Berlin
mute_time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: "22:00", end_time: "24:00"}]}]
receivers:
  - name: all
    webhook_configs:
      - url: https://hooks.example.org/hunter2
        max_alerts: 5
        send_resolved: no
        http_config:
          basic_auth: {username: me, password: hunter2}
          tls_config: {insecure_skip_verify: true, server_name: x}
      - url: http://127.0.0.1:1/
        http_config: {authorization: {type: Bearer, credentials: hunter2}}
    slack_configs:
      - channel: '#alerts'
        title: '{{ .CommonLabels.alertname }}'
        fields: [{title: a, value: b, short: true}]
        actions: [{type: button, text: x, url: "http://x"}]
      - api_url: https://hooks.slack.com/services/other-hunter2
        channel: on
  - name: mail
    email_configs:
      - to: b@example.org
        headers: {Subject: "{{ .Status }}"}
        require_tls: false
  - name: nobody
"""


def amtool(*arguments: str) -> str:
    assert AMTOOL is not None
    done = subprocess.run(
        [AMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def dumped(source: Path, target: Path) -> Path:
    target.write_text(original_yaml(load_alertmanager(source).config.tenants[0].alertmanager))
    return target


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source = tmp_path / "alertmanager.yml"
    source.write_text(FULL)
    return source, dumped(source, tmp_path / "original.yml")


def test_amtool_accepts_source_and_dump(files: tuple[Path, Path]) -> None:
    for path in files:
        assert "SUCCESS" in amtool("check-config", str(path))


def test_no_secret_is_in_the_dump(files: tuple[Path, Path]) -> None:
    assert "hunter2" in files[0].read_text()
    assert "hunter2" not in files[1].read_text()


@pytest.mark.parametrize(
    "labels",
    [
        ("severity=critical", "version=1.10", "service=a"),
        ("severity=critical", "version=1.1", "service=a"),
        ("team=db", "env=prod", "foo=bar"),
        ("team=db", "env=test", "foo=bar"),
        ("x=y",),
    ],
)
def test_routes_of_the_dump_lead_where_those_of_the_source_lead(
    files: tuple[Path, Path], labels: tuple[str, ...]
) -> None:
    found = [amtool("config", "routes", "test", "--config.file", str(p), *labels) for p in files]
    assert found[0] == found[1]


def test_the_routing_tree_of_the_dump_shows_as_that_of_the_source(
    files: tuple[Path, Path],
) -> None:
    shown = [amtool("config", "routes", "show", "--config.file", str(p)) for p in files]
    assert shown[0] == shown[1]


def test_the_dump_of_the_example_is_accepted(tmp_path: Path) -> None:
    path = dumped(EXAMPLES / "alertmanager.yml", tmp_path / "original.yml")
    assert "SUCCESS" in amtool("check-config", str(path))


def test_a_null_inhibit_rule_does_not_reach_clients(tmp_path: Path) -> None:
    source = tmp_path / "alertmanager.yml"
    source.write_text("route: {receiver: x}\nreceivers: [{name: x}]\ninhibit_rules: [~]\n")
    assert "SUCCESS" in amtool("check-config", str(dumped(source, tmp_path / "original.yml")))
