"""Uploaded rules are in force at once, stay over restarts, and stand beside the configured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tocsin.app.rule_uploads import RuleUploads
from tocsin.config_loader.uploaded_rules import Change, UploadedFile, UploadedRules
from tocsin.model.errors import ConfigError, InvalidInput
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.config import RuleFile, RuleGroup, RuleSettings
from tocsin.rule_engine.schedule import TenantRules

A = TenantId("a")
CONFIGURED = TenantRules({"own.yml": RuleFile(groups=[RuleGroup(name="own")])}, RuleSettings())


def file(name: str, alert: str = "Down") -> UploadedFile:
    rules = f"[{{alert: {alert}, expr: up == 0}}]"
    return UploadedFile(name, f"groups: [{{name: g, rules: {rules}}}]\n")


class InForce:
    """What the rule stage was told last."""

    def __init__(self) -> None:
        self.rules: dict[TenantId, TenantRules] = {}

    async def __call__(self, tenant: TenantId, rules: TenantRules) -> None:
        await asyncio.sleep(0)
        self.rules[tenant] = rules

    def alerts(self) -> dict[str, list[str]]:
        return {
            name: [rule.alert for group in each.groups for rule in group.rules]
            for name, each in self.rules[A].files.items()
        }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "rules"


async def started(folder: Path) -> tuple[RuleUploads, InForce]:
    force = InForce()
    uploads = RuleUploads(UploadedRules(folder), force)
    await uploads.put_in_force(A, CONFIGURED)
    return uploads, force


async def test_an_upload_is_in_force_beside_the_configured_rules(folder: Path) -> None:
    uploads, force = await started(folder)
    assert await uploads.put(A, file("team")) is Change.CREATED
    assert force.alerts() == {"own.yml": [], "rules.d/team": ["Down"]}
    assert await uploads.put(A, file("team", "Up")) is Change.REPLACED
    assert force.alerts()["rules.d/team"] == ["Up"]
    assert await uploads.delete(A, "team") is Change.DELETED
    assert await uploads.delete(A, "team") is Change.ABSENT
    assert force.rules[A] == CONFIGURED


async def test_an_upload_is_there_after_a_restart_and_after_a_reload(folder: Path) -> None:
    uploads, _ = await started(folder)
    await uploads.put(A, file("team"))
    again, force = await started(folder)
    assert force.alerts()["rules.d/team"] == ["Down"]
    await again.put_in_force(A, TenantRules({}))
    assert force.alerts() == {"rules.d/team": ["Down"]}


async def test_a_faulty_upload_changes_nothing(folder: Path) -> None:
    uploads, force = await started(folder)
    with pytest.raises(ConfigError):
        await uploads.put(A, UploadedFile("team", "groups: [{name: ''}]"))
    assert await uploads.all(A) == {}
    assert force.rules[A] == CONFIGURED


async def test_a_file_somebody_broke_by_hand_is_left_out(folder: Path) -> None:
    uploads, _ = await started(folder)
    await uploads.put(A, file("good"))
    await uploads.put(A, file("bad"))
    (folder / "a" / "bad.yaml").write_text("groups: {")
    _, force = await started(folder)
    assert force.alerts() == {"own.yml": [], "rules.d/good": ["Down"]}


async def test_a_folder_that_cannot_be_read_leaves_the_configured_rules(folder: Path) -> None:
    (folder / "a" / "x.yaml").mkdir(parents=True)
    _, force = await started(folder)
    assert force.rules[A] == CONFIGURED


async def test_only_what_one_expects_is_replaced(folder: Path) -> None:
    uploads, _ = await started(folder)
    first = file("team")
    assert await uploads.put(A, first, instead_of="") is Change.CREATED
    assert await uploads.put(A, file("team", "Up"), instead_of="") is Change.CONFLICT
    assert await uploads.delete(A, "team", instead_of="0") is Change.CONFLICT
    assert await uploads.get(A, "team") == first
    assert await uploads.delete(A, "team", instead_of=first.sha256) is Change.DELETED


async def test_a_name_of_the_configuration_is_taken(folder: Path) -> None:
    uploads, force = await started(folder)
    await uploads.put_in_force(A, TenantRules({"rules.d/team": RuleFile()}))
    with pytest.raises(InvalidInput, match="configuration is called team"):
        await uploads.put(A, file("team"))
    assert force.alerts() == {"rules.d/team": []}


async def test_a_tenant_that_is_gone_uploads_nothing(folder: Path) -> None:
    uploads, _ = await started(folder)
    await uploads.forget(A)
    with pytest.raises(InvalidInput, match="not served any more"):
        await uploads.put(A, file("team"))
