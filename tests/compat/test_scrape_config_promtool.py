"""promtool and we agree which scrape jobs can be, and which cannot.

Only keys and rules that promtool 2.42 and Prometheus 3 have in common.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tocsin.config_loader.load import load
from tocsin.config_loader.report import Refused

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

TOKEN = {"client_id": "c", "client_secret": "s", "token_url": "http://login/token"}
TARGETS = [{"targets": ["a:1"]}]
JOBS: dict[str, dict[str, Any]] = {
    "plain": {"static_configs": TARGETS},
    "no targets": {},
    "empty name": {"job_name": ""},
    "unknown key": {"scrape_intervall": "1s"},
    "timeout over interval": {"scrape_interval": "5s", "scrape_timeout": "6s"},
    "timeout alone": {"scrape_timeout": "2m"},
    "bad duration": {"scrape_interval": "5 s"},
    "sizes": {"body_size_limit": "10MB", "sample_limit": 5, "label_limit": 3},
    "bad size": {"body_size_limit": "much"},
    "negative limit": {"sample_limit": -1},
    "target limit": {"target_limit": 4},
    "basic": {"basic_auth": {"username": "u", "password": "p"}},
    "bearer": {"bearer_token": "t"},
    "basic and bearer": {"basic_auth": {"username": "u"}, "bearer_token": "t"},
    "authorization": {"authorization": {"type": "Key", "credentials": "c"}},
    "authorization of nothing": {"authorization": {}},
    "authorization basic": {"authorization": {"type": "Basic", "credentials": "c"}},
    "authorization and basic": {"authorization": {}, "basic_auth": {"username": "u"}},
    "authorization and bearer": {"authorization": {}, "bearer_token": "t"},
    "oauth2": {"oauth2": {**TOKEN, "scopes": ["a"], "endpoint_params": {"x": "y"}}},
    "oauth2 and basic": {"oauth2": TOKEN, "basic_auth": {"username": "u"}},
    "oauth2 and authorization": {"oauth2": TOKEN, "authorization": {}},
    "oauth2 without client": {"oauth2": {"token_url": "http://login"}},
    "oauth2 without url": {"oauth2": {"client_id": "c"}},
    "oauth2 with tls": {"oauth2": {**TOKEN, "tls_config": {"insecure_skip_verify": True}}},
    "oauth2 with proxy": {"oauth2": {**TOKEN, "proxy_url": "http://p:1"}},
    "tls": {"tls_config": {"server_name": "x", "insecure_skip_verify": True}},
    "tls version": {"tls_config": {"min_version": "TLS12"}},
    "bad tls version": {"tls_config": {"min_version": "1.2"}},
    "proxy": {"proxy_url": "http://u:p@proxy:3128"},
    "redirects": {"follow_redirects": False, "enable_http2": False},
    "scheme": {"scheme": "https", "metrics_path": "/x", "params": {"a": ["b", "c"]}},
    "target with path": {"static_configs": [{"targets": ["http://a/"]}]},
    "label": {"static_configs": [{"targets": ["a:1"], "labels": {"a": "b"}}]},
    "files": {"file_sd_configs": [{"files": ["a.json", "b/*.yml"]}]},
    "files of no kind": {"file_sd_configs": [{"files": ["a.txt"]}]},
    "files of nothing": {"file_sd_configs": [{}]},
    "http": {"http_sd_configs": [{"url": "http://x/targets", "refresh_interval": "30s"}]},
    "http of nothing": {"http_sd_configs": [{}]},
    "http without scheme": {"http_sd_configs": [{"url": "x/targets"}]},
    "http by ftp": {"http_sd_configs": [{"url": "ftp://x/targets"}]},
    "names": {"dns_sd_configs": [{"names": ["a"]}]},
    "names by type": {"dns_sd_configs": [{"names": ["a"], "type": "A", "port": 9}]},
    "names by type in small": {"dns_sd_configs": [{"names": ["a"], "type": "aaaa", "port": 9}]},
    "names without port": {"dns_sd_configs": [{"names": ["a"], "type": "A"}]},
    "names of no type": {"dns_sd_configs": [{"names": ["a"], "type": "TXT", "port": 9}]},
    "no names": {"dns_sd_configs": [{"type": "A", "port": 9}]},
    "relabelling": {"relabel_configs": [{"target_label": "a", "replacement": "b"}]},
    "bad relabelling": {"relabel_configs": [{"action": "keep", "regex": "("}]},
    "ec2": {"ec2_sd_configs": [{"region": "eu", "access_key": "a", "secret_key": "b"}]},
}


@pytest.mark.parametrize("name", JOBS)
def test_we_agree(tmp_path: Path, name: str) -> None:
    written = {"scrape_configs": [{"job_name": "x", **JOBS[name]}]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(written))
    command = [str(PROMTOOL), "check", "config", "--syntax-only", "prometheus.yml"]
    theirs = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    ours = tmp_path / "tocsin.yaml"
    ours.write_text("tenant: a\nprometheus_file: prometheus.yml\n")
    problems = ""
    try:
        load(ours, environ={})
    except Refused as refused:
        problems = str(refused)
    assert (theirs.returncode == 0) == (not problems), theirs.stderr or theirs.stdout or problems
