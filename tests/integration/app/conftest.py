"""What tests that run a whole server give back to the test runner."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Undo the logging that a server sets up: its stream is gone after the test."""
    root, ours = logging.getLogger(), logging.getLogger("tocsin")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
