"""Where the metric store of a data directory lies, and opening it from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from tocsin.cli.home import DEFAULT_HOME
from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.rfc3339 import parse_time
from tocsin.model.tenant import TenantId
from tocsin.timeseries.block_codec import BadBlock
from tocsin.timeseries.still import StillStore
from tocsin.timeseries.store import BEGINNING_MS, END_MS, MetricStore, tenants_on_disk

_METRICS = "metrics"


def data_dir(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data-dir`."""
    return click.option(
        "--data-dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_HOME,
        show_default=True,
        help="Folder of `up`, or the data directory of `serve`.",
    )(command)


def tenant_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--tenant`."""
    return click.option("--tenant", default="", help="Look at this tenant alone.")(command)


def metrics_folder(folder: Path) -> Path:
    """Return the folder of the metric store. Raises ClickException when there is none."""
    for found in (folder / _METRICS, folder / "data" / _METRICS):
        if found.is_dir():
            return found
    raise click.ClickException(f"there is no metric store in {folder}: name another --data-dir")


def chosen(root: Path, tenant: str) -> Sequence[TenantId]:
    """Return the tenant named, or all there are. Raises ClickException."""
    found = tenants_on_disk(root)
    if not tenant:
        return found
    if tenant not in found:
        known = ", ".join(found) or "none"
        raise click.ClickException(f'no tenant "{tenant}" in {root} (there are: {known})')
    return [TenantId(tenant)]


def only(root: Path, tenant: str) -> TenantId:
    """Return the tenant named, or the only one there is. Raises ClickException."""
    found = chosen(root, tenant)
    if len(found) != 1:
        known = ", ".join(found) or "none"
        raise click.ClickException(f"name one tenant with --tenant (there are: {known})")
    return found[0]


@contextmanager
def told() -> Iterator[None]:
    """Turn errors of the store into words for the user and exit status 1."""
    try:
        yield
    except (TocsinError, BadBlock, OSError) as error:
        raise click.ClickException(str(error)) from error


def still(root: Path, tenants: Sequence[TenantId]) -> Iterator[StillStore]:
    """Yield each tenant's store as it stands on disk. Raises StoreUnusable."""
    for tenant in tenants:
        yield StillStore(tenant, root / tenant)


@contextmanager
def taken(root: Path) -> Iterator[MetricStore]:
    """Give the store, which no server may have open. Raises StoreUnusable."""
    store = MetricStore(root)
    try:
        yield store
    finally:
        store.close()


def span(start: str, end: str) -> tuple[int, int]:
    """Return a range of time in ms; nothing stands for everything on that side."""
    return _when(start, BEGINNING_MS, "--start"), _when(end, END_MS, "--end")


def _when(text: str, default: int, flag: str) -> int:
    if not text:
        return default
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        at = parse_time(text)
    except InvalidInput as error:
        raise click.BadParameter(str(error), param_hint=flag) from error
    if at is None:
        raise click.BadParameter("the zero time is no time", param_hint=flag)
    return round(at.timestamp() * 1000)
