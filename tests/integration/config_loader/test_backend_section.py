"""The section `backend` of tenants: read with its secrets, refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config_loader.load import load
from tocsin.config_loader.loaded import Loaded
from tocsin.config_loader.masked import effective_yaml
from tocsin.metrics_collector.backend.config import BackendKind
from tocsin.model.errors import ConfigError

TWO = """\
tenants:
  - id: a
    backend: &backend {{ kind: {kind}, url: "http://metrics:9009"{more} }}
  - id: b
    backend: *backend
"""


def read(tmp_path: Path, text: str) -> Loaded:
    (tmp_path / "tocsin.yaml").write_text(text)
    return load(tmp_path / "tocsin.yaml", environ={})


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return [str(problem).partition("tocsin.yaml:")[2] for problem in caught.value.problems]


def warnings(loaded: Loaded) -> list[str]:
    found = [str(problem).partition("tocsin.yaml:")[2] for problem in loaded.warnings]
    return [text for text in found if "nobody is notified" not in text]


def test_a_tenant_without_the_section_is_kept_here(tmp_path: Path) -> None:
    (tenant,) = read(tmp_path, "tenant: a\n").config.tenants
    assert tenant.backend is None


def test_the_section_is_read_with_its_secret_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cr3t\n")
    (tmp_path / "password").chmod(0o600)
    loaded = read(
        tmp_path,
        "tenant: a\nbackend:\n  kind: mimir\n  url: http://metrics:9009\n"
        "  basic_auth: { username: me, password_file: password }\n"
        "  tls_config: { ca_file: ca.pem }\n",
    )
    (tenant,) = loaded.config.tenants
    assert tenant.backend is not None
    config = tenant.backend.config
    assert (config.kind, tenant.backend.tenants) == (BackendKind.MIMIR, ("a",))
    assert config.basic_auth is not None
    assert config.basic_auth.password is not None
    assert config.basic_auth.password.reveal() == "s3cr3t"
    assert config.tls_config.ca_file == str(tmp_path / "ca.pem")
    assert "s3cr3t" not in effective_yaml(loaded.config)
    assert "kind: mimir" in effective_yaml(loaded.config)


def test_tenants_of_one_backend_know_of_each_other(tmp_path: Path) -> None:
    loaded = read(tmp_path, TWO.format(kind="mimir", more=""))
    assert [t.backend and t.backend.tenants for t in loaded.config.tenants] == [("a", "b")] * 2


@pytest.mark.parametrize(
    ("kind", "more", "why"),
    [
        ("prometheus", "", "prometheus does not keep tenants apart"),
        ("thanos", "", "give remote_write_url"),
        ("mimir", ", tenant_map: {a: x, b: x}", "would be one tenant there"),
    ],
)
def test_tenants_that_would_see_each_other_are_refused_with_their_place(
    tmp_path: Path, kind: str, more: str, why: str
) -> None:
    problems = refused(tmp_path, TWO.format(kind=kind, more=more))
    assert problems
    assert all(why in problem and problem.startswith("3:") for problem in problems)


def test_a_fault_is_told_where_it_stands(tmp_path: Path) -> None:
    text = (
        "tenant: a\nbackend:\n  kind: victoriametrics_cluster\n  url: ftp://x\n  max_in_fligt: 1\n"
    )
    first, second = refused(tmp_path, text)
    assert first == '4:8: "ftp://x" is no http or https URL'
    assert 'did you mean "max_in_flight"' in second
    (problem,) = refused(tmp_path, text.replace("ftp", "http").replace("fligt", "flight"))
    assert "knows tenants by number: give one for" in problem


def test_what_is_legal_and_surely_not_meant_is_a_warning(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        "tenant: a\nevaluation_interval: 5s\n"
        "groups: [{name: g, rules: [{record: r, expr: up}]}]\n"
        "backend: { kind: prometheus, url: 'http://p:9090' }\n",
    )
    first, second = warnings(loaded)
    assert "results of recording rules stay here" in first + second
    assert "a query may take 10s, longer than evaluation_interval" in first + second
