"""`tocsin init` writes a configuration the loader takes, and tokens only their owner reads."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tocsin.cli.main import main
from tocsin.config_loader.load import load
from tocsin.security.permissions import Role
from tocsin.security.tokens import digest, well_formed


def init(folder: Path, *flags: str) -> Result:
    return CliRunner().invoke(main, ["init", f"--dir={folder}", *flags])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_configuration_is_valid_and_its_tokens_fit(tmp_path: Path) -> None:
    got = init(tmp_path, "--port=9200")
    assert got.exit_code == 0
    assert f"wrote {tmp_path / 'tocsin.yaml'}" in got.stderr
    loaded = load(tmp_path / "tocsin.yaml")
    assert loaded.warnings == ()
    assert [tenant.id for tenant in loaded.config.tenants] == ["tenant_a", "tenant_b"]
    assert loaded.config.server.listen == ["127.0.0.1:9200"]
    for tenant in loaded.config.tenants:
        token = (tmp_path / "tokens" / f"{tenant.id}.token").read_text().strip()
        assert well_formed(token)
        assert tenant.tokens[0].sha256 == digest(token)
    (operator,) = loaded.config.server.tokens
    assert Role(operator.role) is Role.PLATFORM_ADMIN
    assert operator.sha256 == digest((tmp_path / "tokens/operator.token").read_text().strip())


def test_validation_has_a_receiver_of_its_own_near_the_port(tmp_path: Path) -> None:
    init(tmp_path, "--port=9200", "--tenant=acme")
    (tenant,) = load(tmp_path / "tocsin.yaml").config.tenants
    receiver = tenant.alertmanager.receivers[1]
    assert receiver.name == "tocsin-validate"
    assert "http://127.0.0.1:9204/acme" in (tmp_path / "tocsin.yaml").read_text()


def test_tokens_are_for_their_owner_alone(tmp_path: Path) -> None:
    init(tmp_path)
    assert mode(tmp_path / "tokens") == 0o700
    names = sorted(path.name for path in (tmp_path / "tokens").iterdir())
    assert names == ["operator.token", "tenant_a.token", "tenant_b.token"]
    assert {mode(path) for path in (tmp_path / "tokens").iterdir()} == {0o600}


def test_a_token_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    old = tmp_path / "tokens" / "operator.token"
    old.parent.mkdir()
    old.write_text("old")
    old.chmod(0o644)
    init(tmp_path)
    assert mode(old) == 0o600
    assert old.read_text() != "old"


def test_no_token_is_in_the_configuration_or_said(tmp_path: Path) -> None:
    got = init(tmp_path)
    written = (tmp_path / "tocsin.yaml").read_text()
    for path in (tmp_path / "tokens").iterdir():
        assert path.read_text().strip() not in written + got.output


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    init(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    got = init(tmp_path, "--tenant=other")
    assert (got.exit_code, got.stderr) == (0, f"kept {tmp_path / 'tocsin.yaml'}\n")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_schema_for_editors_lies_beside_it(tmp_path: Path) -> None:
    init(tmp_path)
    schema = json.loads((tmp_path / "tocsin.schema.json").read_text())
    printed = CliRunner().invoke(main, ["config", "schema"])
    assert printed.exit_code == 0
    assert json.loads(printed.output) == schema
    assert "2020-12" in schema["$schema"]


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("NO", "tenant id 'NO' is not valid"),
        ("../x", "tenant id '../x' is not valid"),
        ("operator", "is whose token runs the platform"),
    ],
)
def test_a_tenant_that_cannot_be_is_refused_and_nothing_written(
    tmp_path: Path, tenant: str, message: str
) -> None:
    got = init(tmp_path, f"--tenant={tenant}")
    assert got.exit_code == 2
    assert message in got.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tenant", ["123", "null", "true", "1e3", "0x1f"])
def test_a_tenant_whose_name_yaml_takes_for_something_else_is_a_tenant(
    tmp_path: Path, tenant: str
) -> None:
    init(tmp_path, f"--tenant={tenant}")
    assert [t.id for t in load(tmp_path / "tocsin.yaml").config.tenants] == [tenant]


def test_a_tenant_given_twice_is_one_tenant(tmp_path: Path) -> None:
    init(tmp_path, "--tenant=acme", "--tenant=acme")
    (tenant,) = load(tmp_path / "tocsin.yaml").config.tenants
    token = (tmp_path / "tokens/acme.token").read_text().strip()
    assert tenant.tokens[0].sha256 == digest(token)


def test_a_new_token_is_shown_once_and_its_line_fits_the_configuration() -> None:
    got = CliRunner().invoke(main, ["token", "new", "--name=ci", "--role=writer"])
    assert got.exit_code == 0
    plain = got.stderr.removeprefix("token: ").strip()
    assert well_formed(plain)
    assert yaml.safe_load(got.stdout) == [{"name": "ci", "role": "writer", "sha256": digest(plain)}]


def test_a_new_token_goes_to_a_file_only_its_owner_reads(tmp_path: Path) -> None:
    out = tmp_path / "t"
    got = CliRunner().invoke(main, ["token", "new", f"--out={out}"])
    assert got.stderr == ""
    assert mode(out) == 0o600
    assert digest(out.read_text().strip()) in got.stdout


@pytest.mark.parametrize("role", ["nobody", "owner", "king"])
def test_a_token_stands_for_no_role_it_cannot_have(role: str) -> None:
    assert CliRunner().invoke(main, ["token", "new", f"--role={role}"]).exit_code == 2
