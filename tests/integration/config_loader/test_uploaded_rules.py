"""Uploaded rule files on disk: whole or not at all, one folder a tenant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config_loader import uploaded_rules
from tocsin.config_loader.uploaded_rules import UploadedFile, UploadedRules, file_name
from tocsin.model.errors import ConfigError, InvalidInput, NotDurable
from tocsin.model.tenant import TenantId

A, B = TenantId("a"), TenantId("b")
GOOD = "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]\n"


@pytest.fixture
def kept(tmp_path: Path) -> UploadedRules:
    return UploadedRules(tmp_path / "rules")


def test_what_is_put_is_there_until_it_is_deleted(kept: UploadedRules) -> None:
    file = UploadedFile("team", GOOD)
    assert kept.all(A) == {}
    assert kept.get(A, "team") is None
    kept.put(A, file)
    assert kept.get(A, "team") == file
    assert kept.all(A) == {"team": file}
    kept.put(A, UploadedFile("team", ""))
    assert kept.all(A) == {"team": UploadedFile("team", "")}
    assert kept.delete(A, "team")
    assert not kept.delete(A, "team")
    assert kept.all(A) == {}


def test_each_tenant_has_its_own(kept: UploadedRules) -> None:
    kept.put(A, UploadedFile("team", GOOD))
    assert kept.all(B) == {}
    assert kept.get(B, "team") is None
    assert not kept.delete(B, "team")


@pytest.mark.parametrize(
    "name", ["a", "a/b", "../b/x", ".", "..", "ä ö", "%2e", "-rf", "*", "x.yaml"]
)
def test_a_namespace_may_hold_anything_and_stays_in_its_folder(
    kept: UploadedRules, tmp_path: Path, name: str
) -> None:
    kept.put(A, UploadedFile(name, GOOD))
    assert list(kept.all(A)) == [name]
    (path,) = tmp_path.rglob("*.yaml")
    assert path.parent == tmp_path / "rules" / "a"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "ä" * 40])
def test_what_cannot_be_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 200 printable characters"):
        file_name(name)


def test_there_is_room_for_so_many_namespaces(
    kept: UploadedRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploaded_rules, "MOST_NAMESPACES", 2)
    for name in ("one", "two"):
        kept.put(A, UploadedFile(name, GOOD))
    with pytest.raises(InvalidInput, match="at most 2 namespaces"):
        kept.put(A, UploadedFile("three", GOOD))
    kept.put(A, UploadedFile("two", ""))


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    kept: UploadedRules, tmp_path: Path
) -> None:
    kept.put(A, UploadedFile("team", GOOD))
    folder = tmp_path / "rules" / "b"
    folder.write_text("not a folder")
    with pytest.raises(NotDurable, match="could not be written"):
        kept.put(B, UploadedFile("team", GOOD))
    blocked = tmp_path / "rules" / "a" / "dir.yaml"
    (blocked / "full").mkdir(parents=True)
    with pytest.raises(NotDurable):
        kept.put(A, UploadedFile("dir", GOOD))
    with pytest.raises(NotDurable, match="could not be deleted"):
        kept.delete(A, "dir")
    assert kept.get(A, "team") == UploadedFile("team", GOOD)
    left = [path.name for path in (tmp_path / "rules" / "a").iterdir()]
    assert sorted(left) == ["dir.yaml", "team.yaml"]


def test_rules_are_told_apart_by_their_text() -> None:
    assert UploadedFile("a", GOOD).sha256 == UploadedFile("b", GOOD).sha256
    assert UploadedFile("a", GOOD).sha256 != UploadedFile("a", GOOD + " ").sha256


def test_a_file_gives_its_rules() -> None:
    assert UploadedFile("team", GOOD).rules().groups[0].name == "g"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (GOOD.replace("up == 0", "up =="), "team:1:"),
        ("groups: [\n", "team:2:"),
        ("[]\n", "team:1:"),
        ("#" * (1 << 20) + "\n", "team: the file is too large"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        UploadedFile("team", text).rules()
    assert str(caught.value.problems[0]).startswith(place)
