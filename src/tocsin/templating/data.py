"""The data of a template: what `.` is for a notification and for an alerting rule.

Source: Alertmanager documentation, "Notification template reference", level 0.34; Prometheus
documentation, "Defining alerting rules".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import overload

from tocsin.model.alert import Phase
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import ALERT_NAME, Labels
from tocsin.model.notification import Notification, NotifiedAlert
from tocsin.templating.gotime import ZERO
from tocsin.templating.values import Fields, StringMap, Struct

_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")  # what Go's regexp.QuoteMeta escapes

RULE_PREAMBLE = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)


_ALERT_JSON = {
    "Status": "status", "Labels": "labels", "Annotations": "annotations", "StartsAt": "startsAt",
    "EndsAt": "endsAt", "GeneratorURL": "generatorURL", "Fingerprint": "fingerprint",
}  # fmt: skip
_DATA_JSON = {
    "Receiver": "receiver", "Status": "status", "Alerts": "alerts",
    "NotificationReason": "notification_reason", "GroupLabels": "groupLabels",
    "CommonLabels": "commonLabels", "CommonAnnotations": "commonAnnotations",
    "RouteLabels": "routeLabels", "ExternalURL": "externalURL",
}  # fmt: skip


class Pairs(Sequence[Struct]):
    """Names and values in order; prints as `name=value, name=value`."""

    __slots__ = ("_pairs",)
    go_type = "template.Pairs"

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Copy `pairs` in their order."""
        made = ({"Name": name, "Value": value} for name, value in pairs)
        self._pairs = tuple(Struct("template.Pair", fields) for fields in made)

    def go_field(self, name: str) -> object:
        """Return the method called `name`. Raises KeyError."""
        return {"Names": self.names, "Values": self.values, "String": self.go_string}[name]

    def names(self) -> list[object]:
        """Return the names."""
        return [pair.fields["Name"] for pair in self._pairs]

    def values(self) -> list[object]:
        """Return the values."""
        return [pair.fields["Value"] for pair in self._pairs]

    def go_string(self) -> str:
        """Return what the pairs print as."""
        return ", ".join(f"{p.fields['Name']}={p.fields['Value']}" for p in self._pairs)

    @overload
    def __getitem__(self, index: int) -> Struct: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Struct]: ...
    def __getitem__(self, index: int | slice) -> Struct | Sequence[Struct]:
        return self._pairs[index]

    def __len__(self) -> int:
        return len(self._pairs)


class KV(StringMap):
    """A label or annotation set with its methods; an absent name reads as ""."""

    __slots__ = ()
    go_type = "template.KV"

    def go_field(self, name: str) -> object:
        """Return the method called `name`. Raises KeyError."""
        return {
            "Names": self.go_names,
            "Remove": self.go_remove,
            "SortedPairs": self.go_pairs,
            "String": self.go_string,
            "Values": self.go_values,
        }[name]

    def go_pairs(self) -> Pairs:
        """Return the pairs by name, the alert name first."""
        return Pairs(sorted(self.items(), key=lambda pair: (pair[0] != ALERT_NAME, pair[0])))

    def go_names(self) -> list[object]:
        """Return the names in the order of the pairs."""
        return self.go_pairs().names()

    def go_values(self) -> list[object]:
        """Return the values in the order of the pairs."""
        return self.go_pairs().values()

    def go_remove(self, names: list[str]) -> KV:
        """Return the set without the given names."""
        if any(not isinstance(name, str) for name in names):
            raise InvalidInput("Remove expects a list of strings")
        unwanted = frozenset(names)
        return KV({name: value for name, value in self.items() if name not in unwanted})

    def go_string(self) -> str:
        """Return what the set prints as."""
        return self.go_pairs().go_string()


class Alerts(Sequence[Struct]):
    """The alerts of a notification, with `.Firing` and `.Resolved`."""

    __slots__ = ("_alerts",)
    go_type = "template.Alerts"

    def __init__(self, alerts: Iterable[Struct]) -> None:
        """Keep the alerts in their order."""
        self._alerts = tuple(alerts)

    def go_field(self, name: str) -> object:
        """Return the method called `name`. Raises KeyError."""
        return {"Firing": self._of(Phase.FIRING), "Resolved": self._of(Phase.RESOLVED)}[name]

    def _of(self, phase: Phase) -> Callable[[], list[Struct]]:
        def chosen() -> list[Struct]:
            return [a for a in self._alerts if a.fields["Status"] == phase.value]

        return chosen

    @overload
    def __getitem__(self, index: int) -> Struct: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Struct]: ...
    def __getitem__(self, index: int | slice) -> Struct | Sequence[Struct]:
        return self._alerts[index]

    def __iter__(self) -> Iterator[Struct]:
        return iter(self._alerts)

    def __len__(self) -> int:
        return len(self._alerts)


def notification_data(notification: Notification, *, external_url: str) -> Fields:
    """Return what notification templates see; the receiver's name is quoted as in a pattern."""
    alerts = notification.alerts
    fields: dict[str, object] = {
        "Receiver": quote_meta(notification.receiver),
        "Status": notification.status.value,
        "Alerts": Alerts(_alert(alert) for alert in alerts),
        "NotificationReason": notification.reason.value,
        "GroupLabels": KV(notification.group_labels),
        "CommonLabels": KV(common([alert.labels for alert in alerts])),
        "CommonAnnotations": KV(common([alert.annotations for alert in alerts])),
        "RouteLabels": KV(notification.route_labels),
        "ExternalURL": external_url,
    }
    return Struct("*template.Data", fields, json_names=_DATA_JSON)


def alert_data(
    labels: Mapping[str, str],
    external_labels: Mapping[str, str],
    external_url: str,
    value: float,
) -> Fields:
    """Return what rule templates see; put `RULE_PREAMBLE` before the text, or use `rule_text`."""
    fields: dict[str, object] = {
        "Labels": StringMap(labels),
        "ExternalLabels": StringMap(external_labels),
        "ExternalURL": external_url,
        "Value": float(value),
    }
    return Struct("struct", fields)


def rule_text(text: str) -> str:
    """Return a rule's template with `$labels`, `$externalLabels`, `$externalURL` and `$value`."""
    return RULE_PREAMBLE + text if "{{" in text else text


def common(sets: Sequence[Labels]) -> Labels:
    """Return the pairs that all label sets share."""
    if not sets:
        return Labels()
    shared = set(sets[0].pairs).intersection(*(each.pairs for each in sets[1:]))
    return Labels(shared)


def quote_meta(text: str) -> str:
    """Return `text` with the special characters of regular expressions escaped, as Go does."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)


def _alert(alert: NotifiedAlert) -> Struct:
    fields: dict[str, object] = {
        "Status": alert.status.value,
        "Labels": KV(alert.labels),
        "Annotations": KV(alert.annotations),
        "StartsAt": alert.starts_at,
        "EndsAt": alert.ends_at or ZERO,
        "GeneratorURL": alert.generator_url,
        "Fingerprint": alert.fingerprint,
    }
    return Struct("template.Alert", fields, json_names=_ALERT_JSON)
