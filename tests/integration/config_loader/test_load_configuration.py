"""A configuration is read with everything it names."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tocsin.alert_manager.matcher_syntax import MatcherMode
from tocsin.config_loader.load import load, load_alertmanager
from tocsin.config_loader.loaded import Loaded, TenantSettings
from tocsin.config_loader.receivers import Dialect
from tocsin.config_loader.report import Refused
from tocsin.config_loader.server import Auth
from tocsin.model.errors import ConfigError
from tocsin.model.tenant import TenantId
from tocsin.security.permissions import Role

EXAMPLES = Path(__file__).parents[3] / "examples"
MINIMAL = "tenant: a\nalertmanager: {route: {receiver: x}, receivers: [{name: x}]}\n"
RULES = "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n"


def write(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    path = folder / "tocsin.yaml"
    path.write_text(text)
    return path


def only(loaded: Loaded) -> TenantSettings:
    (tenant,) = loaded.config.tenants
    return tenant


def test_the_single_tenant_example_works_alone_in_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "tenant_config.yaml"
    shutil.copy(EXAMPLES / "tenant_config.yaml", path)
    loaded = load(path, environ={})
    tenant = only(loaded)
    assert loaded.warnings == ()
    assert loaded.files == (path,)
    assert (tenant.id, tenant.name) == ("spotify_tenant_1", "spotify_tenant_1")
    assert tenant.metrics.system_metrics.enabled
    assert tenant.metrics.system_metrics.interval == timedelta(seconds=5)
    assert [group.file for group in tenant.rules] == ["tenant_config.yaml", *["pack:system"] * 3]
    assert tenant.packs["system"]["disk_free_ratio"].number == 0.1
    assert tenant.external_labels == {"environment": "example"}
    assert loaded.config.server.auth is Auth.NONE
    assert loaded.config.storage.path == str(tmp_path / "data")
    assert [receiver.name for receiver in tenant.alertmanager.receivers] == ["team"]
    assert path.read_text().startswith("# yaml-language-server: $schema=tocsin.schema.json\n")


def test_the_commented_receivers_of_the_example_are_right(tmp_path: Path) -> None:
    text = (EXAMPLES / "tenant_config.yaml").read_text()
    head, _, tail = text.partition("    - name: team\n")
    (tmp_path / "slack.url").write_text("https://hooks.slack.com/services/x\n")
    (tmp_path / "slack.url").chmod(0o600)
    path = write(tmp_path, f"{head}    - name: team\n{tail.replace('      # ', '      ')}")
    (team,) = only(load(path, environ={})).alertmanager.receivers
    assert sorted(way.name for way in team.integrations) == ["email[0]", "slack[0]", "webhook[0]"]


def test_the_example_of_two_tenants_reads_its_files() -> None:
    loaded = load(EXAMPLES / "tocsin.yaml", environ={"TOCSIN_PORT": "1234"})
    first, second = loaded.config.tenants
    assert loaded.config.server.external_url == "http://127.0.0.1:1234"
    assert [f.relative_to(EXAMPLES).as_posix() for f in loaded.files] == [
        "tocsin.yaml",
        "rules/node.yml",
        "alertmanager.yml",
        "templates/subject.tmpl",
    ]
    assert [(group.file, group.name) for group in first.rules] == [("rules/node.yml", "node")]
    assert [t.text.strip()[:9] for t in first.alertmanager.templates] == ["{{ define"]
    assert [receiver.name for receiver in first.alertmanager.receivers] == ["operations", "pager"]
    assert [token.role for token in second.tokens] == [Role.TENANT_ADMIN]
    assert second.external_labels == {"environment": "production"}


def test_a_tenant_without_routing_notifies_nobody_and_the_loader_says_so(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "tenant: a\n"), environ={})
    assert [str(w).replace(str(tmp_path), "") for w in loaded.warnings] == [
        "/tocsin.yaml:1:1: no alertmanager section: alerts are kept and shown, nobody is notified"
    ]
    (receiver,) = only(loaded).alertmanager.receivers
    assert receiver.integrations == ()


def test_variables_reach_values_but_neither_rules_nor_templates(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
tenant: ${NAME}
groups:
  - name: g
    rules:
      - alert: A
        expr: up{job="${NAME}"} == 0
        annotations: {summary: "${NAME} costs $$ {{ $labels.x }}"}
alertmanager:
  route: {receiver: x}
  receivers:
    - name: x
      webhook_configs: [{url: "http://${NAME}/"}]
      slack_configs: [{api_url: "http://x/", channel: "#x", text: "${NAME} {{ $x := 1 }}"}]
""",
    )
    tenant = only(load(path, environ={"NAME": "acme"}))
    (rule,) = tenant.rules[0].group.rules
    assert tenant.id == "acme"
    assert rule.expr == 'up{job="${NAME}"} == 0'
    assert rule.annotations == {"summary": "${NAME} costs $$ {{ $labels.x }}"}
    ways = {way.name: way.config for way in tenant.alertmanager.receivers[0].integrations}
    assert ways["webhook[0]"].url.reveal() == "http://acme/"  # type: ignore[attr-defined]  # of webhooks
    assert ways["slack[0]"].text == "${NAME} {{ $x := 1 }}"  # type: ignore[attr-defined]  # of slack


def test_other_files_are_read_unchanged(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "tenant: a\nalertmanager_file: am.yml\nrule_files: [rules.yml]\n",
        am__yml="route: {receiver: x}\nreceivers: [{name: x, webhook_configs: "
        "[{url: 'http://${HOST}/$$'}]}]\n",
        rules__yml='groups: [{name: "${G}", rules: [{alert: A, expr: up == 0}]}]\n',
    )
    tenant = only(load(path, environ={}))
    (way,) = tenant.alertmanager.receivers[0].integrations
    assert way.config.url.reveal() == "http://${HOST}/$$"  # type: ignore[attr-defined]  # of webhooks
    assert tenant.rules[0].name == "${G}"


def test_rule_files_keep_their_names_when_the_folder_moves(tmp_path: Path) -> None:
    names = []
    for place in ("one", "two"):
        folder = tmp_path / place
        (folder / "rules").mkdir(parents=True)
        (folder / "rules" / "a.yml").write_text(RULES)
        path = write(folder, "tenant: a\nrule_files: [rules/*.yml, rules/a.yml]\n")
        names.append([group.file for group in only(load(path, environ={})).rules])
    assert names == [["rules/a.yml"], ["rules/a.yml"]]


def test_a_pattern_without_a_match_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "rule_files: ['rules/*.yml']\n")
    loaded = load(path, environ={})
    assert [w.message for w in loaded.warnings] == ['"rules/*.yml" matches no file']


def test_a_rule_that_stands_there_twice_is_a_warning(tmp_path: Path) -> None:
    rule = "{alert: A, expr: up == 0}"
    text = MINIMAL + f"groups: [{{name: g, rules: [{rule}, {rule}]}}]\n"
    warnings = load(write(tmp_path, text), environ={}).warnings
    assert len(warnings) == 2
    assert "duplicate rule" in warnings[0].message


def test_paths_in_an_alertmanager_file_start_at_that_file(tmp_path: Path) -> None:
    folder = tmp_path / "am"
    folder.mkdir()
    (folder / "url").write_text("http://secret/\n")
    (folder / "t.tmpl").write_text('{{ define "x" }}x{{ end }}')
    (folder / "am.yml").write_text(
        "route: {receiver: x}\ntemplates: ['*.tmpl', none.tmpl, 'no-*']\n"
        "receivers: [{name: x, webhook_configs: [{url_file: url, "
        "http_config: {tls_config: {ca_file: ca.pem}}}]}]\ntracing: {}\n"
    )
    loaded = load(write(tmp_path, "tenant: a\nalertmanager_file: am/am.yml\n"), environ={})
    settings = only(loaded).alertmanager
    config = settings.receivers[0].integrations[0].config
    assert config.url.reveal() == "http://secret/"  # type: ignore[attr-defined]  # of webhooks
    assert config.http_config.tls_config.ca_file == str(folder / "ca.pem")  # type: ignore[attr-defined]  # of webhooks
    assert [template.file for template in settings.templates] == [str(folder / "t.tmpl")]
    assert [w.message for w in loaded.warnings] == [
        'template "none.tmpl" does not exist',
        'template "no-*" matches no file',
        'secret file "url" can be read by every user (chmod 600)',
        "tracing is accepted and ignored",
    ]


def test_secrets_never_show(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "tenant: a\nalertmanager:\n  route: {receiver: x}\n  receivers:\n"
        "    - name: x\n      webhook_configs: [{url_file: url}]\n",
        url="http://hunter2/",
    )
    assert "hunter2" not in repr(load(path, environ={}))
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, path.read_text() + "zzz: 1\n"), environ={})
    assert "hunter2" not in str(error.value)


def test_the_hash_follows_content_alone(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "rule_files: ['*.yml']\n", rules__yml=RULES)
    first = load(path, environ={})
    path.touch()
    assert load(path, environ={}).hash == first.hash == first.sources.digest()
    (tmp_path / "more.yml").write_text(RULES)
    assert first.sources.digest() != first.hash
    assert load(path, environ={}).hash == first.sources.digest()


def test_the_engine_version_follows_meaning(tmp_path: Path) -> None:
    def version(text: str) -> str:
        return only(load(write(tmp_path, text), environ={})).alertmanager.engine.hash

    first = version(MINIMAL)
    assert version("# a comment\n" + MINIMAL + "evaluation_interval: 5s\n") == first
    assert version(MINIMAL.replace("{receiver: x}", "{receiver: x, group_wait: 1s}")) != first


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'cannot read ".*nowhere.yaml": no such file'):
        load(tmp_path / "nowhere.yaml")


def test_files_that_are_no_text_or_too_large_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(line 2\)"):
        load(path)
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="is too large"):
        load(path)


def test_a_refused_load_tells_what_it_read_so_that_the_mending_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "rule_files: [new.yml]\n", new__yml="groups: [")
    with pytest.raises(Refused) as refused:
        load(path, environ={})
    sources = refused.value.sources
    assert sources.files == (path, tmp_path / "new.yml")
    assert sources.digest() == sources.hash
    (tmp_path / "new.yml").write_text(RULES)
    assert sources.digest() != sources.hash
    with pytest.raises(Refused) as refused:
        load(tmp_path / "nowhere.yaml")
    assert refused.value.sources.files == (tmp_path / "nowhere.yaml",)


def test_a_drop_in_is_one_tenant_without_tokens(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text("route: {receiver: '${X}'}\nreceivers: [{name: '${X}'}]\ninhibit_rules: [~]\n")
    dialect = Dialect(MatcherMode.CLASSIC, timedelta(seconds=3))
    loaded = load_alertmanager(path, tenant=TenantId("default"), dialect=dialect)
    tenant = only(loaded)
    assert (tenant.id, tenant.tokens, tenant.rules) == ("default", (), ())
    assert loaded.config.server.auth is Auth.NONE
    assert not tenant.metrics.system_metrics.enabled
    assert [receiver.name for receiver in tenant.alertmanager.receivers] == ["${X}"]
    source = tenant.alertmanager.engine.source
    assert (source.matcher_mode, source.start_delay) == (dialect.matcher_mode, dialect.start_delay)
    assert loaded.files == (path,)


def test_a_broken_drop_in_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text("route: {}\nreceivers: [\n")
    with pytest.raises(ConfigError, match=r"alertmanager.yml:3:1: not valid YAML"):
        load_alertmanager(path)
    path.write_text("- route\n")
    with pytest.raises(ConfigError, match="expected a mapping, got a list"):
        load_alertmanager(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_alertmanager(tmp_path / "nowhere.yml")
