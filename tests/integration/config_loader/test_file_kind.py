"""An alertmanager.yml is told from our own file by the keys at its top."""

from pathlib import Path

import pytest

from tocsin.config_loader.kind import is_alertmanager_file


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("route: {receiver: x}\nreceivers: []\n", True),
        ("tenant: a\nroute: {}\n", False),
        ("tenants: []\n", False),
        ("alertmanager: {route: {}}\n", False),
        ("receivers: []\n", False),
        ("[route]", False),
        ("route: [", False),
        ("", False),
    ],
)
def test_what_counts_as_an_alertmanager_file(
    tmp_path: Path,
    text: str,
    found: bool,  # noqa: FBT001  # a table
) -> None:
    path = tmp_path / "x.yml"
    path.write_text(text)
    assert is_alertmanager_file(path) is found


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_bytes(b"route: \xff")
    assert not is_alertmanager_file(tmp_path / "x.yml")
    assert not is_alertmanager_file(tmp_path / "nowhere.yml")
