"""Rule files that were uploaded: a folder for each tenant, a file for each namespace.

A file is there as a whole or not at all, also after a power cut. Names of files are quoted, so
that a namespace may hold any character. Everything blocks on disk.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote

from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rules import read_rule_text
from tocsin.config_loader.tree import MAX_BYTES
from tocsin.model.errors import ConfigError, InvalidInput, NotDurable, Problem
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.config import RuleFile

MOST_NAMESPACES = 1_000  # of a tenant
_LONGEST_NAME = 200  # characters once quoted; file systems take 255
_SUFFIX = ".yaml"


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One namespace: its text as it was uploaded, and what tells it from another."""

    namespace: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def rules(self) -> RuleFile:
        """Return the rules. Raises ConfigError with every fault, each with its place."""
        if len(self.text.encode()) > MAX_BYTES:
            message = f"the file is too large: over {MAX_BYTES} bytes"
            raise ConfigError((Problem(message, self.namespace),))
        report = Report()
        rules = read_rule_text(self.text, file=self.namespace, report=report)
        if rules is None or report.problems:
            raise ConfigError(in_file_order(report.problems))
        return rules


class Change(StrEnum):
    """What became of an upload, or of taking one back."""

    CREATED = "created"
    REPLACED = "replaced"
    DELETED = "deleted"
    ABSENT = "absent"  # there was nothing to take back
    CONFLICT = "conflict"  # another file is there than the caller thinks


class UploadedRules:
    """The uploaded rule files of all tenants, below one folder."""

    def __init__(self, folder: Path) -> None:
        """Keep files below `folder`, which need not exist."""
        self._folder = folder

    def all(self, tenant: TenantId) -> dict[str, UploadedFile]:
        """Return every file of a tenant by namespace, sorted. Raises OSError."""
        folder = self._folder / tenant
        paths = sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
        found = {unquote(path.name.removesuffix(_SUFFIX)): path for path in paths}
        return {name: UploadedFile(name, _text(found[name])) for name in sorted(found)}

    def get(self, tenant: TenantId, namespace: str) -> UploadedFile | None:
        """Return one file, None when there is none. Raises OSError."""
        path = self._path(tenant, namespace)
        return UploadedFile(namespace, _text(path)) if path.is_file() else None

    def put(self, tenant: TenantId, file: UploadedFile) -> None:
        """Keep a file, in place of the one of its namespace.

        Raises InvalidInput when there is no room for another namespace, NotDurable when it
        could not be written: what was there is there still.
        """
        path = self._path(tenant, file.namespace)
        if not path.exists() and len(list(path.parent.glob(f"*{_SUFFIX}"))) >= MOST_NAMESPACES:
            raise InvalidInput(f"a tenant has at most {MOST_NAMESPACES} namespaces")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(path, file.text.encode())
        except OSError as error:
            raise NotDurable(f"rules could not be written: {error}") from error

    def delete(self, tenant: TenantId, namespace: str) -> bool:
        """Forget a file; False when there was none. Raises NotDurable."""
        path = self._path(tenant, namespace)
        try:
            path.unlink()
            _sync_folder(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NotDurable(f"rules could not be deleted: {error}") from error
        return True

    def _path(self, tenant: TenantId, namespace: str) -> Path:
        return self._folder / tenant / f"{file_name(namespace)}{_SUFFIX}"


def file_name(namespace: str) -> str:
    """Return what a namespace is called on disk. Raises InvalidInput when it cannot be one.

    >>> file_name("team a/db")
    'team%20a%2Fdb'
    """
    name = quote(namespace, safe="").replace(".", "%2E")
    if not namespace.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise InvalidInput(f"a namespace has 1 to {_LONGEST_NAME} printable characters")
    return name


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then swap, each made durable."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except OSError:
        with suppress(OSError):
            Path(beside).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
