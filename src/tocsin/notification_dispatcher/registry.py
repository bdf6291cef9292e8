"""Which providers there are, and what they make of a `receivers:` section.

Built-in providers are a tuple of SPECs; others announce theirs under the entry-point group
`tocsin.providers`. Receiver kinds of Alertmanager that are not built yet parse, and are told
apart from misspelt ones.
"""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Annotated, Any, Protocol, cast

import msgspec

from tocsin.model.settings import Finding
from tocsin.notification_dispatcher.config import Defaults, IntegrationConfig, Section
from tocsin.notification_dispatcher.provider import AnySpec, ProviderSpec
from tocsin.notification_dispatcher.providers import email, slack, webhook

ENTRY_POINTS = "tocsin.providers"

BUILTIN: tuple[AnySpec, ...] = (webhook.SPEC, email.SPEC, slack.SPEC)

NOT_BUILT = (
    "discord_configs",
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "msteams_configs",
    "msteamsv2_configs",
    "opsgenie_configs",
    "pagerduty_configs",
    "pushover_configs",
    "rocketchat_configs",
    "sns_configs",
    "telegram_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
)


_NAME = "What routes call it; unique."
_LABELS = "Labels that `receiver_matchers` of the API select by."
_NOT_YET = "Read, so that files parse; a receiver that has one is refused until it is built."


class Receiver(Protocol):
    """One entry of `receivers:`; the rest of its fields are one list for each provider."""

    @property
    def name(self) -> str:
        """Return the receiver's name, unique in a configuration."""
        ...

    @property
    def labels(self) -> dict[str, str]:
        """Return labels that `receiver_matchers` of the API select by (Alertmanager 0.33)."""
        ...


@dataclass(frozen=True, slots=True)
class Integration:
    """One way a receiver is told: `name` is `webhook[0]`; `config` has its defaults filled in."""

    name: str
    spec: AnySpec
    config: IntegrationConfig


class Providers:
    """A set of providers, and the struct of a receiver that follows from it."""

    def __init__(self, specs: Iterable[AnySpec]) -> None:
        """Take `specs`; raises ValueError when two claim one key."""
        self.specs = tuple(specs)
        counted = Counter(spec.key for spec in self.specs)
        if twice := [key for key, count in counted.items() if count > 1]:
            raise ValueError(f"two providers claim {', '.join(twice)}: remove one of the packages")
        self._type = _receiver_type(self.specs)

    def receiver_type(self) -> type[msgspec.Struct]:
        """Return the struct of one entry of `receivers:`."""
        return self._type

    def integrations(self, receiver: Receiver, defaults: Defaults) -> tuple[Integration, ...]:
        """Return how `receiver` is told, in the order of the providers, then of the file."""
        return tuple(
            Integration(f"{spec.name}[{index}]", spec, spec.merge(config, defaults))
            for spec in self.specs
            for index, config in enumerate(_entries(receiver, spec.key))
        )

    def findings(self, receivers: Sequence[Receiver], defaults: Defaults) -> tuple[Finding, ...]:
        """Return every fault of a `receivers:` section, paths leading from its root."""
        return tuple(
            finding.under(position)
            for position, receiver in enumerate(receivers)
            for finding in (
                *_naming(receivers, position),
                *_not_built(receiver, self.specs),
                *self._of_entries(receiver, defaults),
            )
        )

    def _of_entries(self, receiver: Receiver, defaults: Defaults) -> Iterator[Finding]:
        for spec in self.specs:
            for index, config in enumerate(_entries(receiver, spec.key)):
                for finding in spec.check(spec.merge(config, defaults)):
                    yield finding.under(spec.key, index)


def providers() -> Providers:
    """Return the built-in providers and those that installed packages announce."""
    return Providers((*BUILTIN, *announced()))


def announced() -> Iterator[AnySpec]:
    """Return the SPECs that installed packages announce. Raises TypeError when one is none."""
    for entry in entry_points(group=ENTRY_POINTS):
        spec = entry.load()
        if not isinstance(spec, ProviderSpec):
            raise TypeError(f"entry point {entry.value} of {ENTRY_POINTS} is no ProviderSpec")
        yield spec


def _receiver_type(specs: Sequence[AnySpec]) -> type[msgspec.Struct]:
    keys = {spec.key for spec in specs}
    lists = [(spec.key, spec.config, f"Who is told by {spec.name}.") for spec in specs]
    lists += [(key, Any, _NOT_YET) for key in NOT_BUILT if key not in keys]
    fields: list[tuple[str, Any, Any]] = [
        ("labels", _said(dict[str, str], _LABELS), msgspec.field(default_factory=dict))
    ]
    fields += [
        (key, _said(types.GenericAlias(list, (kind,)), text), msgspec.field(default_factory=list))
        for key, kind, text in lists
    ]
    return msgspec.defstruct(
        "Receiver",
        [("name", _said(str, _NAME)), *fields],
        bases=(Section,),
        module=__name__,
        namespace={"__doc__": "Who is told, and in which ways: a name for routes to call."},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _said(kind: Any, description: str) -> Any:
    """Return a type with the description of the field it is for."""
    return Annotated[kind, msgspec.Meta(description=description)]


def _entries(receiver: Receiver, key: str) -> Sequence[IntegrationConfig]:
    return cast("Sequence[IntegrationConfig]", getattr(receiver, key))


def _naming(receivers: Sequence[Receiver], position: int) -> Iterator[Finding]:
    name = receivers[position].name
    if not name:
        yield Finding(("name",), "a receiver needs a name")
    elif any(other.name == name for other in receivers[:position]):
        yield Finding(("name",), f"a receiver named {name!r} exists already")


def _not_built(receiver: Receiver, specs: Sequence[AnySpec]) -> Iterator[Finding]:
    for key in NOT_BUILT:
        if getattr(receiver, key, None) and all(spec.key != key for spec in specs):
            kind = key.removesuffix("_configs")
            yield Finding((key,), f"{kind} receivers are not built yet; use webhook_configs")
