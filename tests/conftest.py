"""Fixtures that every floor shares."""

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_leftover_loop() -> None:
    """Set no loop: asked for the current one, Python 3.11 makes one that nobody closes."""
    asyncio.set_event_loop(None)
