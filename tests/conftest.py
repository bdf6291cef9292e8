"""Fixtures that every floor shares."""

import asyncio
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_leftover_loop() -> None:
    """Set no loop: asked for the current one, Python 3.11 makes one that nobody closes."""
    asyncio.set_event_loop(None)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo what a command run in this process does to logging."""
    root, ours = logging.getLogger(), logging.getLogger("tocsin")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
