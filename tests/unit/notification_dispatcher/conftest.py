"""What the tests of this room share: receivers from plain data, and a tenant that sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from tocsin.config_loader.convert import convert
from tocsin.config_loader.tree import parse
from tocsin.model.errors import ConfigError
from tocsin.notification_dispatcher.config import Defaults
from tocsin.notification_dispatcher.fakes import START
from tocsin.notification_dispatcher.receivers import Receivers
from tocsin.notification_dispatcher.registry import Providers, Receiver, providers
from tocsin.notification_dispatcher.render import template_set

Read = Callable[..., Receiver]


@pytest.fixture
def registry() -> Providers:
    return providers()


@pytest.fixture
def read(registry: Providers) -> Read:
    """Return a receiver named `team` from the lists of a configuration."""

    def make(**lists: Any) -> Receiver:
        written = parse(json.dumps({"name": "team", **lists}), file="receivers.yml")
        assert written.root
        read = convert(written.root, registry.receiver_type())
        if read.problems:
            raise ConfigError(read.problems)
        return cast("Receiver", read.value)

    return make


@pytest.fixture
def receivers(registry: Providers) -> Callable[[Sequence[Receiver]], Receivers]:
    """Return receivers as one tenant's configuration."""

    def make(found: Sequence[Receiver]) -> Receivers:
        templates = template_set(lambda: START + timedelta(minutes=1))
        return Receivers(found, Defaults(), templates, "http://tocsin.test:9093", registry)

    return make
