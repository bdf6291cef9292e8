"""Secrets come from files beside the configuration."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.files import Files
from tocsin.config_loader.secret_files import Revealed, read_secret_files, twins
from tocsin.config_loader.tree import parse
from tocsin.model.secret import Secret


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A user, a password, a certificate."""

    user: str = ""
    user_file: str = ""
    password: Secret | None = None
    password_file: str = ""
    ca: str = ""
    ca_file: str = ""
    number: int = 0
    number_file: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Values of a header, some of them in files."""

    secrets: list[Secret] = []
    files: list[str] = []


class House(msgspec.Struct, frozen=True, kw_only=True):
    """Logins wherever a struct may stand."""

    first: Login = Login()
    many: list[Login] = []
    fixed: tuple[Login, ...] = ()
    named: dict[str, Login] = {}
    maybe: Login | None = None
    headers: dict[str, Header] = {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("user", "me\n"), ("pass", "hunter2\r\n"), ("empty", ""), ("two", "a\n\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def read(text: str, folder: Path, kind: type[msgspec.Struct] = House) -> Revealed[msgspec.Struct]:
    root = parse(text, file="f").root
    assert root is not None
    converted = convert(root, kind)
    assert converted.problems == ()
    assert converted.value is not None
    return read_secret_files(converted.value, root, folder=folder, files=Files())


def test_a_secret_comes_from_its_file_wherever_it_stands(folder: Path) -> None:
    login = "{password_file: pass, user_file: user}"
    done = read(
        f"first: {login}\nmany: [{login}]\nfixed: [{login}]\nnamed: {{x: {login}}}\nmaybe: {login}",
        folder,
    )
    assert done.problems == done.warnings == ()
    wanted = Login(
        user="me",
        user_file=str(folder / "user"),
        password=Secret("hunter2"),
        password_file=str(folder / "pass"),
    )
    assert done.value == House(
        first=wanted, many=[wanted], fixed=(wanted,), named={"x": wanted}, maybe=wanted
    )


def test_only_one_trailing_newline_is_cut(folder: Path) -> None:
    done = read("password_file: two", folder, Login)
    assert done.value.password == Secret("a\n")  # type: ignore[attr-defined]  # a Login


def test_a_value_without_files_stays_the_same_object(folder: Path) -> None:
    value = House(many=[Login(user="x")], named={"a": Login()})
    root = parse("many: [{user: x}]", file="f").root
    assert root is not None
    assert read_secret_files(value, root, folder=folder, files=Files()).value is value


def test_certificates_stay_files_and_their_paths_become_absolute(folder: Path) -> None:
    done = read("{ca_file: ca.pem, number_file: n}", folder, Login)
    assert done.value == Login(ca_file=str(folder / "ca.pem"), number_file=str(folder / "n"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("first: {password: a, password_file: pass}", "f:1:37: give password or password_file"),
        ("first: {password_file: none}", 'f:1:24: cannot read "'),
        ("many: [{}, {password_file: empty}]", 'f:1:28: "'),
    ],
)
def test_faults_are_told_at_the_file_field(text: str, problem: str, folder: Path) -> None:
    done = read(text, folder)
    assert [str(p)[: len(problem)] for p in done.problems] == [problem]


def test_a_secret_that_everybody_may_read_is_a_warning(folder: Path) -> None:
    (folder / "pass").chmod(0o644)
    (folder / "user").chmod(0o644)
    done = read("first: {password_file: pass, user_file: user}", folder)
    assert [str(w) for w in done.warnings] == [
        'f:1:24: secret file "pass" can be read by every user (chmod 600)'
    ]


def test_an_absolute_path_stays(folder: Path) -> None:
    done = read(f"first: {{password_file: {folder / 'pass'}}}", Path("/"))
    assert done.problems == ()


def test_which_fields_have_a_file_twin() -> None:
    assert twins(Login) == {"user": False, "password": True}


def test_a_list_of_secrets_may_come_from_a_list_of_files(folder: Path) -> None:
    done = read("headers: {X: {secrets: [a], files: [pass, user]}, Y: {secrets: [b]}}", folder)
    assert isinstance(done.value, House)
    header = done.value.headers["X"]
    assert [secret.reveal() for secret in header.secrets] == ["a", "hunter2", "me"]
    assert header.files == [str(folder / "pass"), str(folder / "user")]
    assert [secret.reveal() for secret in done.value.headers["Y"].secrets] == ["b"]


def test_a_listed_file_that_is_missing_or_open_to_all_is_told(folder: Path) -> None:
    (folder / "pass").chmod(0o644)
    done = read("headers: {X: {files: [pass, gone]}}", folder)
    [problem], [warning] = done.problems, done.warnings
    assert (problem.line, problem.column) == (1, 29)
    assert "gone" in problem.message
    assert 'secret file "pass" can be read by every user' in warning.message
