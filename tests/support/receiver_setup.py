"""Receivers from plain data, and a certificate: what tests of the dispatcher build on."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
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

EXTERNAL_URL = "http://tocsin.test:9093"


def read_receiver(known: Providers | None = None, **lists: Any) -> Receiver:
    """Return a receiver named `team` with the given `…_configs` lists. Raises ConfigError."""
    known = known or providers()
    written = parse(json.dumps({"name": "team", **lists}), file="receivers.yml")
    assert written.root
    read = convert(written.root, known.receiver_type())
    if read.problems:
        raise ConfigError(read.problems)
    return cast("Receiver", read.value)


def setup_of(receivers: Sequence[Receiver], known: Providers | None = None) -> Receivers:
    """Return receivers as one tenant's configuration, with the default templates."""
    templates = template_set(lambda: START)
    return Receivers(receivers, Defaults(), templates, EXTERNAL_URL, known or providers())


@functools.cache
def certificate() -> tuple[Path, Path]:
    """Return a self-signed certificate for `tocsin.test`, and its key; skip without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program is not installed")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-test-tls-"))
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=tocsin.test", "-addext", "subjectAltName=DNS:tocsin.test"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = [openssl, "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
