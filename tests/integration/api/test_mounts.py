"""Each base answers its own dialect and no other, for Grafana probes the other one first."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from asgi import ask

from tocsin.api.http import Door
from tocsin.app.lifecycle import Runtime
from tocsin.config_loader.load import load

CONFIG = """\
tenant: acme
server: { listen: ["127.0.0.1:0"], auth: none }
system_metrics: { enabled: false }
alertmanager:
  route: { receiver: team }
  receivers: [{ name: team }]
"""


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """Undo the logging that a server sets up: its stream is gone after the test."""
    root, ours = logging.getLogger(), logging.getLogger("tocsin")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    file = tmp_path / "tocsin.yaml"
    file.write_text(textwrap.dedent(CONFIG))
    runtime = Runtime(lambda: load(file))
    await runtime.start()
    yield runtime.desk.door
    await runtime.stop()


@pytest.mark.parametrize("mount", ["", "/t/acme"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/status",
        "/api/v2/alerts",
        "/api/v2/silences",
        "/api/v2/receivers",
        "/api/v2/alerts/groups",
        "/prometheus/api/v1/status/buildinfo",
        "/prometheus/api/v1/query?query=1%2B1&time=4",
        "/prometheus/api/v1/rules",
        "/prometheus/api/v1/targets",
        "/prometheus/-/healthy",
        "/api/tocsin/v1/deliveries",
        "/api/tocsin/v1/incidents",
        "/-/healthy",
        "/-/ready",
        "/metrics",
        "/ui",
        "/ui/login",
    ],
)
async def test_what_a_base_serves(door: Door, mount: str, path: str) -> None:
    assert (await ask(door, "GET", mount + path)).status == 200


@pytest.mark.parametrize("mount", ["", "/t/acme"])
@pytest.mark.parametrize(
    "path",
    [
        "/alertmanager/api/v2/status",
        "/mimir/api/v2/status",
        "/prometheus/api/v2/status",
        "/prometheus/api/v1/nosuch",
        "/api/v2",
        "/api/v2/status/",
        "/api/v2x/status",
        "/uix",
        "/nosuch",
        "/t/acme",
        "/t/acme/t/acme/api/v2/status",
    ],
)
async def test_what_a_base_must_not_serve(door: Door, mount: str, path: str) -> None:
    if not (mount == "" and path == "/t/acme"):  # a mount's root leads to the pages
        assert (await ask(door, "GET", mount + path)).status == 404


async def test_where_v1_of_alertmanager_was_is_a_refusal_and_never_prometheus(door: Door) -> None:
    for path in ("/api/v1/query?query=1", "/api/v1/status/buildinfo", "/api/v1/alerts"):
        assert (await ask(door, "GET", path)).status == 410


async def test_a_dialect_speaks_its_own_faults(door: Door) -> None:
    alertmanager = await ask(door, "GET", "/api/v2/nosuch")
    assert alertmanager.json()["code"] == 404
    prometheus = await ask(door, "GET", "/prometheus/nosuch")
    assert prometheus.json()["errorType"] == "not_found"
    ours = await ask(door, "GET", "/api/tocsin/v1/nosuch")
    assert ours.headers["content-type"] == "application/problem+json"
    page = await ask(door, "GET", "/ui/nosuch")
    assert page.headers["content-type"].startswith("text/html")
    service = await ask(door, "GET", "/nosuch")
    assert service.body == b"404 page not found\n"


async def test_the_original_configuration_masks_secrets(door: Door) -> None:
    shown = (await ask(door, "GET", "/api/v2/status")).json()
    assert "receiver: team" in shown["config"]["original"]


@pytest.mark.parametrize(
    ("path", "pages"), [("/", "/ui"), ("/t/acme/", "/t/acme/ui"), ("/t/acme", "/t/acme/ui")]
)
async def test_the_root_leads_to_the_pages(door: Door, path: str, pages: str) -> None:
    got = await ask(door, "GET", path)
    assert (got.status, got.headers["location"]) == (302, pages)
