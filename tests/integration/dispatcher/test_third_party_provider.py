"""A package that announces a provider is found without a line of ours changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tocsin.notification_dispatcher.registry import providers

MODULE = '''
"""A provider of a third party: one file, ending in SPEC."""

from dataclasses import dataclass

from tocsin.model.notification import Answer, HttpAnswer, Notification
from tocsin.notification_dispatcher.config import IntegrationConfig
from tocsin.notification_dispatcher.provider import Context, Provider, ProviderSpec, Wire


class PagerConfig(IntegrationConfig, frozen=True, kw_only=True):
    """One entry of `pager_configs`."""

    number: str = ""


@dataclass(frozen=True)
class Pager(Provider):
    """Rings."""

    config: PagerConfig

    async def send(self, notification: Notification, context: Context) -> Answer:
        return HttpAnswer(200)


SPEC = ProviderSpec(
    "pager_configs",
    PagerConfig,
    lambda config, wire: Pager(config),
    merge=lambda config, defaults: config,
    endpoint=lambda config: config.number,
)
NOTHING = 1
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    def put(module: str, target: str) -> None:
        (tmp_path / f"{module}.py").write_text(MODULE)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tocsin.providers]\npager = {module}:{target}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def test_its_key_is_a_list_of_every_receiver(install: Callable[[str, str], None]) -> None:
    install("tocsin_pager_good", "SPEC")
    known = providers()
    assert "pager_configs" in known.receiver_type().__struct_fields__
    (spec,) = [spec for spec in known.specs if spec.key == "pager_configs"]
    assert spec.name == "pager"
    assert spec.check(spec.config()) == ()


def test_an_entry_point_that_is_no_provider_is_refused(install: Callable[[str, str], None]) -> None:
    install("tocsin_pager_bad", "NOTHING")
    with pytest.raises(TypeError, match=r"tocsin_pager_bad:NOTHING of tocsin\.providers"):
        providers()
