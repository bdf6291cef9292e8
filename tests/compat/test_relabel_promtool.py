"""promtool and we accept the same relabelling rules and the same discovery.

Left out is what 2.42 does not see yet and 3 refuses: references in the target of `lowercase`,
two credentials in `http_sd_configs`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from house import program

from tocsin.config_loader.load import load
from tocsin.config_loader.report import Refused

RULES: tuple[dict[str, Any], ...] = (
    {"target_label": "a", "replacement": "b"},
    {"action": "keep", "source_labels": ["a"], "regex": "x"},
    {"action": "KEEP"},
    {"action": "hashmod", "modulus": 3, "target_label": "a", "source_labels": ["b"]},
    {"action": "labelmap", "regex": "__meta_(.+)", "replacement": "x_$1"},
    {"action": "labeldrop", "regex": "a"},
    {"action": "labelkeep", "regex": "a", "separator": ";"},
    {"action": "keepequal", "source_labels": ["a"], "target_label": "b"},
    {"action": "uppercase", "source_labels": ["a"], "target_label": "b"},
    {"target_label": "${1}_x", "regex": "(a)"},
    {"target_label": "a", "regex": "(?i)x+?\\d{2,3}[[:alpha:]]"},
    {},
    {"action": "explode"},
    {"action": ""},
    {"action": "hashmod", "target_label": "a"},
    {"action": "hashmod", "modulus": 0, "target_label": "a"},
    {"action": "hashmod", "modulus": 3},
    {"action": "hashmod", "modulus": 3, "target_label": "${1}"},
    {"target_label": "a", "regex": "("},
    {"target_label": "a", "regex": "(?=x)"},
    {"target_label": "a", "regex": "(a)\\1"},
    {"target_label": "-a"},
    {"target_label": "0${1}"},
    {"target_label": "${1"},
    {"action": "lowercase", "target_label": "a", "replacement": "x"},
    {"action": "dropequal", "target_label": "a", "regex": "x"},
    {"action": "dropequal", "source_labels": ["a"]},
    {"action": "labeldrop", "source_labels": ["a"]},
    {"action": "labelkeep", "regex": "a", "target_label": "b"},
    {"action": "labelmap", "replacement": "-$1"},
    {"action": "keep", "source_labels": ["a-b"]},
    {"action": "keep", "sourcelabels": ["a"]},
)
JOBS: tuple[dict[str, Any], ...] = (
    {"file_sd_configs": [{"files": ["a.json", "sd/*.yml", "b*.yaml"]}]},
    {"file_sd_configs": [{"files": []}]},
    {"file_sd_configs": [{"files": ["a.txt"]}]},
    {"file_sd_configs": [{"files": ["*/a.yml"]}]},
    {"http_sd_configs": [{"url": "https://cmdb:8443/x?y=z", "refresh_interval": "10s"}]},
    {"http_sd_configs": [{"url": ""}]},
    {"http_sd_configs": [{"url": "ftp://cmdb/x"}]},
    {"http_sd_configs": [{"url": "http:///x"}]},
    {"basic_auth": {"username": "u"}, "bearer_token": "x"},
    {"authorization": {"type": "basic"}},
    {"static_configs": [{"targets": ["http://a/"]}]},
    {
        "static_configs": [{"targets": ["http://a/"]}],
        "relabel_configs": [{"target_label": "__address__", "replacement": "b:1"}],
    },
    {"scrape_timeout": "2m"},
    {"honor_timestamps": False, "sample_limit": 1, "label_limit": 2, "target_limit": 3},
    {"label_name_length_limit": 4, "label_value_length_limit": 5, "body_size_limit": "1MB"},
)
CASES = [*({"metric_relabel_configs": [rule]} for rule in RULES), *JOBS]


@pytest.mark.parametrize("job", CASES, ids=json.dumps)
def test_promtool_gives_the_same_verdict(job: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps({"scrape_configs": [{"job_name": "x", **job}]})
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "tocsin.yaml").write_text("tenant: a\nprometheus_file: prometheus.yml\n")
    check = [program("promtool"), "check", "config", "--syntax-only", "prometheus.yml"]
    theirs = subprocess.run(check, check=False, cwd=tmp_path, capture_output=True, text=True)
    try:
        load(tmp_path / "tocsin.yaml", environ={})
        ours = ""
    except Refused as refused:
        ours = str(refused)
    assert bool(ours) == bool(theirs.returncode), theirs.stderr or ours
