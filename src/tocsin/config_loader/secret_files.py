"""`x_file` beside `x`: the file's content becomes `x`.

Works on any struct that has both fields, `x` a secret or a string. `x_file` stays: dumps show
it and not `x`. Where a struct has `files` beside a list `secrets`, each file's content becomes
one more of them. A path is relative to the file that names it and absolute afterwards, also
where the file itself is used (`ca_file`). The trailing newline is cut; a secret every user
may read earns a warning.
"""

from __future__ import annotations

import functools
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from tocsin.config_loader.files import Files, Unreadable, world_readable
from tocsin.config_loader.tree import MapNode, Section
from tocsin.model.errors import Problem
from tocsin.model.secret import Secret
from tocsin.model.settings import Finding

T = TypeVar("T")
_TWIN = "_file"
_LISTED = ("secrets", "files")  # of http_headers
_USED_AS_FILES = ("ca", "cert")  # TLS takes certificates by path


@dataclass(frozen=True, slots=True)
class Revealed(Generic[T]):
    """A value whose secrets are in memory; and what went wrong."""

    value: T
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def read_secret_files(value: T, section: Section, *, folder: Path, files: Files) -> Revealed[T]:
    """Read the secret files that `value`, decoded from `section`, names."""
    reader = _Reader(folder, files)
    return Revealed(reader.walk(value, section), tuple(reader.problems), tuple(reader.warnings))


@functools.cache
def twins(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Return the fields of a struct that may come from a file, and whether each is a secret."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {
        name: _is(what, Secret)
        for name, what in kinds.items()
        if name + _TWIN in kinds and name not in _USED_AS_FILES and _is(what, Secret, str)
    }


@functools.cache
def _has_listed(kind: type[msgspec.Struct]) -> bool:
    """Tell whether a struct has a list of secrets that may come from a list of files."""
    kinds = {field.name: field.type for field in msgspec.structs.fields(kind)}
    secrets, files = (typing.get_args(kinds.get(name)) for name in _LISTED)
    return Secret in secrets and str in files


def _is(kind: Any, *wanted: type) -> bool:
    return any(w is kind or w in typing.get_args(kind) for w in wanted)


class _Reader:
    """Walks a value beside the section it was decoded from."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._folder = folder
        self._files = files

    def walk(self, value: Any, section: Section) -> Any:
        """Return `value` with the secrets below it read."""
        if isinstance(value, msgspec.Struct):
            return self._struct(value, section)
        if isinstance(value, dict):
            walked = {key: self.walk(item, section.at(key)) for key, item in value.items()}
            return walked if any(walked[key] is not value[key] for key in value) else value
        if isinstance(value, list | tuple):
            items = [self.walk(item, section.at(i)) for i, item in enumerate(value)]
            same = all(a is b for a, b in zip(items, value, strict=True))
            return value if same else type(value)(items)
        return value

    def _struct(self, value: msgspec.Struct, section: Section) -> Any:
        changed: dict[str, Any] = {}
        for field in msgspec.structs.fields(value):
            before = getattr(value, field.name)
            after = self.walk(before, section.at(field.encode_name))
            if after is not before:
                changed[field.name] = after
            if field.name.endswith(_TWIN) and isinstance(before, str) and before:
                changed[field.name] = str((self._folder / before).absolute())
        for name, secret in twins(type(value)).items():
            text = self._twin(value, name, section)
            if text is not None:
                changed[name] = Secret(text) if secret else text
        if _has_listed(type(value)):
            changed |= self._listed(value, section)
        return msgspec.structs.replace(value, **changed) if changed else value

    def _twin(self, value: msgspec.Struct, name: str, section: Section) -> str | None:
        """Return what the file twin of a field holds, None when there is none or it failed."""
        path, here = getattr(value, name + _TWIN), section.at(name + _TWIN)
        if not path:
            return None
        if isinstance(section.node, MapNode) and name in section.node.entries:
            self._note(self.problems, here, f"give {name} or {name}{_TWIN}, not both")
            return None
        if twins(type(value))[name]:
            return self._secret(path, here)
        return self._text(self._folder / path, here)

    def _listed(self, value: msgspec.Struct, section: Section) -> dict[str, Any]:
        """Return secrets with those of files, and the files by their absolute paths."""
        secrets, files = (getattr(value, name) for name in _LISTED)
        texts = [
            self._secret(name, section.at("files").at(index)) for index, name in enumerate(files)
        ]
        found = [Secret(text) for text in texts if text is not None]
        paths = [str((self._folder / name).absolute()) for name in files]
        return {"secrets": [*secrets, *found], "files": paths} if files else {}

    def _secret(self, name: str, here: Section) -> str | None:
        """Return the content of a file that holds a secret, None when it failed."""
        text = self._text(self._folder / name, here)
        if text and world_readable(self._folder / name):
            message = f'secret file "{name}" can be read by every user (chmod 600)'
            self._note(self.warnings, here, message)
        return text

    def _text(self, path: Path, here: Section) -> str | None:
        try:
            text = self._files.text(path)
        except Unreadable as error:
            self._note(self.problems, here, str(error))
            return None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            self._note(self.problems, here, f'"{path}" is empty')
        return text or None

    def _note(self, notes: list[Problem], here: Section, message: str) -> None:
        notes.append(here.problem(Finding((), message)))
