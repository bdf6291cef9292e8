"""Target groups: what discovery finds, and the form in which files and servers list them.

Source: Prometheus documentation, "Configuration", `file_sd_config` and `http_sd_config`. A
list is taken whole or not at all. YAML scalars are text, as written (`on`, `1.10`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels

MAX_LIST_BYTES = 64 << 20
_MAX_DEPTH = 16  # a list of target groups has four levels


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Addresses that share labels, from one place."""

    targets: tuple[str, ...]
    labels: Labels


Groups = tuple[TargetGroup, ...]


class Discoverer(ABC):
    """Looks for targets again and again; `groups` are the last good ones.

    `errors` says what went wrong at the last look, by place; `name` is unique within a tenant.
    """

    mechanism: str
    name: str
    interval: timedelta
    groups: Groups = ()
    errors: Mapping[str, str]

    @abstractmethod
    async def look(self, now: datetime) -> None:
        """Look once. What fails changes `errors` and leaves the groups of its place alone."""


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    targets: list[str] | None = None
    labels: dict[str, str] | None = None


def groups_from_json(content: bytes, meta: Mapping[str, str]) -> Groups:
    """Return the groups of a JSON list, with the labels `meta` added. Raises InvalidInput."""
    try:
        listed = msgspec.json.decode(content, type=list[_Listed] | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"not a list of target groups: {error}") from error
    return _groups(listed or [], meta)


def groups_from_yaml(content: bytes, meta: Mapping[str, str]) -> Groups:
    """Return the groups of a YAML list, with the labels `meta` added. Raises InvalidInput."""
    try:
        _check_depth(content)
        data = yaml.load(content, Loader=yaml.CBaseLoader)  # noqa: S506 - makes text, lists, dicts
        listed = msgspec.convert(_without_empty(data), list[_Listed])
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a list of target groups: {error}") from error
    return _groups(listed, meta)


def _check_depth(content: bytes) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=yaml.CBaseLoader):
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise InvalidInput("not a list of target groups: nested too deeply")


def _without_empty(data: Any) -> Any:
    """Return the data with nothing where a list or mapping was left empty."""
    if data is None or data == "":
        return []
    if not isinstance(data, list):
        return data
    return [
        {key: value for key, value in group.items() if value != ""}
        if isinstance(group, dict)
        else group
        for group in data
    ]


def _groups(listed: Iterable[_Listed], meta: Mapping[str, str]) -> Groups:
    return tuple(_group(each, meta) for each in listed)


def _group(listed: _Listed, meta: Mapping[str, str]) -> TargetGroup:
    labels = listed.labels or {}
    if "" in labels:
        raise InvalidInput('not a list of target groups: "" is not a valid label name')
    return TargetGroup(tuple(listed.targets or ()), Labels.of({**labels, **meta}))
