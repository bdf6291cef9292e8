"""Copies of a directory as a crash would leave it: one before each change a piece of work makes.

Renaming, deleting, linking, truncating and creating files are seen through Python's audit
hooks, so that the code under test is the code that runs. A hook cannot be taken out again; it
does nothing outside `crash_points`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHANGES = frozenset(("os.rename", "os.remove", "os.link", "os.truncate", "os.mkdir"))
_watchers: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watcher in tuple(_watchers):
        watcher(event, arguments)


sys.addaudithook(_hook)


@contextmanager
def crash_points(root: Path, copies: Path) -> Iterator[list[Path]]:
    """Give a list that grows by a copy of `root` before each change to a file below it."""
    found: list[Path] = []
    inside = False

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal inside
        if inside or not _changes(event, arguments, root):
            return
        inside = True
        try:
            copy = copies / f"{len(found):03d}-{event}"
            shutil.copytree(root, copy, ignore=shutil.ignore_patterns("lock"))
            found.append(copy)
        finally:
            inside = False

    _watchers.append(watch)
    try:
        yield found
    finally:
        _watchers.remove(watch)


def _changes(event: str, arguments: tuple[Any, ...], root: Path) -> bool:
    if event == "open":
        path, _, flags = arguments
        return bool(flags & os.O_CREAT) and _below(path, root)
    return event in _CHANGES and _below(arguments[0], root)


def _below(path: object, root: Path) -> bool:
    return isinstance(path, str | os.PathLike) and Path(os.fspath(path)).is_relative_to(root)
