"""The webhook payload, version 4, byte for byte as Alertmanager writes it.

Traps (contracts/alertmanager.md, section 5): the order of the keys; a firing alert ends at
Go's zero time; times have nanosecond form with zeros cut; `& < >` and the two line separators
of Unicode are escaped; maps are sorted; the receiver's name is quoted as a regular expression;
`max_alerts` keeps the first ones and everything else is computed from those; a newline ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tocsin.model.alert import Phase
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, NotifiedAlert
from tocsin.model.rfc3339 import format_nano
from tocsin.templating.data import common, quote_meta

# Go's encoding/json makes JSON safe to stand in HTML and JavaScript.
_ESCAPES = (
    (b"&", b"\\u0026"),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def payload(notification: Notification, *, external_url: str, max_alerts: int = 0) -> bytes:
    """Return the body of one webhook call; 0 for `max_alerts` sends all."""
    every = notification.alerts
    alerts = every[:max_alerts] if max_alerts else every
    members: dict[str, object] = {
        "receiver": quote_meta(notification.receiver),
        "status": _status(alerts),
        "alerts": [_alert(alert) for alert in alerts],
        "notification_reason": notification.reason,
        "groupLabels": _map(notification.group_labels),
        "commonLabels": _map(common([a.labels for a in alerts])),
        "commonAnnotations": _map(common([a.annotations for a in alerts])),
        "routeLabels": _map(notification.route_labels),
        "externalURL": external_url,
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": len(every) - len(alerts),
    }
    return go_json(members) + b"\n"


def go_json(value: object) -> bytes:
    """Return `value` as compact JSON with the escapes Go's encoder makes."""
    raw = msgspec.json.encode(value)
    for plain, escaped in _ESCAPES:
        if plain in raw:
            raw = raw.replace(plain, escaped)
    return raw


def _status(alerts: Sequence[NotifiedAlert]) -> Phase:
    firing = any(alert.status is Phase.FIRING for alert in alerts)
    return Phase.FIRING if firing else Phase.RESOLVED


def _alert(alert: NotifiedAlert) -> dict[str, object]:
    return {
        "status": alert.status,
        "labels": _map(alert.labels),
        "annotations": _map(alert.annotations),
        "startsAt": format_nano(alert.starts_at),
        "endsAt": format_nano(alert.ends_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def _map(labels: Labels) -> dict[str, str]:
    return dict(labels.pairs)
