"""Targets by name: what is found stays until something else is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tocsin.metrics_collector.discovery_config import DnsSdConfig
from tocsin.metrics_collector.fakes import FakeResolver
from tocsin.metrics_collector.sd_dns import DnsDiscovery
from tocsin.model.errors import Unreachable

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Names:
    """Discovery by names between fakes."""

    def __init__(self, *names: str, **keys: Any) -> None:
        self.resolver = FakeResolver()
        config = DnsSdConfig(names=list(names), **{"type": "A", "port": 80, **keys})
        self.found = DnsDiscovery("web", config, self.resolver)

    async def look(self) -> list[str]:
        await self.found.look(T0)
        return [target for group in self.found.groups for target in group.targets]

    def has(self, name: str, *addresses: str) -> None:
        self.resolver.known[name] = addresses


async def test_each_address_of_a_name_is_a_target() -> None:
    names = Names("a", "b")
    names.has("a", "10.0.0.1", "10.0.0.2")
    names.has("b", "10.0.0.3")
    assert await names.look() == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    assert [dict(group.labels) for group in names.found.groups] == [
        {"__meta_dns_name": "a"},
        {"__meta_dns_name": "b"},
    ]
    assert names.resolver.asked == [("a", False), ("b", False)]
    assert names.found.interval == timedelta(seconds=30)
    assert names.found.name == "dns/web/A/a,b:80"


async def test_addresses_of_ipv6_stand_in_brackets() -> None:
    names = Names("a", type="aaaa")
    names.has("a", "fd00::1")
    assert await names.look() == ["[fd00::1]:80"]
    assert names.resolver.asked == [("a", True)]


async def test_a_name_that_is_gone_has_no_targets() -> None:
    names = Names("a")
    names.has("a", "10.0.0.1")
    await names.look()
    names.has("a")
    assert await names.look() == []
    assert names.found.errors == {}


async def test_a_name_nobody_could_be_asked_about_keeps_its_targets() -> None:
    names = Names("a", "b")
    names.has("a", "10.0.0.1")
    names.resolver.known["b"] = Unreachable("cannot look up")
    assert await names.look() == ["10.0.0.1:80"]
    assert names.found.errors == {"b": "cannot look up"}
    names.resolver.known["a"] = Unreachable("cannot look up")
    names.has("b", "10.0.0.2")
    assert await names.look() == ["10.0.0.1:80", "10.0.0.2:80"]
    assert names.found.errors == {"a": "cannot look up"}


async def test_what_has_not_changed_is_the_same_object() -> None:
    names = Names("a")
    names.has("a", "10.0.0.1")
    await names.look()
    groups = names.found.groups
    await names.look()
    assert names.found.groups is groups


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
async def test_names_nobody_knows_have_no_targets(names: Sequence[str]) -> None:
    assert await Names(*names).look() == []
